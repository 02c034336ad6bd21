"""From constraints that cannot hold together to a minimal set of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sartor.facts.packages import normalized

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sartor.catalog.conflict.ask import Asker
    from sartor.catalog.conflict.direct import Some
    from sartor.catalog.conflict.lines import Constraint
    from sartor.catalog.conflict.seed import Seed

NAME = re.compile(r"[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?")


def shrink(seed: Seed, asker: Asker, kept: Some) -> Some:
    """A minimal set among these, which the resolver said cannot hold together.

    Its words name few packages, so these are tried first. Raises `OutOfTimeError`.
    """
    kept = asker.effective(kept)
    why = asker.ask(kept).why
    named = {normalized(word) for word in NAME.findall(why)}
    about = frozenset(c for c in kept if c.project in named)
    chosen = asker.effective(about)
    if chosen < kept and not asker.ask(chosen).solvable:
        return shrink(seed, asker, chosen)
    order = list(dict.fromkeys(line.constraint for line in seed.lines))
    some = [c for c in order if c in kept]
    return frozenset(explain(some, lambda s: not asker.ask(frozenset(s)).solvable))


def explain(
    some: Sequence[Constraint], conflicts: Callable[[Sequence[Constraint]], bool]
) -> list[Constraint]:
    """QuickXplain: a minimal part of ``some`` that still conflicts (Junker 2004).

    ``conflicts`` is true of ``some`` as a whole, and of any more where it is of fewer.
    """
    return _within([], some, conflicts, changed=False)


def _within(
    base: list[Constraint],
    some: Sequence[Constraint],
    conflicts: Callable[[Sequence[Constraint]], bool],
    *,
    changed: bool,
) -> list[Constraint]:
    if changed and conflicts(base):
        return []
    if len(some) == 1:
        return list(some)
    middle = len(some) // 2
    left, right = some[:middle], some[middle:]
    of_right = _within([*base, *left], right, conflicts, changed=bool(left))
    of_left = _within([*base, *of_right], left, conflicts, changed=bool(of_right))
    return [*of_left, *of_right]
