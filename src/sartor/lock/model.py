"""The values of a lock: what is locked, what has changed since, what became of each file."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from sartor.host.model import NotChecked, Version
from sartor.index.wheels import IndexFile
from sartor.plan.known import DEFAULT, IndexState
from sartor.plan.outcome import Strategy, SystemPackage

__all__ = ["DEFAULT", "IndexState", "NotChecked", "Strategy", "SystemPackage", "Version"]

Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=256)]
"""A project's name as packages' indexes normalise it."""


class HostClass(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"
):
    """The kind of machine that a lock is for; None: not known.

    ``architecture`` is ``uname -m``, ``python`` as ``3.12``; ``isa`` the generic level of the CPU
    (``x86_64_v3``); ``driver`` and ``cuda`` (the highest that it supports) are NVIDIA's;
    ``gpus`` has the compute capability of each GPU, so one of two like ones is there twice;
    ``unknown_gpus`` counts those of which it is not known.
    """

    architecture: str
    python: Annotated[str, msgspec.Meta(pattern=r"^3\.[0-9]{1,3}$")]
    glibc: Version | None = None
    isa: str | None = None
    driver: Version | None = None
    cuda: Version | None = None
    gpus: list[Version] = []
    unknown_gpus: int = 0


class Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """Where a package that is built from source comes from.

    ``commit`` is a whole commit id, ``revision`` the tag or branch that it was asked by; ``flags``
    are what the build is given, in order.
    """

    repository: str
    commit: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")]
    revision: str | None = None
    subdirectory: str | None = None
    flags: list[str] = []


class Read(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """That a file was read: by which version of the readers, when; the sha256 of what it said."""

    reader: int
    digest: Sha256
    read_at: str


class LockedPackage(msgspec.Struct, frozen=True, kw_only=True):
    """One package: the very file of ``index`` (an alias), or None and a ``source``.

    A ``file`` that is no wheel is a source distribution. ``requires`` are the requirements in its
    metadata that hold on this machine; ``evidence`` is None where the file was never read.
    """

    name: Name
    version: str
    index: str
    file: IndexFile | None = None
    source: Source | None = None
    requires: list[str] = []
    evidence: Read | None = None


class LockedIndex(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An index by its alias, its address as configured, and whether it was reached."""

    alias: str
    url: str | None = None
    state: IndexState = "reached"


class Locking(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is locked. ``sartor.lock`` and ``pylock.toml`` together say just this.

    ``roots`` are the requirements that were asked for, ``leave_out`` projects that are declared
    and not wanted. ``facts`` are the facts that rules went by: a name, and the sha256 of what it
    said. ``trace`` are the decisions as JSON values. ``as_of`` (RFC 3339): nothing later counts.
    """

    host: HostClass
    engine: str
    version: str
    strategy: Strategy
    roots: list[str]
    packages: list[LockedPackage]
    sartor: str
    indexes: list[LockedIndex] = []
    leave_out: list[str] = []
    system: list[SystemPackage] = []
    env: dict[str, str] = {}
    facts: dict[str, Sha256] = {}
    trace: list[Any] = []
    as_of: str | None = None


class Now(msgspec.Struct, frozen=True, kw_only=True):
    """What is so now, as far as it was asked; None, and what is not in a dict: not asked.

    ``listings`` has the files of a project (a normalised name) on an index (an alias), or why
    they are not known; ``evidence`` what the readers now say of a sha256; ``env`` what the rules
    would set now.
    """

    host: HostClass | None = None
    listings: dict[tuple[str, str], list[IndexFile] | str] = {}
    evidence: dict[str, Read] = {}
    facts: dict[str, Sha256] | None = None
    system: list[SystemPackage] | None = None
    env: dict[str, str] | None = None


Group = Literal["host", "package", "evidence", "facts", "system", "environment"]
Consequence = Literal["still holds", "must be planned again"]


class LockChange(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not as it was: ``was`` and ``now`` in words, None where there is none.

    ``alarm``: it must not happen (a file that has changed under its name).
    """

    group: Group
    what: str
    was: str | None
    now: str | None
    consequence: Consequence
    because: str
    alarm: bool = False


class LockChanges(msgspec.Struct, frozen=True, tag_field="schema", tag="sartor.lock-changes/1"):
    """What has changed since a lock was made, and whether it still holds.

    ``consequence`` is the gravest of all changes'. What was not asked is in ``not_checked``.
    """

    consequence: Consequence
    changes: list[LockChange]
    not_checked: list[NotChecked] = []


FileState = Literal["written", "same", "missing", "different", "made by others"]


class LockFileState(msgspec.Struct, frozen=True, kw_only=True):
    """One file: its path, what became of it, or how it is; what was added, and what to know."""

    path: str
    state: FileState
    added: list[str] = []
    notes: list[str] = []


class LockDocument(msgspec.Struct, frozen=True, tag_field="schema", tag="sartor.lock-files/1"):
    """What `sartor lock` prints: each file and its state. ``up_to_date``: nothing is to be done."""

    files: list[LockFileState]
    up_to_date: bool
    engine: str
    version: str
    packages: int
