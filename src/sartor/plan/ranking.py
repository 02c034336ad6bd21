"""In which order candidates are tried, by what the user wants of a stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.version import Version

from sartor.plan.model import Unchecked
from sartor.plan.rules.code import served

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sartor.plan.case import Case
    from sartor.plan.model import Objective
    from sartor.plan.stages import Judged

Key = tuple[bool, int, bool, int, int]


def kind(case: Case) -> Key:
    """What comes before a version: a GPU, the engine's rank there, what is built, whose it is.

    Of one engine's lines, those whose code for the GPU is sure come before the others.
    """
    position = case.engine.line.index(case.line)
    third = int(case.line.provenance != "maker" and bool(_rivals(case)))
    rank = case.engine.rank[case.line.accelerator]
    return (not case.on_cuda, rank, case.built is None, third, position)


def _rivals(case: Case) -> list[str]:
    """The makers' own lines on the same accelerator."""
    return [
        line.id
        for line in case.engine.line
        if line.provenance == "maker" and line.accelerator == case.line.accelerator
    ]


def newest_first(cases: Sequence[Case]) -> list[Case]:
    """The cases as they are tried where the newest release is wanted."""
    by_version = sorted(cases, key=_version, reverse=True)
    return sorted(by_version, key=kind)


def _version(case: Case) -> Version:
    return Version(case.offer.version or "0")


def ordered(judged: Sequence[Judged], objective: Objective) -> list[Judged]:
    """The candidates whose code is judged, the best for the objective first; stable."""
    sure = sorted(judged, key=lambda j: (kind(j.case)[:4], is_unsure(j)))
    if objective in {"newest", "smallest"}:
        return sure
    score = completeness if objective == "proven" else first_use
    return sorted(sure, key=lambda j: (kind(j.case)[:2], is_unsure(j), score(j)))


def is_unsure(judged: Judged) -> bool:
    """Whether nobody knows if its machine code is for the GPUs."""
    return any(isinstance(d, Unchecked) and d.rule == "device-code" for d in judged.decisions)


def is_unread(judged: Judged) -> bool:
    """Whether machine code that decides was never read, and nothing that was read is against it."""
    return None in judged.case.code.values() and is_unsure(judged)


def is_named(case: Case) -> bool:
    """Whether the user asked for this very version."""
    return any(
        spec.operator in {"==", "==="} and "*" not in spec.version
        for text in case.request.engines
        for spec in Requirement(text).specifier
    )


def completeness(judged: Judged) -> tuple[int, int]:
    """How many parts lack code for a GPU, and how many are compiled by the driver there."""
    return sum(len(one.lost) for one in served(judged.case)), _compiled_parts(judged)


def _compiled_parts(judged: Judged) -> int:
    each = [part for one in served(judged.case) for _, parts in one.held for part in parts]
    return sum(part.verdict == "jit" for part in each)


def first_use(judged: Judged) -> tuple[int, int]:
    """How many translation units the driver compiles at first use, and how many parts lack code."""
    each = [part for one in served(judged.case) for _, parts in one.held for part in parts]
    units = sum(r.count for part in each for r in part.reasons if r.grade == "jit")
    return units, completeness(judged)[0]
