"""What of a package cannot be used, is not known to be, or is used by some alone: by names.

The same for what is installed and for wheels. Little is said to be of no use, and that for certain:
what may be of use to anybody is not in it. `sartor.slim.needed` looks into files besides.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec
from packaging.tags import Tag

from sartor.artifact.abi import python_tag
from sartor.facts.uses import uses_of
from sartor.index.wheels import python_fits
from sartor.slim.licence import Forbidden, library_may_be_changed
from sartor.slim.model import UnusedFiles, UnusedKind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

REMOVABLE: tuple[UnusedKind, ...] = ("other-interpreter", "other-machine", "archives")
"""What is removed on request; the others are only reported."""

OF_PLATFORM = re.compile(
    r"\.(?:cpython|pypy)[^.]*?-(?:(?P<machine>x86_64|aarch64|powerpc64le|riscv64|s390x)-)?"
    r"(?P<system>linux-gnu|linux-musl|darwin)[^.]*\.so$"
)
"""The end of an extension's name (PEP 3149): interpreter, machine and system."""
PLATFORM_TAG = re.compile(
    r"(?P<kind>many|musl)?linux(?:\d{1,4}|_\d{1,4}_\d{1,4})?_(?P<machine>\w+)"
)
SYSTEMS = {"many": ("linux-gnu",), "musl": ("linux-musl",), None: ("linux-gnu", "linux-musl")}
CPYTHON = re.compile(r"cp3(\d{1,2})(t?)")
TESTS = re.compile(r"(?:^|/)tests?/")
METADATA = re.compile(r"(?:^|/)[^/]+\.(?:dist|egg)-info/")
NEVER = (".py", ".pyi", ".pth")


class Where(msgspec.Struct, frozen=True):
    """Where a package is used.

    ``python`` is the only interpreter (``3.12``, ``3.13t``); else ``tags`` are the wheel's, whose
    interpreters may all come; without either it may be any. ``systems`` are the machines, as
    `platform.machine` has them, each with ``linux-gnu`` or ``linux-musl``; None: it is not known.
    """

    python: str | None = None
    tags: frozenset[Tag] = frozenset()
    systems: frozenset[tuple[str, str]] | None = None


class Unused(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is of no use, or to some alone; ``size`` in bytes.

    ``removable``: it is certain to be of no use, and no licence keeps it. ``named_by`` is a file of
    the package that may need it: then it stays.
    """

    path: str
    size: int
    kind: UnusedKind
    why: str
    removable: bool = False
    named_by: str | None = None


def systems_of(tags: Iterable[Tag]) -> frozenset[tuple[str, str]] | None:
    """The machines and systems of a wheel's tags; None where one is for any, or not for Linux."""
    found: set[tuple[str, str]] = set()
    for tag in tags:
        match = PLATFORM_TAG.fullmatch(tag.platform)
        if match is None:
            return None
        found |= {(match["machine"], system) for system in SYSTEMS[match["kind"]]}
    return frozenset(found)


def systems_here(machine: str, libc: str | None) -> frozenset[tuple[str, str]]:
    """This machine's; ``libc`` None: either."""
    return frozenset((machine, libc) for libc in ([libc] if libc else SYSTEMS[None]))


def unused(files: Iterable[tuple[str, int]], where: Where, project: str = "") -> list[Unused]:
    """Of a project's files (path, size) those that are of no use, or to some alone, by names."""
    facts = uses_of(project)
    found = []
    for path, size in files:
        if METADATA.search(path):
            continue
        told = None if path.endswith(NEVER) else _told(path, where)
        for fact in facts if told is None else ():
            if fact.has(path):
                told = fact.kind, fact.why
        if told is None and TESTS.search(path):
            told = "tests", "in folders of tests: whether anything imports them is not known"
        if told is not None:
            kind, why = told
            may = kind in REMOVABLE and not isinstance(library_may_be_changed(path), Forbidden)
            found.append(Unused(path=path, size=size, kind=kind, why=why, removable=may))
    return found


def _told(path: str, where: Where) -> tuple[UnusedKind, str] | None:
    if path.endswith(".pyd") and where.systems is not None:
        return "other-machine", "modules for Windows"
    match = OF_PLATFORM.search(path) if path.endswith(".so") else None
    if match is not None and not _is_own(match["machine"], match["system"], where):
        built = "-".join(filter(None, (match["machine"], match["system"])))
        return "other-machine", f"modules for {built}"
    tag = python_tag(path, ()) if path.endswith(".so") else None
    told = _of_interpreter(tag, where) if tag is not None else None
    if told is None and path.endswith((".a", ".lib")):
        return "archives", "static archives, for linkers alone: nothing loads them"
    return told


def _is_own(machine: str | None, system: str, where: Where) -> bool:
    if where.systems is None:
        return True
    return any(
        system == own_system and machine in {None, *_names(own)}
        for own, own_system in where.systems
    )


def _of_interpreter(tag: str, where: Where) -> tuple[UnusedKind, str] | None:
    """What is said of a module for the interpreter of ``tag`` (``cp312``); `abi3` is for many."""
    match = CPYTHON.fullmatch(tag)
    if match is None:
        return None
    if where.python is not None and match[0] != f"cp{where.python.replace('.', '')}":
        return "other-interpreter", f"modules of {tag}: {where.python} does not look for them"
    if where.python is not None or not where.tags:
        return None
    last, own, following = (f"3.{int(match[1]) + step}{match[2]}" for step in (-1, 0, 1))
    if not python_fits(where.tags, own):
        none = "no Python that the wheel is for looks for them"
        return "other-interpreter", f"modules of {tag}: {none}"
    if python_fits(where.tags, last) or python_fits(where.tags, following):
        return "one-interpreter", f"modules of {tag} alone, in a wheel for more Pythons"
    return None


def _names(machine: str) -> tuple[str, ...]:
    """A machine's names in those of modules."""
    return (machine, "powerpc64le") if machine == "ppc64le" else (machine,)


def summed(
    project: str,
    ones: Iterable[Unused],
    gone: Collection[str] = (),
    packed: Mapping[str, int] | None = None,
) -> list[UnusedFiles]:
    """One row for all files that the same is said of, the largest first; ``gone`` are removed.

    ``packed`` has what files take in a wheel.
    """
    groups: dict[tuple[object, ...], list[Unused]] = defaultdict(list)
    for one in ones:
        same = one.kind, one.why, one.removable, one.named_by, one.path in gone
        groups[same].append(one)
    rows = [
        UnusedFiles(
            project=project,
            kind=own[0].kind,
            why=own[0].why,
            files=len(own),
            bytes=sum(one.size for one in own),
            example=max(own, key=lambda one: one.size).path,
            removable=own[0].removable,
            removed=own[0].path in gone,
            named_by=own[0].named_by,
            packed_bytes=None if packed is None else sum(packed[one.path] for one in own),
        )
        for own in groups.values()
    ]
    return sorted(rows, key=lambda row: -row.bytes)
