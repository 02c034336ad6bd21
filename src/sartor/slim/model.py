"""What slimming gave: one result for each target, with what is in it. Sizes are in bytes."""

from __future__ import annotations

from typing import Literal

import msgspec

from sartor.slim.environment.model import InEnvironment
from sartor.slim.library.model import SlimmedLibrary
from sartor.verdict.model import Target

UnusedKind = Literal[
    "other-interpreter",
    "other-machine",
    "archives",
    "tests",
    "one-interpreter",
    "compiling",
    "on-request",
    "one-of",
]


class UnusedFiles(msgspec.Struct, frozen=True, kw_only=True):
    """Files of a package that cannot be used, or by some alone; ``example`` is the largest.

    ``removable``: they are certain to be of no use, and licences let them go. ``named_by`` is a
    file of the package that may need them: then they stay. ``packed_bytes`` is what they take in a
    wheel, compressed.
    """

    project: str
    kind: UnusedKind
    why: str
    files: int
    bytes: int
    example: str
    removable: bool
    removed: bool = False
    named_by: str | None = None
    packed_bytes: int | None = None


class SlimmedTarget(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one target: of a library itself, or of the libraries in it.

    ``output`` is what was written; None: nothing was, for ``why`` or because it was only asked what
    would become. Where ``changed`` is False the output is the input. The device code's bytes are
    those of all libraries in the target. ``gpus`` are those that it is for, where it is for some of
    all alone. ``unused`` is what of a wheel or an environment is of no use, or to some alone.
    ``notes`` is what else is worth knowing.
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
    unused: list[UnusedFiles] = []
    why: str | None = None
    gpus: list[str] = []
    notes: list[str] = []
    environment: InEnvironment | None = None


class Slimming(msgspec.Struct, frozen=True, kw_only=True, tag_field="schema", tag="sartor.slim/1"):
    """What `sartor slim` did, or would do: one result for each file or environment."""

    gpus: list[Target]
    keep_ptx: bool
    dry_run: bool
    results: list[SlimmedTarget]
