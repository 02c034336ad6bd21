"""Which facts speak of a library and a unit: by path, by version, by images and kernels."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from functools import cache
from typing import TYPE_CHECKING

from sartor.facts.packages import facts_about, package_facts
from sartor.facts.versions import within_versions

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sartor.artifact.model import Library, Package, Unit
    from sartor.facts.packages import DispatchFact, FeatureFact
    from sartor.verdict.model import Target


class Dispatcher:
    """The dispatch facts about the packages of one target."""

    def __init__(self, packages: Iterable[Package]) -> None:
        self._facts: list[tuple[Package, DispatchFact]] = []
        for package in packages:
            about = facts_about(package.name)
            for fact in about.dispatch if about else ():
                if within_versions(fact.versions, package.version):
                    self._facts.append((package, fact))
        self._of_library: dict[str, list[DispatchFact]] = {}
        self._known: dict[int, tuple[Unit, list[DispatchFact]]] = {}

    def __call__(self, library: Library, unit: Unit, target: Target) -> DispatchFact | None:
        """The fact that says the engine does not call ``unit`` on ``target``; None without one."""
        for fact in self.about(library, unit):
            if not serves(fact.serves, target.compute_capability):
                return fact
        return None

    def about(self, library: Library, unit: Unit) -> list[DispatchFact]:
        """The facts about a unit, found once for all GPUs; it is kept, so that its id stays its."""
        known = self._known.get(id(unit))
        if known is None:
            about = self._of(library)
            matching = [fact for fact in about if unit_matches(fact, library, unit)]
            known = self._known[id(unit)] = (unit, matching)
        return known[1]

    def _of(self, library: Library) -> list[DispatchFact]:
        found = self._of_library.get(library.path)
        if found is None:
            found = [fact for own, fact in self._facts if owns(own, library, fact.libraries)]
            self._of_library[library.path] = found
        return found


def owns(package: Package, library: Library, globs: Iterable[str]) -> bool:
    """Whether the library lies where one of ``globs`` says, under the package's own root."""
    root = package.path.rpartition("/")[0]
    prefix = f"{root}/" if root else ""
    return library.path.startswith(prefix) and any(
        fnmatchcase(library.path[len(prefix) :], glob) for glob in globs
    )


def serves(patterns: Iterable[str], capability: str) -> bool:
    """Whether ``9.0`` or ``10.*`` among ``patterns`` means a compute capability; none means all."""
    rows = list(patterns)
    return not rows or any(fnmatchcase(capability, pattern) for pattern in rows)


def unit_matches(fact: DispatchFact, library: Library, unit: Unit) -> bool:
    """Whether the fact speaks of this unit; a fact about kernels does not where none was read."""
    if fact.images is not None:
        held = set(unit.held or (library.images[i].arch for i in unit.images))
        if held != set(fact.images):
            return False
    if fact.kernels is None:
        return True
    return bool(unit.kernels) and all(_pattern(fact.kernels).search(k) for k in unit.kernels or ())


def feature_units(fact: FeatureFact, library: Library) -> list[Unit] | None:
    """The units that serve a feature; None where names would have to be read to tell.

    A unit in which no kernel was found (it holds variables, say) serves none.
    """
    if fact.kernels is None:
        return [unit for unit in library.units if unit.kernels is None or unit.kernels]
    if any(unit.kernels is None for unit in library.units):
        return None
    return [u for u in library.units if _is_in_any(fact.kernels, tuple(u.kernels or ()))]


def wants_names(path: str) -> bool:
    """Whether some fact tells the units of the library at ``path`` apart by their kernels."""
    return any(fnmatchcase(path, glob) or fnmatchcase(path, f"*/{glob}") for glob in _by_kernels())


@cache
def _by_kernels() -> frozenset[str]:
    """The globs of the libraries whose units some fact tells apart by their kernels."""
    found: set[str] = set()
    for about in package_facts():
        rows: list[FeatureFact | DispatchFact] = [*about.feature, *about.dispatch]
        found |= {glob for row in rows if row.kernels is not None for glob in row.libraries}
    return frozenset(found)


@cache
def _is_in_any(pattern: str, kernels: tuple[str, ...]) -> bool:
    """Whether a kernel's name matches; a project's wheels for two machines have the same names."""
    return any(map(_pattern(pattern).search, kernels))


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text)
