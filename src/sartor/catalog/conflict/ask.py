"""Asking the resolver about some of a seed's constraints, as seldom as may be."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from packaging.version import Version

from sartor.catalog.conflict.direct import reached
from sartor.plan.known import Assumed, Resolution, Unsolvable

if TYPE_CHECKING:
    from collections.abc import Callable

    from sartor.catalog.conflict.direct import Some
    from sartor.catalog.conflict.seed import Seed
    from sartor.catalog.oracle import Oracle
    from sartor.plan.known import ResolveQuestion


class OutOfTimeError(Exception):
    """The time is over, or the resolver gave no answer: what is under way is left."""


class Answer(NamedTuple):
    """Whether constraints can hold together; ``why`` not, in the resolver's words."""

    solvable: bool
    why: str = ""


class Asker:
    """Whether some constraints of a seed can hold together, by the resolver.

    A version that the seed fixes is taken to require those of its lines that are kept; any other
    version what it declares. So what is asked is the question itself, less some lines.
    """

    def __init__(self, seed: Seed, oracle: Oracle, is_over: Callable[[], bool]) -> None:
        self.all: Some = frozenset(line.constraint for line in seed.lines)
        self.calls = 0
        self.solutions: list[dict[str, Version]] = []
        self._seed = seed
        self._oracle = oracle
        self._is_over = is_over
        self._lock = threading.Lock()
        self._solvable: list[Some] = []
        self._unsolvable: dict[Some, str] = {}

    def ask(self, kept: Some, *, anew: bool = False) -> Answer:
        """Of these constraints; ``anew``: not by what was said of fewer or of more of them.

        Raises `OutOfTimeError`.
        """
        kept = self.effective(kept)
        if (known := self._known(kept, anew=anew)) is not None:
            return known
        self.check_time()
        with self._lock:
            self.calls += 1
        resolved = self._oracle.resolve(self.question(kept))
        if isinstance(resolved, Resolution):
            self._solvable.append(kept)
            self.solutions.append({p.name: Version(p.version) for p in resolved.packages})
            return Answer(True)
        if isinstance(resolved, Unsolvable):
            self._unsolvable[kept] = resolved.why
            return Answer(False, resolved.why)
        raise OutOfTimeError(f"the resolver gave no answer: {resolved.why.strip()[:400]}")

    def check_time(self) -> None:
        """Raises `OutOfTimeError` once the time is over."""
        if self._is_over():
            raise OutOfTimeError("time was over")

    def effective(self, kept: Some) -> Some:
        """Those that the request leads to."""
        within = {line for line in self._seed.lines if line.constraint in kept}
        return frozenset(line.constraint for line in reached(self._seed, within))

    def why(self, kept: Some) -> str:
        """What the resolver said where it was asked of these, and they have no solution."""
        return self._unsolvable.get(self.effective(kept), "")

    def said_solvable(self, kept: Some) -> bool:
        """Whether the resolver said so, of these or of more."""
        kept = self.effective(kept)
        return any(kept <= known for known in self._solvable)

    def _known(self, kept: Some, *, anew: bool) -> Answer | None:
        if not kept:
            return Answer(True)
        if kept in self._unsolvable:
            return Answer(False, self._unsolvable[kept])
        if anew:
            return None
        if any(kept <= known for known in self._solvable):
            return Answer(True)
        return next((Answer(False, w) for k, w in self._unsolvable.items() if k <= kept), None)

    def question(self, kept: Some) -> ResolveQuestion:
        """What the resolver is asked of these."""
        seed = self._seed
        removed = self.all - kept
        roots = [line for line in seed.roots if line.constraint in kept]
        holders = {(line.project, version) for line, version in seed.fixed.items()}
        assumed = {
            (normal, str(version)): Assumed(normal, str(version), seed.without(holder, removed))
            for holder in sorted(holders)
            for normal, version in [holder]
        }
        given = [a for a in seed.question.assumed if (a.name, a.version) not in assumed]
        return msgspec.structs.replace(
            seed.question,
            requirements=tuple(text for line in roots for text in seed.texts[line]),
            assumed=(*given, *assumed.values()),
        )
