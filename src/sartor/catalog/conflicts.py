"""Every minimal set of requirements that cannot hold together, each with its derivation.

What is a requirement here, and what is minimal, is said in `docs/conflicts.md`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from sartor.errors import UsageError
from sartor.plan.outcome import Conflict, Found

if TYPE_CHECKING:
    from collections.abc import Callable

    from sartor.catalog.conflict.ask import Asker
    from sartor.catalog.conflict.direct import Direct, Ends, Meeting
    from sartor.catalog.conflict.search import Search
    from sartor.catalog.oracle import Oracle
    from sartor.plan.known import ResolveQuestion


def conflicts(
    question: ResolveQuestion,
    oracle: Oracle,
    *,
    seconds: float,
    found: Callable[[Conflict], None] | None = None,
) -> Found:
    """All conflicts of a question, as far as ``seconds`` go.

    ``found`` is told of each at once, before it is known whether a part of it conflicts already.

    Raises `UsageError` for a requirement that is none. Without a conflict, and `complete`, the
    question has a solution.
    """
    return _Finding(question, oracle, seconds, found or _nobody).all()


def _nobody(conflict: Conflict) -> None:
    """Is told, and does nothing."""


class _Finding:
    def __init__(
        self,
        question: ResolveQuestion,
        oracle: Oracle,
        seconds: float,
        found: Callable[[Conflict], None],
    ) -> None:
        from sartor.catalog.conflict.direct import Direct
        from sartor.catalog.conflict.seed import Seed

        self._until = time.monotonic() + seconds
        self._oracle = oracle
        self._tell = found
        self._told: set[Ends] = set()
        try:
            self._seed = Seed(question, oracle)
        except ValueError as error:
            raise UsageError(
                f"a requirement cannot be read: {error}", hint="write it as `vllm==0.33.0`"
            ) from None
        self._direct: Direct = Direct(self._seed)
        self._left: list[str] = []
        self._calls = 0

    def all(self) -> Found:
        from sartor.catalog.conflict.ask import Asker
        from sartor.catalog.conflict.search import Search

        for projects in self._seed.grow(self._is_over):
            for meeting in self._direct.look(projects):
                self._say(meeting)
        asker = Asker(self._seed, self._oracle, self._is_over)
        search = Search(self._seed, self._direct, asker, lambda m: self._say(m, asker))
        proved = self._search(search)
        left = [*self._left, *self._direct.cut]
        left += [f"{what}: {why}" for what, why in sorted(self._seed.unread.items())]
        left += [f"the resolver has a solution for: {_texts(m)}" for m in search.wrong]
        said = [self._conflict(m, search, asker) for m in search.meetings.values()]
        said.sort(key=lambda c: (len(c.premises), [p.requirement for p in c.premises]))
        return Found(said, proved and not left, left, asker.calls)

    def _search(self, search: Search) -> bool:
        """Ask the resolver; whether the conflicts are all."""
        from sartor.catalog.conflict.ask import OutOfTimeError

        try:
            search.check_minimal()
            why = search.finish(self._oracle)
            if why is not None:
                self._left.append(f"whether there are more conflicts: {why}")
            search.confirm()
        except OutOfTimeError as reason:
            self._left.append(f"whether there are more conflicts, or smaller ones: {reason}")
            return False
        return why is None

    def _say(self, meeting: Meeting, asker: Asker | None = None) -> None:
        if meeting.ends not in self._told:
            self._told.add(meeting.ends)
            self._tell(self._conflict(meeting, None, asker))

    def _conflict(self, meeting: Meeting, search: Search | None, asker: Asker | None) -> Conflict:
        from sartor.catalog.conflict.words import conflict_of

        why = asker.why(meeting.constraints) if asker else ""
        said = conflict_of(meeting, self._direct, self._oracle, why)
        if search is not None and search.is_checked(meeting):
            return msgspec.structs.replace(said, checked_by="uv")
        return said

    def _is_over(self) -> bool:
        return time.monotonic() >= self._until


def _texts(meeting: Meeting) -> str:
    return ", ".join(sorted(c.text for c in meeting.ends))
