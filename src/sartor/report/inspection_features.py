"""The features of an engine on each GPU, and why what is not native is not."""

from __future__ import annotations

import re
import textwrap
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from msgspec.structs import replace

from sartor.report.grid import Column, grid
from sartor.report.inspection_gpus import aligned, heads, labels, wanted
from sartor.report.words import clean, cut, few, short_paths, wrapped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sartor.verdict.model import (
        Feature,
        FeatureGrade,
        Grade,
        InspectedLibrary,
        Inspection,
        Reason,
        Target,
    )

MOST_NOTES = 60
MOST_ROWS = 16
"""Of features; of more, those that are native on every GPU come in one line."""
MOST_REASONS = 12
MOST_IN_CELL = 3
"""Reasons; of more, how many."""
MOST_NAMES = 3


class Notes:
    """Reasons, each once, with the number that a cell refers to it by."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def mark(self, texts: Sequence[str], note: str | None = None) -> str:
        """``[3 7 +2]``: the first reasons' numbers, how many more there are, and the note's."""
        marks = [self._number(text) for text in texts[:MOST_IN_CELL]]
        marks += [f"+{len(texts) - MOST_IN_CELL}"] if len(texts) > MOST_IN_CELL else []
        marks += [self._number(note)] if note else []
        return f"[{' '.join(marks)}]" if marks else ""

    def _number(self, text: str) -> str:
        return str(self._numbers.setdefault(text, len(self._numbers) + 1))

    def lines(self, width: int) -> list[str]:
        """The reasons, by their numbers."""
        size = len(f"[{len(self._numbers)}]")
        lines = []
        for text, number in list(self._numbers.items())[:MOST_NOTES]:
            lines += wrapped(f"{f'[{number}]':>{size}} ", text, width)
        more = len(self._numbers) - MOST_NOTES
        return lines + ([f"and {more} more: `--json` has them all"] if more > 0 else [])


def feature_lines(found: Inspection, width: int) -> list[str]:
    """The table of features, those that are native everywhere, and notes on the others."""
    if not found.features or not found.gpus:
        return []
    rows = feature_rows(found)
    plain = [name for name, cells in rows.items() if is_native(cells)]
    if len(rows) <= MOST_ROWS:
        plain = []
    shown = {name: cells for name, cells in rows.items() if name not in plain}
    notes = Notes()
    table = [
        [feature_cell(one, target, notes) for one, target in zip(cells, found.gpus, strict=True)]
        for cells in shown.values()
    ]
    room = max(width * 3 // 10, 24)
    names = [textwrap.wrap(cut(name, room * 3), room) or ["?"] for name in shown]
    columns = [
        Column(head, [cells[number] for cells in table])
        for number, head in enumerate(heads(found.gpus))
    ]
    lines = grid([Column(["feature"], names, stacked=True)], columns, width) if shown else []
    where = "native on all of them: " if len(found.gpus) > 1 else "native: "
    parts = [lines, wrapped(where, ", ".join(plain), width) if plain else [], notes.lines(width)]
    return [line for part in parts if part for line in (*part, "")][:-1]


def feature_rows(found: Inspection) -> dict[str, list[Feature | None]]:
    """Each feature on each GPU by its name, with its package where there are several."""
    several = len({feature.package for feature in found.features}) > 1
    rows: dict[str, list[Feature]] = {}
    for feature in found.features:
        package = f"{feature.package}: " if several and feature.package else ""
        rows.setdefault(clean(package + feature.name), []).append(feature)
    return {name: aligned(found.gpus, features) for name, features in rows.items()}


def is_native(cells: list[Feature | None]) -> bool:
    """Whether a feature is native on every GPU."""
    return all(feature is not None and feature.verdict == "native" for feature in cells)


def feature_cell(feature: Feature | None, target: Target, notes: Notes) -> list[str]:
    """The grade, with the number of its reason unless it is native."""
    if feature is None:
        return ["-"]
    grade = word(feature.verdict)
    if grade == "native":
        return [grade]
    mark = notes.mark(reason_texts(feature, target), feature.note)
    return [f"{grade} {mark}".strip(), *wanted(feature.needs_driver_cuda, target)]


class Reasoned(Protocol):
    """A verdict with its reasons: a feature, or a part of the map."""

    @property
    def verdict(self) -> FeatureGrade:
        """The grade."""

    @property
    def reasons(self) -> list[Reason]:
        """All of them, those of native units too."""


def reason_texts(feature: Reasoned, target: Target) -> list[str]:
    """Why a feature is not native; counts of all units left out.

    Units that it does without on the GPU are no reason, unless it has no other.
    """
    left_out = {"native"} if feature.verdict == "not-applicable" else {"native", "not-applicable"}
    total = sum(reason.count for reason in feature.reasons)
    texts = []
    for reason in feature.reasons:
        if reason.grade not in left_out:
            some = f"{reason.count} of {total} units " if reason.count < total else ""
            texts.append(f"{some}{word(reason.grade)}: {of_any_gpu(reason.why, target)}")
    return texts


def word(grade: FeatureGrade) -> str:
    """A grade as tables have it."""
    return "n/a" if grade == "not-applicable" else grade


@lru_cache(1 << 12)
def of_any_gpu(text: str, target: Target) -> str:
    """A reason without the GPU's own architecture, so that GPUs can share it."""
    return re.sub(rf"\b{re.escape(target.gpu)}\b", "this GPU", text)


def why_lines(found: Inspection, coded: list[InspectedLibrary], width: int) -> list[str]:
    """Why libraries lack code; where features are known, what is missing alone, with its reasons.

    Their notes say the rest. Libraries with one reason on the same GPUs share a line.
    """
    gpus = labels(found.gpus)
    folded: dict[tuple[Grade, str, tuple[str, ...]], list[tuple[str, int]]] = {}
    for (name, reason), on in library_reasons(found, coded).items():
        key = (reason.grade, reason.why, tuple(gpus[number] for number in on))
        folded.setdefault(key, []).append((name, reason.count))
    lines = ["why"] if folded else []
    for (grade, why, where), holders in list(folded.items())[:MOST_REASONS]:
        names = few([name for name, _ in holders], MOST_NAMES)
        head = f"{names} on {few(where, 6)}" if len(gpus) > 1 else names
        text = f"{head}: {sum(count for _, count in holders)} {word(grade)}: {why}"
        lines += wrapped("  ", text, width, hang=4)
    more = len(folded) - MOST_REASONS
    return lines + ([f"  and {more} more: `--detail` shows them"] if more > 0 else [])


def library_reasons(
    found: Inspection, coded: list[InspectedLibrary]
) -> dict[tuple[str, Reason], list[int]]:
    """The GPUs on which a library, by its short name, has a reason; GPUs share the reason."""
    reasons: dict[tuple[str, Reason], list[int]] = {}
    for library, name in zip(coded, short_paths([lib.path for lib in coded], 40), strict=True):
        for number, verdict in enumerate(aligned(found.gpus, library.verdicts)):
            for reason in verdict.reasons if verdict else ():
                if found.features and reason.grade not in {"missing", "unknown"}:
                    continue
                shared = replace(reason, why=of_any_gpu(reason.why, found.gpus[number]))
                reasons.setdefault((name, shared), []).append(number)
    return reasons
