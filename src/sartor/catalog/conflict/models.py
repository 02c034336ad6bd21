"""Solutions that the resolver gave, held against other questions than those they answer.

To ask the resolver takes half a second, to see that a solution fits, or does with few other
versions, a few milliseconds. What fits is a solution as good as the resolver's own.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from sartor.artifact.model import Package
from sartor.catalog.conflict.direct import reached
from sartor.catalog.conflict.lines import allows
from sartor.catalog.conflict.seed import THREADS, Metadata

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from packaging.version import Version

    from sartor.catalog.conflict.direct import Some
    from sartor.catalog.conflict.lines import Line
    from sartor.catalog.conflict.seed import Holder, Seed
    from sartor.catalog.oracle import Oracle

MOST_REPAIRS = 12

Solution = dict[str, "Version"]


class Models:
    """The resolver's solutions with the metadata of their versions."""

    def __init__(self, seed: Seed, oracle: Oracle) -> None:
        self._seed = seed
        self._oracle = oracle
        self._all: Some = frozenset(line.constraint for line in seed.lines)
        self._holders = {(line.project, version) for line, version in seed.fixed.items()}
        self._solutions: list[Solution] = []
        self._versions: dict[str, dict[Version, None]] = {}

    def add(self, solutions: Iterable[Solution]) -> str | None:
        """Take more of them; why that cannot be, where metadata is not read."""
        for solution in solutions:
            why = read_metadata(self._seed, self._oracle, solution.items())
            if why is not None:
                return why
            self._solutions.append(solution)
            for project, version in solution.items():
                self._versions.setdefault(project, {})[version] = None
        return None

    def fits(self, kept: Some) -> bool:
        """Whether one of them, with the versions that these fix, is a solution of them."""
        within = {line for line in self._seed.lines if line.constraint in kept}
        active = list(reached(self._seed, within))
        removed = self._all - {line.constraint for line in active}
        fixed = {li.project: self._seed.fixed[li] for li in active if li in self._seed.fixed}
        for solution in reversed(self._solutions):
            if self._repaired(active, removed, fixed, solution):
                return True
        return False

    def _repaired(
        self, active: list[Line], removed: Some, fixed: Solution, solution: Solution
    ) -> bool:
        chosen = dict(solution)
        for _ in range(MOST_REPAIRS):
            unmet = self._unmet(active, removed, chosen | fixed)
            if unmet is None:
                return True
            project = unmet.project
            others = (v for v in self._versions.get(project, ()) if v != chosen.get(project))
            other = next((v for v in others if allows(unmet.constraint, v)), None)
            if project in fixed or other is None:
                return False
            chosen[project] = other
        return False

    def _unmet(
        self, active: list[Line], removed: Some, chosen: Mapping[str, Version]
    ) -> Line | None:
        """A requirement that these versions do not meet; None: they are a solution."""
        extras: dict[str, frozenset[str]] = {}
        waiting = list(active)
        for line in waiting:
            version = chosen.get(line.project)
            if version is None or line.constraint.url or not allows(line.constraint, version):
                return line
            before = extras.get(line.project)
            wanted = (before or frozenset()) | frozenset(line.extras)
            if wanted == before:
                continue
            extras[line.project] = wanted
            holder = (line.project, version)
            own = self._seed.own_lines(holder, wanted)
            trimmed = holder in self._holders
            waiting += [h.line for h in own if not (trimmed and h.line.constraint in removed)]
        return None


def read_metadata(seed: Seed, oracle: Oracle, holders: Iterable[Holder]) -> str | None:
    """Read what these versions declare, where it was not; why that cannot be."""

    def read(holder: Holder) -> Package | str:
        machine = seed.question.machine
        package = oracle.metadata(holder[0], str(holder[1]), machine)
        return package if isinstance(package, Package) else package.why

    wanted = [holder for holder in holders if holder not in seed.metadata]
    with ThreadPoolExecutor(THREADS) as pool:
        for holder, package in zip(wanted, pool.map(read, wanted), strict=True):
            if not isinstance(package, Package):
                return f"the metadata of {holder[0]} {holder[1]} was not read: {package}"
            seed.metadata[holder] = Metadata(list(package.requires), None)
    return None
