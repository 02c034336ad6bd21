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
    from collections.abc import Iterable, Iterator

    from sartor.host.model import Host
    from sartor.verify.subject.model import Subject

MOST_NAMED = 8


def feature_proofs(subject: Subject, host: Host, outcomes: list[Outcome]) -> list[FeatureProof]:
    """Every feature that the libraries hold code for, or that a check above *loads* names."""
    named = dict.fromkeys(_held(subject))
    for outcome in outcomes:
        if outcome.package and outcome.grade not in {"resolves", "loads"}:
            named |= dict.fromkeys((outcome.package, feature) for feature in outcome.features)
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


def _held(subject: Subject) -> Iterator[tuple[str, str]]:
    """Each package with the features that the facts know of it and its libraries hold code for."""
    from sartor.facts.features import features_of
    from sartor.verdict.dispatch import feature_units, owns
    from sartor.verify.subject.evidence import evidence_of

    evidence = evidence_of(subject)
    for package in evidence.packages:
        for fact in features_of(package.name, package.version):
            own = (lib for lib in evidence.libraries if owns(package, lib, fact.libraries))
            if any(feature_units(fact, library) != [] for library in own):
                yield package.name, fact.name


def _foretold(subject: Subject, host: Host) -> dict[tuple[str, str], str]:
    """What the machine code promises on this machine's GPU; of several kinds the first."""
    from sartor.verdict.dispatch import Dispatcher
    from sartor.verdict.feature import features
    from sartor.verdict.targets import targets_of
    from sartor.verify.subject.evidence import evidence_of

    targets = targets_of(host)
    if not targets:
        return {}
    evidence = evidence_of(subject)
    found = features(
        evidence.packages, evidence.libraries, targets[:1], Dispatcher(evidence.packages)
    )
    return {(f.package or "", f.name): f.verdict for f in found}
