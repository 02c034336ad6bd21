"""From evidence to an `Inspection`: every library, feature and finding, on every GPU."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from sartor.artifact.model import Unit
from sartor.verdict.case import Case
from sartor.verdict.model import InspectedLibrary, Inspection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sartor.artifact.model import Evidence, Library, NotRead
    from sartor.facts.packages import AlternativesFact
    from sartor.verdict.model import Feature, Finding, Target, Verdict

    Judge = Callable[[Library], list[Verdict]]


def judge(
    evidence: Evidence,
    targets: Sequence[Target],
    findings: Sequence[Finding] = (),
    not_checked: Sequence[NotRead] = (),
    *,
    kernels: bool = False,
) -> Inspection:
    """What ``evidence`` means on each of ``targets``; without any, the evidence alone.

    ``kernels``: the names that were read are kept, unit by unit; else they served the verdict.
    """
    judge_one, features = _judges(evidence, targets) if targets else (lambda _: [], [])
    case = Case(evidence)
    return Inspection(
        target=evidence.target,
        kind=evidence.kind,
        size=evidence.size,
        sha256=evidence.sha256,
        platform=evidence.platform or None,
        gpus=list(targets),
        packages=evidence.packages,
        libraries=[
            _inspected(library, judge_one(library), case.alternatives(library), kernels)
            for library in evidence.libraries
        ],
        features=features,
        findings=list(findings),
        not_checked=list(dict.fromkeys(_not_checked(evidence, not_checked))),
    )


def _not_checked(evidence: Evidence, further: Sequence[NotRead]) -> Iterator[NotRead]:
    """All that was not read; two readers of one library may meet the same fault."""
    yield from evidence.not_read
    for library in evidence.libraries:
        yield from library.not_read
    yield from further


def _judges(evidence: Evidence, targets: Sequence[Target]) -> tuple[Judge, list[Feature]]:
    """The verdicts of a library, as a function, and the features; imported where GPUs are asked."""
    from sartor.verdict.dispatch import Dispatcher
    from sartor.verdict.feature import features
    from sartor.verdict.unit import judge_library

    dispatch = Dispatcher(evidence.packages)

    def judge_one(library: Library) -> list[Verdict]:
        if not library.units:
            return []
        return [judge_library(library, t, dispatch, i) for i, t in enumerate(targets)]

    return judge_one, features(evidence.packages, evidence.libraries, targets, dispatch)


def _inspected(
    library: Library, verdicts: list[Verdict], one_of: AlternativesFact | None, kernels: bool
) -> InspectedLibrary:
    fields = {name: getattr(library, name) for name in library.__struct_fields__}
    if not kernels:
        fields["units"] = grouped(library.units)
    return InspectedLibrary(**fields, verdicts=verdicts, one_of=one_of.because if one_of else None)


def grouped(units: Sequence[Unit]) -> list[Unit]:
    """The units without the names of their kernels, those that hold the same images as one."""
    groups: dict[tuple[object, ...], list[Unit]] = defaultdict(list)
    for unit in units:
        groups[unit.relocatable, unit.scattered, tuple(unit.images), tuple(unit.held or ())].append(
            unit
        )
    return [
        Unit(
            images=same[0].images,
            count=sum(unit.count for unit in same),
            bytes=sum(unit.bytes for unit in same),
            relocatable=same[0].relocatable,
            scattered=same[0].scattered,
            held=same[0].held,
        )
        for same in groups.values()
    ]
