"""What slimming a library did: values to be shown, or printed as JSON. Sizes are in bytes."""

from __future__ import annotations

from typing import Literal

import msgspec

from sartor.artifact.model import ImageKind
from sartor.verdict.model import Target

LeftCode = Literal[
    "layout",
    "unreadable",
    "check",
    "relocatable",
    "scattered",
    "lto-ir",
    "unknown-kind",
    "small",
    "not-ours",
    "not-compiled",
    "no-room",
    "licence",
]


class LeftAlone(msgspec.Struct, frozen=True, kw_only=True):
    """Device code, or a whole library, that stays as it was, and why.

    ``layout``, ``unreadable``, ``check``, ``small`` and ``licence`` are said of the library: it is
    copied through, byte for byte. So is ``not-ours``, of a library in an environment that is not to
    be changed there. ``not-compiled`` and ``no-room`` are said of PTX that was to be compiled ahead
    of time. ``bytes`` are what stays that would be looked at else, ``units`` how many translation
    units it is said of, where it is of some.
    """

    code: LeftCode
    why: str
    bytes: int = 0
    units: int = 0


class Retargeted(msgspec.Struct, frozen=True, kw_only=True):
    """PTX of one architecture that was compiled for one GPU: ``units`` translation units.

    ``ptx_bytes`` is what the PTX takes in the input, ``bytes`` what the machine code takes in the
    output, compressed as ``compression`` says; ``plain_bytes`` what it is without. ``ptxas`` are
    the versions that compiled it.
    """

    ptx: str
    arch: str
    units: int
    ptx_bytes: int
    bytes: int
    plain_bytes: int
    compression: str | None
    ptxas: list[str]


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """The images of one kind and architecture: how many stay, go and are new, and what they take.

    Of those that stay ``compressed`` were compressed, which saved ``saved_bytes`` of what they
    took; ``kept_bytes`` is what they take now.
    """

    kind: ImageKind
    arch: str
    kept: int = 0
    kept_bytes: int = 0
    dropped: int = 0
    dropped_bytes: int = 0
    new: int = 0
    new_bytes: int = 0
    compressed: int = 0
    saved_bytes: int = 0


class SlimmedUnit(msgspec.Struct, frozen=True, kw_only=True):
    """One translation unit: the architectures of the images that stayed, went and are new.

    ``offset`` is where its container was in the input. ``kernels`` are the mangled names in one
    that is emptied, where facts tell the library's units apart by them.
    """

    offset: int
    kept: list[str]
    dropped: list[str]
    new: list[str] = []
    kernels: list[str] | None = None


class SlimmedLibrary(msgspec.Struct, frozen=True, kw_only=True):
    """One library, reduced to ``gpus``.

    ``device_bytes_before`` and ``device_bytes_after`` are the images' bytes as they are stored,
    those that were left alone with them; ``device_bytes_least`` is what the images take that the
    driver would choose, and nothing else. Where ``changed`` is False the output is the input.
    ``nothing_for`` are those of the GPUs for which there was no image in any of its units.
    ``retarget`` and ``compress`` are what was asked for, ``retargeted`` what came of it.
    """

    path: str
    gpus: list[Target]
    keep_ptx: bool
    retarget: bool = False
    compress: bool = False
    changed: bool
    bytes_before: int
    bytes_after: int
    device_bytes_before: int = 0
    device_bytes_after: int = 0
    device_bytes_least: int = 0
    nothing_for: list[str] = []
    images: list[Tally] = []
    units: list[SlimmedUnit] = []
    retargeted: list[Retargeted] = []
    left_alone: list[LeftAlone] = []
