"""How far each feature of the installed packages is proved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.verify.model import (
    GRADES,
    Failed,
    FeatureProof,
    Grade,
    NotChecked,
    Outcome,
    Passed,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sartor.host.model import Host
    from sartor.verify.subject import Subject

MOST_NAMED = 8


def feature_proofs(subject: Subject, host: Host, outcomes: list[Outcome]) -> list[FeatureProof]:
    """Every feature that the facts know of the installed packages, or that a check names."""
    from sartor.verify.files import features_of
    from sartor.verify.installed import installed

    named: dict[tuple[str, str], None] = {}
    for dist in installed(subject.site):
        for feature in features_of(dist):
            named[dist.name, feature] = None
    for outcome in outcomes:
        for feature in outcome.features:
            if outcome.package:
                named[outcome.package, feature] = None
    foretold = _foretold(subject, host)
    return [
        proof_of(package, feature, outcomes, foretold.get((package, feature)))
        for package, feature in sorted(named)
    ]


def proof_of(
    package: str, feature: str, outcomes: Iterable[Outcome], foretold: str | None = None
) -> FeatureProof:
    """The highest grade at which, as at those before it, all checks that bear on it passed.

    At *resolves* and *loads* the package's own checks that name no feature bear on all of its
    features; above, only those that name it.
    """
    best: Grade | None = None
    because: list[str] = []
    for grade in GRADES:
        own = [o for o in outcomes if o.grade == grade and _bears(o, package, feature)]
        stops = [o.check for o in own if isinstance(o, Failed | NotChecked)]
        passed = [o.check for o in own if isinstance(o, Passed)]
        if stops:
            because = stops
            break
        if not passed:
            break
        best, because = grade, passed
    return FeatureProof(
        package=package,
        feature=feature,
        grade=best,
        foretold=foretold,
        because=because[:MOST_NAMED],
    )


def _bears(outcome: Outcome, package: str, feature: str) -> bool:
    if outcome.package != package:
        return False
    if outcome.features:
        return feature in outcome.features
    return outcome.grade in {"resolves", "loads"}


def _foretold(subject: Subject, host: Host) -> dict[tuple[str, str], str]:
    """What the machine code promises on this machine's GPU; of several kinds the first."""
    from sartor.verdict.dispatch import Dispatcher
    from sartor.verdict.feature import features
    from sartor.verdict.targets import targets_of
    from sartor.verify.evidence import evidence_of

    targets = targets_of(host)
    if not targets:
        return {}
    evidence = evidence_of(subject)
    found = features(
        evidence.packages, evidence.libraries, targets[:1], Dispatcher(evidence.packages)
    )
    return {(f.package or "", f.name): f.verdict for f in found}
