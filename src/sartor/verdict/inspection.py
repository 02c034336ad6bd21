"""From evidence to an `Inspection`: every library, feature and finding, on every GPU asked about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.verdict.dispatch import Dispatcher
from sartor.verdict.feature import features
from sartor.verdict.model import InspectedLibrary, Inspection
from sartor.verdict.unit import judge_library

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sartor.artifact.model import Evidence, Library
    from sartor.verdict.model import Finding, Target


def judge(
    evidence: Evidence, targets: Sequence[Target], findings: Sequence[Finding] = ()
) -> Inspection:
    """What ``evidence`` means on each of ``targets``; without any, the evidence alone."""
    dispatch = Dispatcher(evidence.packages)
    return Inspection(
        target=evidence.target,
        kind=evidence.kind,
        size=evidence.size,
        sha256=evidence.sha256,
        gpus=list(targets),
        packages=evidence.packages,
        libraries=[_judged(library, targets, dispatch) for library in evidence.libraries],
        features=features(evidence.packages, evidence.libraries, targets),
        findings=list(findings),
        not_checked=[
            *evidence.not_read,
            *(fault for library in evidence.libraries for fault in library.not_read),
        ],
    )


def _judged(library: Library, targets: Sequence[Target], dispatch: Dispatcher) -> InspectedLibrary:
    fields = {name: getattr(library, name) for name in library.__struct_fields__}
    verdicts = [judge_library(library, target, dispatch) for target in targets if library.units]
    return InspectedLibrary(**fields, verdicts=verdicts)
