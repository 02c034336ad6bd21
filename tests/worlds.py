"""Small worlds of packages, a complete resolver for them, and all their conflicts by trying.

Nothing here is Sartor's: what it says of conflicts is held against this.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from sartor.artifact.model import Package
from sartor.index.wheels import IndexFile
from sartor.plan.known import (
    DEFAULT,
    Listing,
    Locked,
    Machine,
    Resolution,
    Resolved,
    ResolveQuestion,
    Unread,
    Unsolvable,
)

World = Mapping[str, Mapping[str, list[str]]]
"""Project → version → its ``Requires-Dist`` lines."""
MACHINE = Machine("x86_64", "2.35", "3.12")
MARKERS = {"platform_machine": "x86_64", "python_version": "3.12", "sys_platform": "linux"}


class Assignment(NamedTuple):
    """Versions, and the extras that are asked of each project."""

    versions: dict[str, str]
    extras: dict[str, frozenset[str]]


def applying(lines: list[str], extras: frozenset[str]) -> list[Requirement]:
    """The lines that hold."""
    parsed = [Requirement(line) for line in lines]
    asked = [{**MARKERS, "extra": extra} for extra in ("", *extras)]
    return [r for r in parsed if r.marker is None or any(r.marker.evaluate(env) for env in asked)]


def allows(requirement: Requirement, version: str) -> bool:
    return requirement.specifier.contains(version, prereleases=True)


def solve(world: World, lines: list[str]) -> dict[str, str] | None:
    """Versions that satisfy all lines and each other's, by trying; None where there are none."""
    found = _solve(world, applying(lines, frozenset()), Assignment({}, {}))
    return found.versions if found else None


def _solve(world: World, waiting: list[Requirement], done: Assignment) -> Assignment | None:
    if not waiting:
        return done
    first, *rest = waiting
    name = canonicalize_name(first.name)
    extras = done.extras.get(name, frozenset()) | first.extras
    chosen = done.versions.get(name)
    tried = [chosen] if chosen else sorted(world.get(name, {}), key=Version, reverse=True)
    for version in tried:
        if not allows(first, version):
            continue
        new = []
        if extras != done.extras.get(name):
            new = applying(world[name][version], frozenset(extras))
        step = Assignment(done.versions | {name: version}, done.extras | {name: extras})
        found = _solve(world, [*new, *rest], step)
        if found is not None:
            return found
    return None


class WorldOracle:
    """Answers for a world; ``calls`` are the questions to the resolver."""

    def __init__(self, world: World, files: Mapping[str, list[IndexFile]] | None = None) -> None:
        self.world = world
        self.files = files or {}
        self.calls: list[ResolveQuestion] = []

    def resolve(self, question: ResolveQuestion) -> Resolved:
        self.calls.append(question)
        found = solve(assumed_world(self.world, question), list(question.requirements))
        if found is None:
            return Unsolvable("No solution found when resolving dependencies\n  cause: so it is.")
        files = ((n, v, IndexFile(wheel_name(n, v), "")) for n, v in found.items())
        return Resolution([Locked(n, v, file, DEFAULT) for n, v, file in files], "")

    def listing(self, project: str) -> Listing:
        made = [IndexFile(wheel_name(project, v), "") for v in self.world.get(project, {})]
        return Listing(DEFAULT, project, "reached", self.files.get(project, made))

    def metadata(self, project: str, version: str, machine: Machine) -> Package | Unread:
        versions = {Version(v): v for v in self.world.get(project, {})}
        own = versions.get(Version(version))
        if own is None:
            return Unread("there is none")
        return Package(name=project, version=own, path="", requires=self.world[project][own])


def wheel_name(project: str, version: str) -> str:
    return f"{project.replace('-', '_')}-{version}-py3-none-any.whl"


def assumed_world(world: World, question: ResolveQuestion) -> World:
    """The world in which versions require what is assumed, and nothing what is left out."""
    found = {name: dict(versions) for name, versions in world.items()}
    for assumed in question.assumed:
        found.setdefault(assumed.name, {})[assumed.version] = list(assumed.requires)
    for versions in found.values():
        for version, lines in versions.items():
            versions[version] = [
                line for line in lines if Requirement(line).name not in question.leave_out
            ]
    return found


class Premises:
    """The requirements of a question as `docs/conflicts.md` defines them, by trying.

    A constraint is ``name`` and bounds as they are written; the worlds write each in one way.
    """

    def __init__(self, world: World, request: list[str]) -> None:
        self.world = world
        self.request = request
        self.fixed: dict[str, tuple[str, str]] = {}
        waiting = list(request)
        for line in waiting:
            only = self._only(line)
            if only is not None and line not in self.fixed:
                self.fixed[line] = only
                waiting += world[only[0]][only[1]]
        self.all = frozenset(waiting)

    def _only(self, line: str) -> tuple[str, str] | None:
        requirement = Requirement(line)
        versions = [v for v in self.world.get(requirement.name, {}) if allows(requirement, v)]
        bounded = len(versions) == 1 and bool(requirement.specifier)
        return (requirement.name, versions[0]) if bounded else None

    def reached(self, kept: frozenset[str]) -> frozenset[str]:
        waiting = [line for line in self.request if line in kept]
        for line in waiting:
            if line in self.fixed:
                name, version = self.fixed[line]
                children = self.world[name][version]
                waiting += [c for c in children if c in kept and c not in waiting]
        return frozenset(waiting)

    def holds(self, kept: frozenset[str]) -> bool:
        """Whether these constraints have a solution."""
        kept = self.reached(kept)
        world = {name: dict(versions) for name, versions in self.world.items()}
        for name, version in self.fixed.values():
            world[name][version] = [c for c in world[name][version] if c in kept]
        return solve(world, [line for line in self.request if line in kept]) is not None

    def minimal(self) -> list[frozenset[str]]:
        """Every minimal set that has no solution, by trying all sets, the small ones first."""
        found: list[frozenset[str]] = []
        for kept in subsets(self.all):
            if any(known <= kept for known in found) or self.reached(kept) != kept:
                continue
            if not self.holds(kept):
                found.append(kept)
        return found

    def ends(self, conflict: frozenset[str]) -> frozenset[str]:
        """What conflicts in it, without what only brings that in."""
        for project in {Requirement(line).name for line in conflict}:
            own = [line for line in conflict if Requirement(line).name == project]
            for some in subsets(frozenset(own)):
                versions = self.world.get(project, {})
                if some and not any(all(allows(Requirement(c), v) for c in some) for v in versions):
                    return some
        links, waiting = set(), [line for line in self.request if line in conflict]
        for line in waiting:
            name, version = self.fixed.get(line, ("", ""))
            children = self.world[name][version] if name else []
            new = [c for c in dict.fromkeys(children) if c in conflict and c not in waiting]
            links |= {line} if new else set()
            waiting += new
        return conflict - links


def subsets(whole: frozenset[str]) -> Iterator[frozenset[str]]:
    """All of them, the small ones first."""
    for size in range(len(whole) + 1):
        yield from map(frozenset, combinations(sorted(whole), size))
