"""`SupportMap`: wheels against GPUs and drivers, part by part."""

from __future__ import annotations

from typing import Literal

import msgspec

from sartor.evidence.row import Extent
from sartor.verdict.model import FeatureGrade, Reason, Target

MapGrade = Literal[
    "native", "jit", "partial", "missing", "unknown", "not-applicable", "no-device-code"
]
GRADES: tuple[MapGrade, ...] = (
    "native",
    "jit",
    "partial",
    "unknown",
    "missing",
    "not-applicable",
    "no-device-code",
)
"""What is best first."""
HAS_CODE: tuple[MapGrade, ...] = ("native", "jit", "partial")
"""Those of a wheel that has code for a GPU and a driver, for its core at least."""


class MapTarget(Target, frozen=True):
    """A GPU and its driver; ``machine``: the only kind of processor that it exists beside."""

    machine: str | None = None


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A feature of a wheel on one GPU; of a wheel whose features are not known, a library.

    ``verdict``, ``reasons`` and ``needs_driver_cuda`` are what `sartor inspect` says.
    ``needs_driver`` is the oldest driver branch that supports that CUDA version. ``core``: without
    it nothing else is of use.
    """

    name: str
    verdict: FeatureGrade
    reasons: list[Reason] = []
    note: str | None = None
    needs_driver_cuda: str | None = None
    needs_driver: int | None = None
    core: bool = False


class MapVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a wheel is on one GPU, the ``target``-th.

    ``native``: machine code for all that the GPU uses. ``jit``: some of that is compiled by the
    driver at first use. ``partial``: some of that is missing, or not checked. ``missing``: its core
    is, or all of it. ``unknown``: not checked. ``not-applicable``: it is for another processor, or
    its engine calls none of it there. ``needs_driver`` is the oldest driver branch for all that it
    has for the GPU. Of two versions of a project the one with the higher ``score`` has more.
    """

    target: int
    verdict: MapGrade
    because: str
    score: int
    needs_driver_cuda: str | None = None
    needs_driver: int | None = None
    parts: list[Part] = []


class Companion(msgspec.Struct, frozen=True, kw_only=True):
    """A wheel that one asks for by its exact version; ``sha256``: the one in the map, if any."""

    requirement: str
    sha256: str | None = None


class MapWheel(msgspec.Struct, frozen=True, kw_only=True):
    """One wheel: which it is, when and by which version of the readers it was read, its verdicts.

    ``machine``: the processors that it is for (None: any). ``parts_are``: what its parts are.
    ``is_newest``: no later version of the project for the same processors is in the map.
    """

    project: str
    version: str
    machine: str | None
    file: str
    sha256: str
    size: int
    read_at: str
    reader: int
    is_current: bool
    extent: Extent
    is_newest: bool
    parts_are: Literal["features", "libraries"] = "features"
    requires: list[Companion] = []
    verdicts: list[MapVerdict] = []


class SupportMap(msgspec.Struct, frozen=True, kw_only=True, tag_field="schema", tag="sartor.map/1"):
    """What `sartor evidence map` prints: what is kept against GPUs, read from machine code."""

    gpus: list[MapTarget]
    wheels: list[MapWheel]
