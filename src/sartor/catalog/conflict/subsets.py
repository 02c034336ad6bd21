"""All minimal sets of constraints that no version satisfies."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MOST_SETS = 2000


def minimal_empty(allowed: Sequence[int], universe: int) -> tuple[list[frozenset[int]], bool]:
    """Every minimal set of indices into ``allowed`` whose intersection in ``universe`` is empty.

    Versions are bits. A set leaves no version if and only if it has, for each version, a member
    that excludes it: these are the minimal transversals of *who excludes it*, found edge by edge
    (Berge). The second value says whether they are all: there are `MOST_SETS` at most.
    """
    if not universe:
        return [frozenset({i}) for i in range(len(allowed))], True
    edges = _minimal(_excluders(allowed, universe))
    found: list[int] = [0]
    complete = True
    for edge in sorted(edges, key=int.bit_count):
        hit = [t for t in found if t & edge]
        missed = [t | bit for t in found if not t & edge for bit in _bits(edge)]
        found = _minimal([*hit, *missed])
        if len(found) > MOST_SETS:
            found, complete = sorted(found, key=int.bit_count)[:MOST_SETS], False
    sets = [frozenset(i for i in range(len(allowed)) if t >> i & 1) for t in found]
    return sorted(sets, key=lambda s: (len(s), sorted(s))), complete


def _excluders(allowed: Sequence[int], universe: int) -> set[int]:
    """Of each version the constraints that exclude it, as bits."""
    found = set()
    for version in _bits(universe):
        found.add(sum(1 << i for i, mask in enumerate(allowed) if not mask & version))
    return found


def _bits(mask: int) -> Iterable[int]:
    while mask:
        bit = mask & -mask
        yield bit
        mask ^= bit


def _minimal(masks: Iterable[int]) -> list[int]:
    """Those of which no other is a subset."""
    kept: list[int] = []
    for mask in sorted(set(masks), key=int.bit_count):
        if not any(k & mask == k for k in kept):
            kept.append(mask)
    return kept
