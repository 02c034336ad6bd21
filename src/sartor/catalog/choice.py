"""Which wheel a machine gets: tags in their order, as installers have it. Pure functions."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import msgspec
from packaging.tags import compatible_tags, cpython_tags
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from sartor import facts
from sartor.facts.linking import policies

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from packaging.tags import Tag

    from sartor.index.wheels import IndexFile
    from sartor.plan.known import Machine

UNKNOWN_GLIBC = "2.28"
"""What is resolved for where a machine's glibc is not known: what uv takes for Linux."""


class PlatformFact(facts.Fact, frozen=True):
    """Which versions of glibc the resolver can be told of, for one kind of processor."""

    architecture: str
    glibc: list[str]


@cache
def platforms() -> tuple[PlatformFact, ...]:
    """What the resolver can be told to resolve for."""
    return facts.read_table("resolver.toml", "platform", PlatformFact)


def resolver_glibc(machine: Machine) -> str | None:
    """The newest glibc of the resolver's that is no newer than the machine's; None without one."""
    own = numbers(machine.glibc or UNKNOWN_GLIBC)
    rows = (row for row in platforms() if row.architecture == machine.architecture)
    known = [glibc for row in rows for glibc in row.glibc if numbers(glibc) <= own]
    return max(known, key=numbers, default=None)


def best_wheel(files: Iterable[IndexFile], machine: Machine) -> IndexFile | None:
    """The file that an installer takes on the machine: the first tag, then the highest build."""
    order = ranks(machine)
    found: list[tuple[int, tuple[int, str] | tuple[()], IndexFile]] = []
    for file in files:
        try:
            _, _, build, tags = parse_wheel_filename(file.name)
        except ValueError:
            continue
        rank = min((order[tag] for tag in tags if tag in order), default=None)
        if rank is not None:
            found.append((-rank, build, file))
    return max(found, key=lambda one: one[:2])[2] if found else None


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


@cache
def ranks(machine: Machine) -> dict[Tag, int]:
    """Every tag that CPython takes on the machine, the best with the lowest number."""
    version = tuple(numbers(machine.python)[:2])
    own = platform_tags(machine)
    interpreter = f"cp{version[0]}{version[1]}"
    tags = (*cpython_tags(version, platforms=own), *compatible_tags(version, interpreter, own))
    return {tag: rank for rank, tag in reversed([*enumerate(tags)])}


def platform_tags(machine: Machine) -> list[str]:
    """``linux_x86_64``, then ``manylinux_2_35_x86_64`` and those before it (PEP 600)."""
    return [f"{name}_{machine.architecture}" for name in ("linux", *_manylinux(machine))]


def _manylinux(machine: Machine) -> Iterator[str]:
    legacy: dict[str, Sequence[str]] = {row.glibc: row.legacy for row in policies()}
    major, minor = numbers(machine.glibc or UNKNOWN_GLIBC)[:2]
    oldest = numbers(platforms()[0].glibc[0])[1]
    if machine.architecture == "x86_64":  # manylinux1 and 2010 are of no other processor
        oldest = numbers(policies()[0].glibc)[1]
    for number in range(minor, oldest - 1, -1):
        yield f"manylinux_{major}_{number}"
        yield from legacy.get(f"{major}.{number}", ())


def numbers(version: str) -> tuple[int, ...]:
    """``(2, 35)``."""
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def described(file: IndexFile, listed: IndexFile | None) -> IndexFile:
    """A file of a lock with what its index said of it, where that is known."""
    if listed is None or (file.sha256 and listed.sha256 and file.sha256 != listed.sha256):
        return file
    known = {k: v for k, v in msgspec.structs.asdict(file).items() if v is not None}
    return msgspec.structs.replace(listed, **known)
