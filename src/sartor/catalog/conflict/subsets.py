"""All minimal sets of constraints that no version satisfies."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

MOST_SETS = 2000


def minimal_empty(allowed: Sequence[int], universe: int) -> tuple[list[frozenset[int]], bool]:
    """Every minimal set of indices into ``allowed`` whose intersection in ``universe`` is empty.

    Versions are bits. A set leaves no version if and only if it has, for each version, a member
    that excludes it: these are the minimal transversals of *who excludes it*. The second value
    says whether they are all: there are `MOST_SETS` at most.
    """
    if not universe:
        return [frozenset({i}) for i in range(len(allowed))], True
    found, complete = transversals(_excluders(allowed, universe))
    sets = [frozenset(bits(t)) for t in found]
    return sorted(sets, key=lambda s: (len(s), sorted(s))), complete


def transversals(edges: Iterable[int], most: int = MOST_SETS) -> tuple[list[int], bool]:
    """The minimal sets that have a member of each edge, edge by edge (Berge); and whether all."""
    found, complete = [0], True
    for edge in sorted(_minimal(edges), key=int.bit_count):
        hit = [t for t in found if t & edge]
        missed = [t | 1 << i for t in found if not t & edge for i in bits(edge)]
        found = _minimal([*hit, *missed])
        if len(found) > most:
            found, complete = sorted(found, key=int.bit_count)[:most], False
    return found, complete


def _excluders(allowed: Sequence[int], universe: int) -> set[int]:
    """Of each version the constraints that exclude it, as bits."""
    return {
        sum(1 << i for i, mask in enumerate(allowed) if not mask >> version & 1)
        for version in bits(universe)
    }


def bits(mask: int) -> Iterator[int]:
    """The places of a mask's bits, the lowest first."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


def _minimal(masks: Iterable[int]) -> list[int]:
    """Those of which no other is a subset."""
    kept: list[int] = []
    for mask in sorted(set(masks), key=int.bit_count):
        if not any(k & mask == k for k in kept):
            kept.append(mask)
    return kept
