"""Other ways to a stack, the cheapest kind first: what is left where nothing published fits.

A pure function of the machine, what was tried and what is known of indexes. It takes no way and
promises none: each says what of it was checked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import msgspec

from sartor.plan.outcome import Strategy
from sartor.plan.tried import Tried, Wants
from sartor.plan.ways.ahead import ahead_of_time
from sartor.plan.ways.image import other_engines, published_images
from sartor.plan.ways.published import other_indexes, other_releases
from sartor.plan.ways.scene import Scene
from sartor.plan.ways.source import from_source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sartor.host.model import Host
    from sartor.plan.known import Listing, ListingQuestion
    from sartor.plan.outcome import Alternative

__all__ = ["Scene", "Tried", "Wants", "ways"]

ORDER = {strategy: place for place, strategy in enumerate(get_args(Strategy))}


def ways(
    host: Host,
    engines: Sequence[str],
    tried: Sequence[Tried],
    listings: Mapping[ListingQuestion, Listing] | None = None,
    as_of: str | None = None,
    allow: frozenset[str] = frozenset(),
) -> list[Alternative]:
    """The other ways, the cheapest kind first, within a kind the shortest (unknown times last).

    ``engines`` are those that were asked for, ``as_of`` (RFC 3339) hides what came later, and
    ``allow`` are the words of ``--allow``: what they allow needs no word any more.
    """
    scene = Scene(
        host=host,
        engines=list(engines),
        tried=list(tried),
        listings=dict(listings or {}),
        as_of=as_of,
    )
    found = [
        *other_releases(scene),
        *other_indexes(scene),
        *published_images(scene),
        *ahead_of_time(scene),
        *from_source(scene, allow),
        *other_engines(scene),
    ]
    first = scene.driver_first()
    return sorted((_allowed(_after(way, first), allow) for way in found), key=_order)


def _after(way: Alternative, first: str | None) -> Alternative:
    if first is None:
        return way
    return msgspec.structs.replace(way, not_checked=[first, *way.not_checked])


def _allowed(way: Alternative, allow: frozenset[str]) -> Alternative:
    return msgspec.structs.replace(way, needs=None) if way.needs in allow else way


def _order(way: Alternative) -> tuple[int, bool, float]:
    seconds = way.cost.seconds
    return ORDER[way.strategy], seconds is None, seconds or 0
