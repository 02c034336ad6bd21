"""Which images of a container are kept for some GPUs: those that the driver would choose.

By the rule of `sartor.verdict.load_rule`; docs/fatbin-load-rule.md says how that was measured.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from sartor.verdict.load_rule import (
    Chosen,
    Native,
    Nothing,
    Unsettled,
    architecture,
    choose,
    container_outcome,
    image_outcome,
)
from sartor.verdict.model import Target
from sartor.verdict.unit import Look

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sartor.artifact.fatbin import Entry


class Wanted(msgspec.Struct, frozen=True):
    """What a library shall still run on.

    ``keep_ptx``: each unit keeps the PTX that GPUs newer than all of today's would take.
    ``retarget``: PTX that the driver would compile is compiled ahead of time. ``compress``: what is
    stored plain is compressed. ``driver`` and ``driver_cuda`` are the oldest driver's of the GPUs,
    where all are known: they say what images may be compressed with, and compiled by.
    """

    targets: tuple[Target, ...]
    keep_ptx: bool = False
    retarget: bool = False
    compress: bool = False
    driver: str | None = None
    driver_cuda: str | None = None

    @property
    def gpus(self) -> list[str]:
        """``sm_90``, ``sm_120``."""
        return [target.gpu for target in self.targets]


def look_of(entry: Entry) -> Look:
    """What the driver's rule looks at of an entry."""
    return Look(entry.image_kind, entry.architecture, entry.ptx_isa, entry.compression)


def kept_entries(entries: Iterable[Entry], wanted: Wanted) -> frozenset[int]:
    """The places in a container of the images that stay.

    Where one is of a kind that is not known, all do: what the driver makes of them was not tried.
    LTO-IR stays, for other programs than the driver read it.
    """
    return _kept(tuple(look_of(entry) for entry in entries), wanted)


def kept_relocatable(
    entries: list[Entry], linked: list[list[Entry]], wanted: Wanted
) -> frozenset[int]:
    """The places in a container of relocatable code of the images that stay.

    The run time links such code where what was linked does not fit. Where all that was linked is
    machine code for each of the GPUs, nothing of it is looked at (tried on an H200, with all its
    containers empty); else all of it stays.
    """
    images = tuple(look_of(entry) for entry in entries)
    units = {tuple(look_of(entry) for entry in unit) for unit in linked}
    native = units and all(_is_native(unit, target) for unit in units for target in wanted.targets)
    if not native or any(image.kind in {"unknown", "ltoir"} for image in images):
        return frozenset(range(len(images)))
    return frozenset(_forward(images) if wanted.keep_ptx else ())


def _is_native(images: tuple[Look, ...], target: Target) -> bool:
    target = replace(target, driver=None, driver_cuda=None)
    return isinstance(container_outcome(images, target), Native)


@lru_cache(1 << 14)
def _kept(images: tuple[Look, ...], wanted: Wanted) -> frozenset[int]:
    if any(image.kind == "unknown" for image in images):
        return frozenset(range(len(images)))
    kept = {i for i, image in enumerate(images) if image.kind == "ltoir"}
    for target in wanted.targets:
        kept |= _chosen(images, replace(target, driver=None, driver_cuda=None))
    if wanted.keep_ptx:
        kept |= _forward(images)
    return frozenset(kept)


def _chosen(images: tuple[Look, ...], target: Target) -> set[int]:
    """The image that the driver takes, or all that it may take.

    Where it is only not known which of several minor versions it takes, and it runs each of them,
    the newest stays: that one fits, and is the only one left to take.
    """
    match choose(images, target):
        case Chosen(index=index):
            return {index}
        case Nothing():
            return set()
        case Unsettled(among=among):
            outcomes = [image_outcome(images[i], target) for i in among]
            if not all(isinstance(outcome, Native) for outcome in outcomes):
                return set(among)
            numbers = {i: code.number for i in among if (code := architecture(images[i].arch))}
            newest = [i for i in among if numbers[i] == max(numbers.values())]
            if len(newest) == len(among):
                return set(among)
            return {newest[i] for i in _chosen(tuple(images[i] for i in newest), target)}


def _forward(images: tuple[Look, ...]) -> set[int]:
    """The PTX that a GPU newer than any of them takes: the newest without a suffix, the first."""
    numbers = {
        i: code.number
        for i, image in enumerate(images)
        if image.kind == "ptx" and (code := architecture(image.arch)) and not code.suffix
    }
    return {max(numbers, key=lambda i: (numbers[i], -i))} if numbers else set()
