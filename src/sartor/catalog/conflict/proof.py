"""Proof that a set of constraints has no conflicts but those about one project.

Of each project it is known which versions a line *fixes*. For the case that no such line is there,
one version is chosen for each set of its other constraints: from a solution that the resolver gave
for these all. If no requirement of a chosen version excludes a version of another project that is
chosen, or that may be fixed at the same time, then any constraints that hold project by project
have a solution: the fixed version where one is fixed, else the chosen one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from packaging.version import Version

from sartor.catalog.conflict.direct import reached
from sartor.catalog.conflict.lines import allows
from sartor.catalog.conflict.models import read_metadata
from sartor.catalog.conflict.subsets import bits, transversals
from sartor.plan.known import Resolution

if TYPE_CHECKING:
    from sartor.catalog.conflict.direct import Direct, Some
    from sartor.catalog.conflict.lines import Constraint, Line
    from sartor.catalog.conflict.seed import Seed
    from sartor.catalog.oracle import Oracle

MOST_SOLUTIONS = 8


def prove(seed: Seed, direct: Direct, oracle: Oracle, kept: Some) -> str | None:
    """None where it is proved of these constraints; else what stands against the proof."""
    if any(c.url is not None for c in kept):
        return "a requirement names an address"
    proof = _Proof(seed, direct, oracle, kept)
    return proof.choose() or proof.read() or proof.hold()


class _Proof:
    def __init__(self, seed: Seed, direct: Direct, oracle: Oracle, kept: Some) -> None:
        self.seed, self.direct, self.oracle = seed, direct, oracle
        never = {c for sets in direct.sets.values() for e in sets if len(e) == 1 for c in e}
        within = {line for line in seed.lines if line.constraint in kept - never}
        self.lines = list(reached(seed, within))
        self.free = [line for line in self.lines if line not in seed.fixed]
        self.chosen: dict[str, set[Version]] = {}
        self.extras: dict[str, set[str]] = {}

    def choose(self) -> str | None:
        """Have the resolver choose versions for all that is not fixed."""
        by_project: dict[str, list[Constraint]] = {}
        for line in self.free:
            by_project.setdefault(line.project, []).append(line.constraint)
            self.extras.setdefault(line.project, set()).update(line.extras)
        maximal = {p: self._maximal(p, dict.fromkeys(cs)) for p, cs in by_project.items()}
        times = max(map(len, maximal.values()), default=0)
        if times > MOST_SOLUTIONS:
            return f"constraints of one project can be had in {times} ways"
        for turn in range(times):
            wanted = {c for p in maximal for c in maximal[p][turn % len(maximal[p])]}
            texts = tuple(line.text for line in self.free if line.constraint in wanted)
            question = msgspec.structs.replace(self.seed.question, requirements=texts)
            answer = self.oracle.resolve(question)
            if not isinstance(answer, Resolution):
                return "what is not fixed has no solution as a whole"
            for locked in answer.packages:
                self.chosen.setdefault(locked.name, set()).add(Version(locked.version))
        return None

    def _maximal(self, project: str, constraints: dict[Constraint, None]) -> list[set[Constraint]]:
        """The maximal sets of them that a version satisfies."""
        order = list(constraints)
        sets = [e for e in self.direct.sets.get(project, []) if e <= constraints.keys()]
        edges = [sum(1 << order.index(c) for c in ends) for ends in sets]
        removed, _ = transversals(edges)
        return [{c for i, c in enumerate(order) if i not in set(bits(r))} for r in removed]

    def read(self) -> str | None:
        """The metadata of the chosen versions, of those that are not read yet."""
        wanted = [(p, v) for p, versions in self.chosen.items() for v in versions]
        return read_metadata(self.seed, self.oracle, wanted)

    def hold(self) -> str | None:
        """Whether the requirements of all that is chosen hold, whatever is fixed beside it."""
        waiting = sorted(self.chosen)
        while waiting:
            project = waiting.pop()
            fixed = self._fixed_beside(project)
            for version in sorted(self.chosen[project]):
                extras = self.extras.get(project, set())
                for held in self.seed.own_lines((project, version), extras):
                    why = self._excluded(f"{project} {version}", held.line, fixed)
                    if why is not None:
                        return why
                    more = set(held.line.extras) - self.extras.setdefault(held.line.project, set())
                    if more:
                        self.extras[held.line.project] |= more
                        waiting.append(held.line.project)
        return self._extras_hold()

    def _fixed_beside(self, project: str) -> dict[str, set[Version]]:
        """What may be fixed where no line fixes this project."""
        fixed = self.seed.fixed
        within = {x for x in self.lines if not (x in fixed and x.project == project)}
        found: dict[str, set[Version]] = {}
        for line in reached(self.seed, within):
            if line in fixed:
                found.setdefault(line.project, set()).add(fixed[line])
        return found

    def _excluded(self, who: str, line: Line, fixed: dict[str, set[Version]]) -> str | None:
        others = self.chosen.get(line.project, set()) | fixed.get(line.project, set())
        if line.constraint.url is not None or line.project not in self.chosen:
            return f"{who} requires {line.text}, which no solution has"
        for version in sorted(others):
            if not allows(line.constraint, version):
                return f"{who} requires {line.text}, and {version} may be needed"
        return None

    def _extras_hold(self) -> str | None:
        """Extras of fixed versions that lines ask for which do not fix them."""
        seed, fixed = self.seed, self._fixed_beside("")
        for project, versions in fixed.items():
            extras = self.extras.get(project, set())
            for version in versions if extras else ():
                plain = set(seed.own_lines((project, version), ()))
                for held in set(seed.own_lines((project, version), extras)) - plain:
                    why = self._excluded(f"{project} {version}", held.line, fixed)
                    if why is not None:
                        return why
        return None
