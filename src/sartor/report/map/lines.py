"""The map in a terminal: plain text in columns, no colour, ASCII alone."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from sartor import facts
from sartor.matrix.model import HAS_CODE
from sartor.report.grid import Column, grid
from sartor.report.inspection_features import of_any_gpu, reason_texts, word
from sartor.report.inspection_gpus import driver_cell, heads, short_name
from sartor.report.map.words import EVIDENCE, WORDS, titles
from sartor.report.table import table
from sartor.report.words import clean, cut, wrapped

if TYPE_CHECKING:
    from sartor.matrix.model import MapTarget, MapVerdict, MapWheel, SupportMap

NOTHING = "no wheel is kept: `sartor evidence scan FILE` reads one into the store"
BESIDE_WHY = 48
"""Letters of a line that a reason leaves to the rest; `--json` has all of it."""


def map_lines(found: SupportMap, width: int) -> list[str]:
    """One GPU wheel by wheel, the best version first, and a single wheel part by part; of several
    GPUs a table."""
    if not found.wheels:
        return [NOTHING]
    lines = several(found, width) if len(found.gpus) > 1 else one_gpu(found, width)
    return [*lines, "", *wrapped("", EVIDENCE, width)]


def one_gpu(found: SupportMap, width: int) -> list[str]:
    """What the wheels for the processors beside a GPU are on it."""
    target = found.gpus[0]
    machine = target.machine or facts.map_choice().usual_machine
    beside = [wheel for wheel in found.wheels if wheel.machine in {None, machine}]
    beside = beside or found.wheels
    others = len(found.wheels) - len(beside)
    able = sum(wheel.verdicts[0].verdict in HAS_CODE for wheel in beside)
    lines = [
        f"{short_name(target)} ({target.gpu}), driver {driver_cell(target)}",
        f"{able} of {len(beside)} wheels have code that it runs"
        + (f"; {others} for other processors left out" if others else ""),
        "",
        *by_project(beside, target, max(width - BESIDE_WHY, BESIDE_WHY)),
    ]
    if len(beside) == 1:
        lines += ["", *part_lines(beside[0], target, width)]
    return lines


def by_project(wheels: list[MapWheel], target: MapTarget, most: int) -> list[str]:
    """A line for each wheel below its project, the best first; of a reason ``most`` letters."""
    rows, titled = [["", "", "", "takes driver"]], {}
    for project, group in groupby(wheels, key=lambda wheel: wheel.project):
        titled[len(rows)] = titles().get(project, clean(project))
        best = sorted(group, key=lambda wheel: wheel.verdicts[0].score, reverse=True)
        rows += [line_of(wheel, target, most) for wheel in best]
    lines = []
    for number, line in enumerate(table(rows)):
        lines += [titled[number]] if number in titled else []
        lines.append(line)
    return lines


def line_of(wheel: MapWheel, target: MapTarget, most: int) -> list[str]:
    """Version, verdict, why, driver."""
    verdict = wheel.verdicts[0]
    why = cut(clean(of_any_gpu(verdict.because, target)), most)
    name, needed = WORDS[verdict.verdict].name, verdict.needs_driver
    return [f"  {clean(wheel.version)}", name, why, str(needed) if needed else "-"]


def part_lines(wheel: MapWheel, target: MapTarget, width: int) -> list[str]:
    """The parts of one wheel, and why what is not native is not."""
    lines = []
    for part in wheel.verdicts[0].parts:
        said = f"{word(part.verdict)}: "
        texts = [text.removeprefix(said) for text in reason_texts(part, target)]
        needed = f"driver {part.needs_driver}" if part.needs_driver else ""
        why = "; ".join([*texts, needed] if needed and part.verdict != "native" else texts)
        name = f"{clean(part.name)}{' (core)' if part.core else ''}"
        text = f"{name}: {why}" if why else name
        lines += wrapped(f"{word(part.verdict):8}  ", text, width)
    return lines


def several(found: SupportMap, width: int) -> list[str]:
    """A row for each wheel, a column for each GPU, with the driver that it takes."""
    names = [[f"{name_of(wheel)}"] for wheel in found.wheels]
    columns = [
        Column(head, [cell(wheel.verdicts[number]) for wheel in found.wheels])
        for number, head in enumerate(heads(found.gpus))
    ]
    driver = found.gpus[0].driver
    stated = f"with driver {driver_cell(found.gpus[0])}" if driver else "with a new enough driver"
    return [stated, "", *grid([Column(["wheel"], names)], columns, width)]


def name_of(wheel: MapWheel) -> str:
    """A wheel's project, version and processors."""
    return clean(" ".join(filter(None, [wheel.project, wheel.version, wheel.machine])))


def cell(verdict: MapVerdict) -> list[str]:
    """A verdict in a word, and the driver."""
    short = {"jit": "jit", "not-applicable": "n/a", "no-device-code": "no code", "unknown": "?"}
    needed = verdict.needs_driver if verdict.verdict in HAS_CODE else None
    words = short.get(verdict.verdict, verdict.verdict)
    return [f"{words} {needed}" if needed else words]
