"""For which glibc the resolver is asked, and which wheel it takes. Pure functions."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import msgspec
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from sartor import facts
from sartor.facts.versions import numbers
from sartor.plan.offers.tags import best_wheel

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sartor.index.wheels import IndexFile
    from sartor.plan.known import Machine


class PlatformFact(facts.Fact, frozen=True):
    """Which versions of glibc the resolver can be told of, for one kind of processor."""

    architecture: str
    glibc: list[str]


@cache
def platforms() -> tuple[PlatformFact, ...]:
    """What the resolver can be told to resolve for."""
    return facts.read_table("resolver.toml", "platform", PlatformFact)


def resolver_glibc(machine: Machine) -> str | None:
    """The newest glibc of the resolver's that is no newer than the machine's; None without one.

    Where the machine's is not known, the newest of all: no wheel is left out for what nobody said.
    """
    own = numbers(machine.glibc) if machine.glibc else None
    rows = (row for row in platforms() if row.architecture == machine.architecture)
    known = [glibc for row in rows for glibc in row.glibc if own is None or numbers(glibc) <= own]
    return max(known, key=numbers, default=None)


def resolver_wheel(files: Sequence[IndexFile], machine: Machine) -> IndexFile | None:
    """The wheel that uv takes: as `best_wheel`, and if need be past an upper bound on Python.

    uv passes over upper bounds of Requires-Python; that a Python is too old it says itself.
    """
    best = best_wheel(files, machine)
    if best is not None:
        return best
    unbound = (msgspec.structs.replace(file, requires_python=None) for file in files)
    best = best_wheel(unbound, machine)
    return next((file for file in files if best and file.name == best.name), None)


def of_version(files: Iterable[IndexFile], project: str, version: str) -> list[IndexFile]:
    """The wheels of one version of a project."""
    found = []
    try:
        wanted = Version(version)
    except InvalidVersion:
        return []
    for file in files:
        try:
            name, own, _, _ = parse_wheel_filename(file.name)
        except ValueError:
            continue
        if own == wanted and name == canonicalize_name(project):
            found.append(file)
    return found


def described(file: IndexFile, listed: IndexFile | None) -> IndexFile:
    """A file of a lock with what its index said of it, where that is known."""
    if listed is None or (file.sha256 and listed.sha256 and file.sha256 != listed.sha256):
        return file
    known = {k: v for k, v in msgspec.structs.asdict(file).items() if v is not None}
    return msgspec.structs.replace(listed, **known)
