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
    "licence",
]


class LeftAlone(msgspec.Struct, frozen=True, kw_only=True):
    """Device code, or a whole library, that stays as it was, and why.

    ``layout``, ``unreadable``, ``check``, ``small`` and ``licence`` are said of the library: it is
    copied through, byte for byte. ``bytes`` are what stays that would be looked at else.
    """

    code: LeftCode
    why: str
    bytes: int = 0


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """The images of one kind and architecture: how many stay and go, and what they take."""

    kind: ImageKind
    arch: str
    kept: int = 0
    kept_bytes: int = 0
    dropped: int = 0
    dropped_bytes: int = 0


class SlimmedUnit(msgspec.Struct, frozen=True, kw_only=True):
    """One translation unit: the architectures of the images that stayed and went.

    ``offset`` is where its container was in the input.
    """

    offset: int
    kept: list[str]
    dropped: list[str]


class SlimmedLibrary(msgspec.Struct, frozen=True, kw_only=True):
    """One library, reduced to ``gpus``.

    ``device_bytes_before`` and ``device_bytes_after`` are the images' bytes as they are stored,
    those that were left alone with them; ``device_bytes_least`` is what the images take that the
    driver would choose, and nothing else. Where ``changed`` is False the output is the input.
    """

    path: str
    gpus: list[Target]
    keep_ptx: bool
    changed: bool
    bytes_before: int
    bytes_after: int
    device_bytes_before: int = 0
    device_bytes_after: int = 0
    device_bytes_least: int = 0
    images: list[Tally] = []
    units: list[SlimmedUnit] = []
    left_alone: list[LeftAlone] = []


class SlimmedTarget(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one target: of a library itself, or of the libraries in it.

    ``output`` is what was written; None: nothing was, for ``why`` or because it was only asked what
    would become. Where ``changed`` is False the output is the input. The device code's bytes are
    those of all libraries in the target. ``gpus`` are those that it is for, where it is for some of
    all alone. ``notes`` is what else is worth knowing.
    """

    target: str
    kind: Literal["library", "wheel", "environment"]
    output: str | None = None
    changed: bool
    bytes_before: int
    bytes_after: int
    device_bytes_before: int = 0
    device_bytes_after: int = 0
    device_bytes_least: int = 0
    libraries: list[SlimmedLibrary] = []
    why: str | None = None
    gpus: list[str] = []
    notes: list[str] = []


class Slimming(msgspec.Struct, frozen=True, kw_only=True, tag_field="schema", tag="sartor.slim/1"):
    """What `sartor slim` did, or would do: one result for each file or environment."""

    gpus: list[Target]
    keep_ptx: bool
    dry_run: bool
    results: list[SlimmedTarget]
