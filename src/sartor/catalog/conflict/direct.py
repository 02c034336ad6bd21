"""Constraints on one project that no version satisfies, and the lines that bring them together."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sartor.catalog.conflict.lines import Constraint, allows, pinned, url_version
from sartor.catalog.conflict.subsets import minimal_empty

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from packaging.version import Version

    from sartor.catalog.conflict.candidates import Candidates
    from sartor.catalog.conflict.lines import Line
    from sartor.catalog.conflict.seed import Seed

MOST_TRIES = 400
"""Ways to bring the members of one conflict together that are looked at."""

Some = frozenset[Constraint]
NONE: Some = frozenset()
Ends = frozenset[Constraint]
"""Constraints that cannot hold together, without the lines that bring them in."""


class Meeting(NamedTuple):
    """Ends, and every line that has a part in bringing them in: no other ends are among these."""

    ends: Ends
    lines: tuple[Line, ...]

    @property
    def constraints(self) -> frozenset[Constraint]:
        """What all of the lines say."""
        return frozenset(line.constraint for line in self.lines)


def empty_sets(
    constraints: Sequence[Constraint], candidates: Candidates | None
) -> tuple[list[Ends], bool]:
    """All minimal sets of these constraints on one project that nothing satisfies.

    ``candidates`` None: what is published is not known; then exact pins alone disagree. The second
    value says whether these are all.
    """
    plain = [c for c in constraints if c.url is None]
    urls = [c for c in constraints if c.url is not None]
    found = list(_by_address(plain, urls))
    if candidates is None:
        return [*found, *_by_pins(plain)], True
    if any(all(allows(c, v) for c in plain) and candidates.usable(v) for v in candidates.versions):
        return found, True
    usable = [v for v in candidates.versions if candidates.usable(v)]
    masks = [sum(1 << i for i, v in enumerate(usable) if allows(c, v)) for c in plain]
    sets, complete = minimal_empty(masks, (1 << len(usable)) - 1)
    return [*found, *(frozenset(plain[i] for i in s) for s in sets)], complete


def _by_address(plain: Iterable[Constraint], urls: Sequence[Constraint]) -> Iterable[Ends]:
    """Two addresses; an address of a version that bounds exclude."""
    for i, one in enumerate(urls):
        yield from (frozenset({one, other}) for other in urls[i + 1 :])
        version = url_version(one.url or "")
        if version is not None:
            yield from (frozenset({one, c}) for c in plain if not allows(c, version))


def _by_pins(plain: Sequence[Constraint]) -> Iterable[Ends]:
    """Pairs of which one names a version that the other excludes, and the other way round too."""
    pins = [(c, v) for c in plain if (v := pinned(c)) is not None]
    for i, (one, version) in enumerate(pins):
        others = [c for c in plain if c not in [p for p, _ in pins[: i + 1]]]
        for other in others:
            named = pinned(other)
            if not allows(other, version) and not (named and allows(one, named)):
                yield frozenset({one, other})


def published(constraint: Constraint, candidates: Candidates) -> list[Version]:
    """The versions within bounds that are listed, whether they count or not, newest first."""
    return [v for v in candidates.versions if allows(constraint, v)]


class Direct:
    """All conflicts about one project each, as far as a seed has grown.

    ``deep`` are those of several projects that became known otherwise.
    """

    def __init__(self, seed: Seed) -> None:
        self.seed = seed
        self.sets: dict[str, list[Ends]] = {}
        self.deep: list[Some] = []
        self.complete = True
        self.cut: list[str] = []

    def look(self, projects: Iterable[str]) -> list[Meeting]:
        """The conflicts about these projects, of the constraints that are known now."""
        constraints: dict[str, dict[Constraint, None]] = {}
        for line in self.seed.lines:
            constraints.setdefault(line.project, {})[line.constraint] = None
        new: list[Ends] = []
        for project in projects:
            before = self.sets.get(project, [])
            known = list(constraints[project])
            sets, complete = empty_sets(known, self.seed.candidates[project])
            if not complete:
                self.cut.append(f"{project}: there are more conflicts than were counted")
            self.sets[project] = sets
            new += [ends for ends in sets if ends not in before]
        meetings = (self.meet(ends) for ends in new)
        return [meeting for meeting in meetings if meeting is not None]

    def all(self) -> list[Meeting]:
        """Every conflict that was found."""
        meetings = (self.meet(ends) for sets in self.sets.values() for ends in sets)
        return [meeting for meeting in meetings if meeting is not None]

    def meet(self, ends: Ends, without: Some = NONE) -> Meeting | None:
        """How they come together without any other conflict; None where they never do.

        Two conflicting versions of a package bring in lines that conflict as well: these are no
        conflict of their own, for no set of packages has both.
        """
        tried: set[Some] = set()
        waiting = [without]
        while waiting:
            without = waiting.pop()
            if without in tried:
                continue
            tried.add(without)
            if len(tried) > MOST_TRIES:
                self.cut.append(f"{_named(ends)}: not all ways to them were followed")
                return None
            lines = self._gather(ends, without)
            if lines is None:
                continue
            other = self._other(lines, ends)
            if other is None:
                return Meeting(ends, tuple(lines))
            waiting += [without | {c} for c in other - ends]
        return None

    def meeting_within(self, kept: Some, everything: Some) -> Meeting | None:
        """A conflict among what these constraints bring in; None where none is known."""
        within = {line for line in self.seed.lines if line.constraint in kept}
        there = frozenset(line.constraint for line in reached(self.seed, within))
        for project in {c.project for c in there}:
            for ends in self.sets.get(project, []):
                if ends <= there and (met := self.meet(ends, everything - kept)):
                    return met
        return None

    def _other(self, lines: Iterable[Line], ends: Ends) -> Ends | None:
        """Another conflict among these lines."""
        there = frozenset(line.constraint for line in lines)
        for project in {c.project for c in there}:
            for one in self.sets.get(project, []):
                if one != ends and one <= there:
                    return one
        return next((one for one in self.deep if one < there), None)

    def _gather(self, ends: Ends, without: Some) -> list[Line] | None:
        """The fewest lines found that bring all of them in; None where there are none."""
        within = {line for line in self.seed.lines if line.constraint not in without}
        chains = self.chains(ends, within)
        if chains is None:
            return None
        lines = {line: None for chain in chains.values() for line in chain}
        for line in list(lines):
            if line.constraint in ends:
                continue
            fewer = self.chains(ends, lines.keys() - {line})
            if fewer is not None:
                lines = {each: None for chain in fewer.values() for each in chain}
        return list(lines)

    def chains(self, ends: Ends, within: Collection[Line]) -> dict[Constraint, list[Line]] | None:
        """A shortest way to each end over these lines; None where one is not reached."""
        before = reached(self.seed, within)
        first: dict[Constraint, Line] = {}
        for line in before:
            if line.constraint in ends:
                first.setdefault(line.constraint, line)
        if len(first) < len(ends):
            return None
        return {c: _way(before, line) for c, line in first.items()}


def reached(seed: Seed, within: Collection[Line]) -> dict[Line, Line | None]:
    """The lines that the request leads to over these, nearest first, each with the one before."""
    before: dict[Line, Line | None] = {line: None for line in seed.roots if line in within}
    waiting = list(before)
    for line in waiting:
        for child in seed.children.get(line, ()):
            if child in within and child not in before:
                before[child] = line
                waiting.append(child)
    return before


def _way(before: dict[Line, Line | None], line: Line) -> list[Line]:
    way = [line]
    while (step := before[way[-1]]) is not None:
        way.append(step)
    return way[::-1]


def _named(ends: Ends) -> str:
    return ", ".join(sorted(c.text for c in ends))
