"""The map's verdicts as compact data for its page: every text and every cell once."""

from __future__ import annotations

import json
from collections.abc import Hashable
from itertools import groupby
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sartor.matrix.model import GRADES
from sartor.report.inspection_features import of_any_gpu, reason_texts, word

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sartor.matrix.model import MapTarget, MapVerdict, MapWheel, Part

Value = TypeVar("Value", bound=Hashable)
Runs = tuple[int, ...]
"""A value for each driver, as value, how often, value, how often."""


class Once(Generic[Value]):
    """Values, each once, by number."""

    def __init__(self) -> None:
        self._numbers: dict[Value, int] = {}

    def __call__(self, value: Value) -> int:
        """The number of the value."""
        return self._numbers.setdefault(value, len(self._numbers))

    def values(self) -> list[Value]:
        """The values by number."""
        return list(self._numbers)


class Packer:
    """Packs wheel by wheel; ``drivers`` is how many verdicts stand in a row for each GPU.

    Of the targets, those of one GPU stand together, one for each driver.
    """

    def __init__(self, targets: Sequence[MapTarget], drivers: int) -> None:
        self._targets = targets
        self._drivers = drivers
        self._texts: Once[str] = Once()
        self._cells: Once[tuple[Any, ...]] = Once()
        self._heads: Once[tuple[Any, ...]] = Once()
        self._runs: Once[Runs] = Once()
        self._grids: Once[tuple[int, ...]] = Once()

    def tables(self) -> dict[str, list[Any]]:
        """What the numbers stand for.

        ``heads``: grade, reason, score, driver. ``cells``: grade, driver, note, reasons. A number
        of a text is one more than its place, and 0 for none. ``runs``: a head or a cell for each
        driver, as value, how often, value, how often. ``grids``: the runs of the head, then those
        of each part.
        """
        return {
            "texts": self._texts.values(),
            "heads": self._heads.values(),
            "cells": self._cells.values(),
            "runs": self._runs.values(),
            "grids": self._grids.values(),
        }

    def wheel(self, wheel: MapWheel) -> dict[str, Any]:
        """One wheel; ``on`` has the number of a grid for each GPU."""
        groups = [
            wheel.verdicts[start : start + self._drivers]
            for start in range(0, len(wheel.verdicts), self._drivers)
        ]
        parts = max((v.parts for v in wheel.verdicts), key=len, default=[])
        return {
            "project": wheel.project,
            "version": wheel.version,
            "machine": wheel.machine,
            "file": wheel.file,
            "sha256": wheel.sha256,
            "size": wheel.size,
            "read": wheel.read_at[:10],
            "newest": wheel.is_newest,
            "whole": wheel.extent == "complete",
            "kind": wheel.parts_are,
            "requires": [[one.requirement, one.sha256] for one in wheel.requires],
            "parts": [part.name for part in parts],
            "core": [number for number, part in enumerate(parts) if part.core],
            "on": [self._grids(self._grid(group)) for group in groups],
        }

    def _grid(self, group: Sequence[MapVerdict]) -> tuple[int, ...]:
        heads = self._run(self._heads(self._head(verdict)) for verdict in group)
        rows = zip(*(verdict.parts for verdict in group), strict=True)
        targets = [self._targets[verdict.target] for verdict in group]
        return (heads, *(self._run(map(self._cell, row, targets)) for row in rows))

    def _run(self, values: Iterable[int]) -> int:
        return self._runs(runs(values))

    def _head(self, verdict: MapVerdict) -> tuple[Any, ...]:
        why = of_any_gpu(verdict.because, self._targets[verdict.target])
        grade = GRADES.index(verdict.verdict)
        return grade, self._text(why), verdict.score, verdict.needs_driver or 0

    def _cell(self, part: Part, target: MapTarget) -> int:
        said = f"{word(part.verdict)}: "  # of all its units; the cell has the grade already
        reasons = (self._text(text.removeprefix(said)) for text in reason_texts(part, target))
        grade = GRADES.index(part.verdict)
        return self._cells((grade, part.needs_driver or 0, self._text(part.note), *reasons))

    def _text(self, text: str | None) -> int:
        return 0 if text is None else self._texts(text) + 1


def runs(values: Iterable[int]) -> Runs:
    """Equal neighbours together: ``7, 7, 9`` as ``7, 2, 9, 1``."""
    return tuple(n for value, same in groupby(values) for n in (value, len(list(same))))


def script_json(data: object) -> str:
    """JSON that can stand in a page's script element."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
