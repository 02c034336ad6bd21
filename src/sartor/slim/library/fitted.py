"""A plan that fits: where new code is too large for its place, some of it is left out.

Whose machine code would add most keeps its PTX, one translation unit after another, until the rest
fits: so the fewest units are compiled at first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from sartor.slim.choice import kept_entries
from sartor.slim.library.headers import NotUnderstood
from sartor.slim.library.layout import TooLarge, plan_layout
from sartor.slim.library.regions import size_of

if TYPE_CHECKING:
    from sartor.artifact.source import Source
    from sartor.slim.choice import Wanted
    from sartor.slim.library.layout import Planned
    from sartor.slim.library.regions import Region


class Fitted(NamedTuple):
    """The plan, and the containers whose machine code was left out."""

    planned: Planned
    left_out: list[int]


def fitted(source: Source, regions: list[Region], wanted: Wanted) -> Fitted:
    """A plan for the regions; raises `Invalid` and `NotUnderstood`."""
    left_out: list[int] = []
    while True:
        try:
            return Fitted(plan_layout(source, regions), left_out)
        except TooLarge as large:
            linked = regions[0]
            growth = {i: _growth(linked, i, wanted) for i in _with_compiled(linked)}
            more = _largest(growth, large.by)
            if not more:
                raise NotUnderstood("what is new does not fit into its place") from large
            for i in more:
                linked = _with_ptx(linked, i, wanted)
            left_out += more
            regions = [linked, *regions[1:]]


def _with_compiled(region: Region) -> list[int]:
    return [i for i, own in enumerate(region.fresh) if any(one.was == "compiled" for one in own)]


def _with_ptx(region: Region, number: int, wanted: Wanted) -> Region:
    """The region with what a container would have without compiled code."""
    kept, fresh = list(region.kept), list(region.fresh)
    held = kept_entries(region.containers[number].entries, wanted)
    fresh[number] = tuple(one for one in fresh[number] if one.was == "compressed")
    kept[number] = held - {one.place for one in fresh[number]}
    return replace(region, kept=kept, fresh=fresh)


def _growth(region: Region, number: int, wanted: Wanted) -> int:
    without = _with_ptx(region, number, wanted)
    return size_of(region.entries_of(number)) - size_of(without.entries_of(number))


def _largest(growth: dict[int, int], by: int) -> list[int]:
    """Those that add most, until they add up to ``by``; none where nothing adds anything."""
    found = []
    for i in sorted(growth, key=lambda i: (-growth[i], i)):
        if by <= 0 or growth[i] <= 0:
            break
        found.append(i)
        by -= growth[i]
    return sorted(found)
