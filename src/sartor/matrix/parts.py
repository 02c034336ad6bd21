"""The parts of a wheel on a GPU, and what they add up to."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from msgspec.structs import replace
from packaging.version import Version

from sartor import facts
from sartor.facts.features import features_of
from sartor.matrix.model import HAS_CODE, MapGrade, Part
from sartor.verdict.dispatch import Dispatcher
from sartor.verdict.feature import alike, combine, features
from sartor.verdict.model import Reason
from sartor.verdict.unit import judge_library

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sartor.artifact.model import Evidence, Library
    from sartor.verdict.model import Feature, FeatureGrade, Grade, Target, Verdict

USED: tuple[FeatureGrade, ...] = ("native", "jit", "partial", "missing", "unknown")
COUNTED = {"jit": "compiled at first use", "partial": "in part", "unknown": "not checked"}


def parts_of(evidence: Evidence, targets: Sequence[Target]) -> tuple[bool, list[list[Part]]]:
    """For each target the features that facts know of the wheel; without any, its libraries.

    Whether they are features comes first.
    """
    dispatch = Dispatcher(evidence.packages)
    found: list[list[Part]] = [[] for _ in targets]
    core = core_features(evidence)
    for feature in features(evidence.packages, evidence.libraries, targets, dispatch):
        found[feature.target].append(of_feature(feature, is_core=feature.name in core))
    if any(found):
        return True, found
    coded = [_with_few_units(library, dispatch) for library in evidence.libraries if library.units]
    return False, [
        [of_library(lib.path, judge_library(lib, target, dispatch)) for lib in coded]
        for target in targets
    ]


def _with_few_units(library: Library, dispatch: Dispatcher) -> Library:
    """The library with alike units as one."""
    merged = alike([(library, library.units)], dispatch)
    return replace(library, units=[unit for _, units in merged for unit in units or ()])


def core_features(evidence: Evidence) -> set[str]:
    """The names of the features without which a wheel is of no use."""
    found: set[str] = set()
    for package in evidence.packages:
        facts = features_of(package.name, package.version)
        found |= {fact.name for fact in facts if fact.core}
    return found


def of_feature(feature: Feature, *, is_core: bool) -> Part:
    """A feature as the map has it."""
    return Part(
        name=feature.name,
        verdict=feature.verdict,
        reasons=feature.reasons,
        note=None if feature.verdict == "native" else feature.note,
        needs_driver_cuda=feature.needs_driver_cuda,
        needs_driver=branch(feature.needs_driver_cuda),
        core=is_core,
    )


def of_library(path: str, verdict: Verdict) -> Part:
    """A library as the map has it."""
    grades: dict[Grade, int] = {
        "native": verdict.native,
        "jit": verdict.jit,
        "missing": verdict.missing,
        "not-applicable": verdict.not_applicable,
        "unknown": verdict.unknown,
    }
    native = [Reason("native", verdict.native, "machine code")] if verdict.native else []
    return Part(
        name=path,
        verdict=combine({grade for grade, count in grades.items() if count}),
        reasons=[*verdict.reasons, *native],
        needs_driver_cuda=verdict.needs_driver_cuda,
        needs_driver=branch(verdict.needs_driver_cuda),
    )


def branch(cuda: str | None) -> int | None:
    """The oldest driver branch that supports a CUDA version."""
    return facts.branch_for_cuda(cuda) if cuda else None


def together(parts: Sequence[Part]) -> MapGrade:
    """What the parts of a wheel add up to."""
    if not parts:
        return "no-device-code"
    core = {part.verdict for part in parts if part.core}
    every = {part.verdict for part in parts} - {"not-applicable"}
    if not every:
        return "not-applicable"
    for grade in ("missing", "unknown"):
        if grade in core or every == {grade}:
            return grade
    if every & {"partial", "missing", "unknown"}:
        return "partial" if every & {"partial", "native", "jit"} else "unknown"
    return "jit" if "jit" in every else "native"


def counted(parts: Sequence[Part]) -> str:
    """``24 native, 3 compiled at first use, 1 missing``, of the parts that the GPU uses."""
    counts = Counter(part.verdict for part in parts)
    return ", ".join(
        f"{counts[grade]} {COUNTED.get(grade, grade)}" for grade in USED if counts[grade]
    )


def because(grade: MapGrade, parts: Sequence[Part]) -> str:
    """Why a wheel has its grade."""
    if grade in {"missing", "unknown"}:
        wanting = sorted((p for p in parts if p.verdict == grade), key=lambda part: not part.core)
        return next((reason.why for part in wanting for reason in part.reasons), counted(parts))
    if grade == "no-device-code":
        return "it holds no device code that could be judged"
    if grade == "not-applicable":
        return next((r.why for part in parts for r in part.reasons), "it is not called there")
    return counted(parts)


def score(grade: MapGrade, parts: Sequence[Part]) -> int:
    """A number to order versions of one project by: first whether the core has code, then how many
    parts have, less those that lack it; of equals the one with more native parts."""
    counts = Counter(part.verdict for part in parts)
    usable = 2 if grade in HAS_CODE else 1 if grade == "unknown" else 0
    served = counts["native"] + counts["jit"] - counts["missing"] - counts["partial"]
    return (usable * 1000 + served) * 1000 + counts["native"] if usable else 0


def newest_need(parts: Sequence[Part]) -> str | None:
    """The CUDA version of the oldest driver for all that the parts have."""
    needs = (part.needs_driver_cuda for part in parts)
    return max((need for need in needs if need), key=Version, default=None)
