"""A version at a glance: on each GPU the verdict of its wheel for the processors beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sartor.matrix.model import MapVerdict, MapWheel
    from sartor.matrix.shown import Shown


class Version:
    """A version's wheels, given one after the other.

    ``verdicts`` are those on each GPU with a driver that is new enough; None where the map has no
    wheel of the version for the processors beside the GPU.
    """

    def __init__(self, what: Shown) -> None:
        self._what = what
        self.is_newest = False
        self.verdicts: list[MapVerdict | None] = [None] * len(what.gpus)

    def add(self, wheel: MapWheel) -> None:
        """The next wheel; of several that fit a GPU the first counts."""
        for number, verdict in enumerate(self._what.undriven(wheel)):
            fits = wheel.machine in {None, self._what.machine(number)}
            if fits and self.verdicts[number] is None:
                self.verdicts[number] = verdict
                self.is_newest |= wheel.is_newest
