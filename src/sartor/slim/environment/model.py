"""What slimming did in an environment beside its libraries, and what undoing did."""

from __future__ import annotations

import msgspec


class LeftPackage(msgspec.Struct, frozen=True, kw_only=True):
    """A package with device code of which nothing may be changed, and why."""

    project: str
    version: str
    why: str
    libraries: int
    bytes: int


class InEnvironment(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of an environment beside its libraries.

    ``undo`` is the folder from which `--undo` brings everything back, which takes ``kept_bytes``;
    None: nothing is kept. ``shared_bytes`` are of files that have other names too (hard links: in a
    cache, in other environments): the disk has them back when those go. ``not_touched`` are folders
    that it imports from and that are not its own.
    """

    python: str
    left: list[LeftPackage] = []
    undo: str | None = None
    kept_bytes: int = 0
    shared_bytes: int = 0
    not_touched: list[str] = []


class NotUndone(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was not brought back, and why; ``hint`` is what brings it back."""

    path: str
    project: str
    version: str
    why: str
    hint: str


class SlimUndone(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="schema", tag="sartor.slim-undone/1"
):
    """What `sartor slim --undo` did: files brought back, and those that were not.

    ``replaced`` are files that an installer wrote since, or took away: they are as that left them.
    """

    environment: str
    restored: list[str]
    bytes: int
    replaced: list[str] = []
    not_undone: list[NotUndone] = []
