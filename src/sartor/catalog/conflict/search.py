"""What the resolver is asked so that the conflicts are minimal, and are all.

The conflicts that are known are K. A set of constraints that contains none of K is *free*. K is
complete if and only if every maximal free set has a solution: a conflict that is not in K would
lie in one of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sartor.catalog.conflict.direct import Meeting, reached
from sartor.catalog.conflict.models import Models
from sartor.catalog.conflict.proof import prove
from sartor.catalog.conflict.shrink import shrink
from sartor.catalog.conflict.subsets import bits, transversals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sartor.catalog.conflict.ask import Asker
    from sartor.catalog.conflict.direct import Direct, Some
    from sartor.catalog.conflict.lines import Constraint
    from sartor.catalog.conflict.seed import Seed
    from sartor.catalog.oracle import Oracle

FEW = 8
"""Questions that are rather asked one by one than replaced by a proof, which reads metadata."""


class Step(NamedTuple):
    """One of a conflict's constraints: without it the others are to have a solution."""

    conflict: Some
    without: Constraint


class Search:
    """Conflicts of a seed beyond those about one project, and the resolver's word on all."""

    def __init__(
        self, seed: Seed, direct: Direct, asker: Asker, found: Callable[[Meeting], None]
    ) -> None:
        self.meetings: dict[Some, Meeting] = {m.constraints: m for m in direct.all()}
        self.confirmed: set[Some] = set()
        self.wrong: list[Meeting] = []
        self._known: list[Some] = list(self.meetings)
        self._steps: set[Step] = {Step(u, c) for u in self.meetings for c in u}
        self._seed, self._direct, self._asker, self._found = seed, direct, asker, found

    def is_checked(self, meeting: Meeting) -> bool:
        """Whether the resolver said all that makes it a minimal conflict."""
        conflict = meeting.constraints
        open_steps = any(step.conflict == conflict for step in self._steps)
        return conflict in self.confirmed and not open_steps

    def check_minimal(self) -> None:
        """Ask for solutions without each constraint of each conflict: many at a time.

        One answer, for a maximal free set, stands for all sets in it. Where there is none, there
        is another conflict. Raises `OutOfTimeError`.
        """
        if not self._known and not self._solved(frozenset()):
            self.check_minimal()
        while self._steps:
            step = min(self._steps, key=self._order)
            removed = self._removing(step)
            if removed is None or self._solved(removed):
                self._steps.discard(step)

    def confirm(self) -> None:
        """Ask whether each conflict is one; raises `OutOfTimeError`."""
        for conflict, meeting in list(self.meetings.items()):
            if self._asker.ask(conflict, anew=True).solvable:
                self.wrong.append(meeting)
            else:
                self.confirmed.add(conflict)

    def finish(self, oracle: Oracle) -> str | None:
        """Whether the conflicts are all: None, or why that is not known.

        Raises `OutOfTimeError`.
        """
        while True:
            before = len(self._known)
            removals, every = self._removals(self._known)
            left = [r for r in removals if not self._asker.said_solvable(self._asker.all - r)]
            why = None
            if not every or len(left) > FEW:
                why = self._proved(oracle)
            if every and (len(left) <= FEW or why is not None):
                why = self._each(left, oracle)
            if len(self._known) == before:
                return why
            self.check_minimal()

    def _each(self, removals: Sequence[Some], oracle: Oracle) -> str | None:
        """See of each that what is left has a solution: one that is known, or another one."""
        models, taken = Models(self._seed, oracle), 0
        few = len(removals) <= FEW
        for removed in removals:
            self._asker.check_time()
            solutions = self._asker.solutions[taken:]
            if not few and (why := models.add(solutions)):
                return why
            taken += len(solutions)
            if few or not models.fits(self._asker.all - removed):
                self._solved(removed)
        return None

    def _proved(self, oracle: Oracle) -> str | None:
        """Prove it for every way to be rid of those that are not about one project."""
        removals, every = self._removals(self._direct.deep)
        if not every:
            return "there are too many conflicts of several projects"
        for removed in removals:
            kept = self._asker.effective(self._asker.all - removed)
            why = prove(self._seed, self._direct, oracle, kept)
            if why is not None:
                return why
        return None

    def _removals(self, conflicts: Iterable[Some]) -> tuple[list[Some], bool]:
        """The minimal sets of constraints without which none of the conflicts is there."""
        order = {c: i for i, c in enumerate(sorted(self._asker.all))}
        names = list(order)
        edges = [sum(1 << order[c] for c in conflict) for conflict in conflicts]
        found, every = transversals(edges)
        return [frozenset(names[i] for i in bits(mask)) for mask in found], every

    def _order(self, step: Step) -> tuple[int, list[Constraint], Constraint]:
        return len(step.conflict), sorted(step.conflict), step.without

    def _removing(self, step: Step) -> Some | None:
        """Constraints without which nothing of K is left, and of this conflict all but the one.

        Where there is a choice those that other steps ask for. None: there is no such set, as
        where the rest of the conflict holds another one.
        """
        keep = step.conflict - {step.without}
        removed = {step.without}
        for conflict in self._known:
            if not conflict & removed:
                choice = sorted(conflict - keep)
                if not choice:
                    return None
                wanted = [c for c in choice if Step(conflict, c) in self._steps]
                removed.add((wanted or choice)[-1])
        for one in sorted(removed - {step.without}):
            if all(conflict & (removed - {one}) for conflict in self._known):
                removed.remove(one)
        return frozenset(removed)

    def _solved(self, removed: Some) -> bool:
        """Whether what is left has a solution; else a conflict was added."""
        kept = self._asker.all - removed
        met = self._direct.meeting_within(kept, self._asker.all)
        if met is not None:
            self._add(met)
            return False
        if self._asker.ask(kept).solvable:
            self._steps = {s for s in self._steps if s.conflict & removed != {s.without}}
            return True
        conflict = shrink(self._seed, self._asker, kept)
        self._direct.deep.append(conflict)
        self._add(self._as_meeting(conflict))
        self._meet_again(conflict)
        return False

    def _meet_again(self, conflict: Some) -> None:
        """What contains a conflict is not minimal: it comes together otherwise, or never."""
        for constraints in [c for c in self.meetings if conflict < c]:
            before = self.meetings.pop(constraints)
            self._steps = {s for s in self._steps if s.conflict != constraints}
            met = self._direct.meet(before.ends)
            if met is not None:
                self._add(met)

    def _as_meeting(self, conflict: Some) -> Meeting:
        """Its premises are those that no other one was reached over."""
        within = {line for line in self._seed.lines if line.constraint in conflict}
        before = reached(self._seed, within)
        links = {line.constraint for line in before.values() if line is not None}
        return Meeting(conflict - links, tuple(before))

    def _add(self, meeting: Meeting) -> None:
        """To K; and to what is said, unless its ends were brought in by other lines before."""
        self._known.append(meeting.constraints)
        if any(m.ends == meeting.ends for m in self.meetings.values()):
            return
        self.meetings[meeting.constraints] = meeting
        self._steps |= {Step(meeting.constraints, c) for c in meeting.constraints}
        self._found(meeting)
