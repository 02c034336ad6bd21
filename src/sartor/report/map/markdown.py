"""The map as Markdown: at a glance, each GPU by driver, the newest versions part by part."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from msgspec.structs import replace

from sartor.matrix.model import HAS_CODE
from sartor.report.map.glance import Version
from sartor.report.map.words import EVIDENCE, GLANCE, WORDS, read_line, titles

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sartor.matrix.model import MapVerdict, MapWheel
    from sartor.matrix.shown import Shown


class Markdown:
    """The text of wheels that were judged for ``what.targets``, given one after the other."""

    def __init__(self, what: Shown) -> None:
        self._what = what
        self._wheels: list[MapWheel] = []
        self._features: list[str] = []

    def add(self, wheel: MapWheel) -> None:
        """The next wheel; its parts are let go."""
        if wheel.is_newest:
            self._features += feature_lines(wheel, self._what)
        bare = [replace(verdict, parts=[]) for verdict in wheel.verdicts]
        self._wheels.append(replace(wheel, verdicts=bare))

    def text(self) -> str:
        """The whole text."""
        read = [(wheel.read_at[:10], wheel.reader) for wheel in self._wheels]
        legend = [f"| {word.sign} | {word.name} | {word.meaning} |" for word in WORDS.values()]
        lines = [
            "# What runs on which GPU",
            "",
            f"{EVIDENCE} [The page](map.html) holds the same with filters.",
            "",
            f"{read_line(read)}. `sartor evidence map` prints it in a terminal.",
            "",
            *table(["", "called", "when"], legend),
            "## Everything at a glance",
            "",
            GLANCE,
            "",
            *table(["version", *(gpu.label for gpu in self._what.gpus)], self._glance()),
            "## Each GPU, by driver",
            "",
            *(line for number in range(len(self._what.gpus)) for line in self._of_gpu(number)),
            "## The newest versions, part by part",
            "",
            *self._features,
        ]
        return "\n".join(lines).rstrip() + "\n"

    def _glance(self) -> list[str]:
        versions: dict[str, Version] = {}
        for wheel in self._wheels:
            name = named(replace(wheel, machine=None))
            versions.setdefault(name, Version(self._what)).add(wheel)
        return [row([name, *map(sign, one.verdicts)]) for name, one in versions.items()]

    def _of_gpu(self, gpu: int) -> list[str]:
        """A GPU with each driver; wheels of which it runs nothing, whatever the driver, by name."""
        what = self._what
        beside = [w for w in self._wheels if w.machine in {None, what.machine(gpu)}]
        for_it = [wheel for wheel in beside if any_code(what.driven(wheel, gpu))]
        others = [wheel for wheel in beside if not any_code(what.driven(wheel, gpu))]
        drivers = [f"{b.branch}<br>{b.cuda_max}" for b in what.branches]
        rows = [
            row([named(wheel), *(WORDS[v.verdict].sign for v in what.driven(wheel, gpu)[1:])])
            for wheel in for_it
        ]
        target = what.target(gpu)
        lines = [f"### {what.gpus[gpu].label} ({target.gpu}, {what.machine(gpu)})", ""]
        lines += table(["wheel", *drivers], rows) if rows else []
        return lines + ([f"No driver: {listed(others)}.", ""] if others else [])


def feature_lines(wheel: MapWheel, what: Shown) -> list[str]:
    """What the parts of a wheel are on each GPU, with a driver that is new enough."""
    verdicts = what.undriven(wheel)
    parts = max((verdict.parts for verdict in verdicts), key=len)
    if not parts:
        return []
    rows = []
    for number, part in enumerate(parts):
        cells = [
            f"{WORDS[v.parts[number].verdict].sign}{driver(v.parts[number].needs_driver)}"
            if v.parts
            else WORDS[v.verdict].sign
            for v in verdicts
        ]
        rows.append(row([f"{part.name}{' (core)' if part.core else ''}", *cells]))
    heads = ["feature" if wheel.parts_are == "features" else "library"]
    labels = [gpu.label for gpu in what.gpus]
    return [f"### {named(wheel)}", "", *table([*heads, *labels], rows)]


def table(heads: Sequence[str], rows: Iterable[str]) -> list[str]:
    """A table and an empty line after it."""
    return [row(heads), f"|{'---|' * len(heads)}", *rows, ""]


def row(cells: Iterable[str]) -> str:
    """One line of a table."""
    return f"| {' | '.join(cells)} |"


def named(wheel: MapWheel) -> str:
    """A wheel's project, version and processors."""
    machine = f" {wheel.machine}" if wheel.machine else ""
    return f"{titles().get(wheel.project, wheel.project)} {wheel.version}{machine}"


def listed(wheels: Iterable[MapWheel]) -> str:
    """Projects, each with its versions."""
    found = []
    for project, group in groupby(wheels, key=lambda wheel: wheel.project):
        versions = dict.fromkeys(wheel.version for wheel in group)
        found.append(f"{titles().get(project, project)} {', '.join(versions)}")
    return "; ".join(found)


def sign(verdict: MapVerdict | None) -> str:
    """A verdict's sign, with the driver that it takes."""
    if verdict is None:
        return WORDS["not-applicable"].sign
    needed = verdict.needs_driver if verdict.verdict in HAS_CODE else None
    return f"{WORDS[verdict.verdict].sign}{driver(needed)}"


def driver(branch: int | None) -> str:
    """A driver branch after a sign."""
    return f" {branch}" if branch else ""


def any_code(verdicts: Iterable[MapVerdict]) -> bool:
    """Whether there is code with any of the drivers."""
    return any(verdict.verdict in HAS_CODE for verdict in verdicts)
