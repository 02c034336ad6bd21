"""What of a package cannot be used where it is installed, by the names and sizes of its files.

Little, and that for certain: what may be of use to anybody is not in it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from sartor.artifact.abi import python_tag
from sartor.slim.environment.model import UnusedKind

if TYPE_CHECKING:
    from collections.abc import Iterable

REMOVABLE: tuple[UnusedKind, ...] = ("other-interpreter", "other-machine", "archives")
"""What is removed on request; ``tests`` are only reported."""

OF_PLATFORM = re.compile(
    r"\.(?:cpython|pypy)[^.]*?-(?:(?P<machine>x86_64|aarch64|powerpc64le|riscv64|s390x)-)?"
    r"(?P<system>linux-gnu|linux-musl|darwin)[^.]*\.so$"
)
"""The end of an extension's name (PEP 3149): interpreter, machine and system."""
WINDOWS_MODULE = re.compile(r"\.pyd$")
CPYTHON = re.compile(r"cp3\d{1,2}t?")
TESTS = re.compile(r"(?:^|/)tests?/")


class Unused(msgspec.Struct, frozen=True, kw_only=True):
    """A file that cannot be used, or that nobody is known to use (``tests``); ``size`` in bytes."""

    path: str
    size: int
    kind: UnusedKind
    why: str


def unused(
    files: Iterable[tuple[str, int]], python: str | None, machine: str, libc: str | None = None
) -> list[Unused]:
    """Of files (path, size) those without use for ``python`` (``3.12``, ``3.13t``) on ``machine``.

    ``python`` None: it may be any, and no module is said to be for another. ``machine`` is as
    `platform.machine` has it, of a Linux with ``libc`` (``linux-gnu``, ``linux-musl``; None:
    either).
    """
    found = []
    for path, size in files:
        told = _told(path, python, machine, libc)
        if told is not None:
            found.append(Unused(path=path, size=size, kind=told[0], why=told[1]))
    return found


def _told(
    path: str, python: str | None, machine: str, libc: str | None
) -> tuple[UnusedKind, str] | None:
    if WINDOWS_MODULE.search(path):
        return "other-machine", "modules for Windows"
    match = OF_PLATFORM.search(path) if path.endswith(".so") else None
    if match is not None:
        built = "-".join(filter(None, (match["machine"], match["system"])))
        own_system = match["system"] == libc or (libc is None and match["system"] != "darwin")
        if not own_system or match["machine"] not in {None, *_names(machine)}:
            return "other-machine", f"modules for {built}"
    tag = python_tag(path, ()) if path.endswith(".so") else None
    wanted = None if python is None else f"cp{python.replace('.', '')}"
    if wanted and tag and CPYTHON.fullmatch(tag) and tag != wanted:
        return "other-interpreter", f"modules of {tag}: {python} does not look for them"
    if path.endswith(".a"):
        return "archives", "static archives, for linkers alone: nothing loads them"
    if TESTS.search(path):
        return "tests", "in folders of tests: whether anything imports them is not known"
    return None


def _names(machine: str) -> tuple[str, ...]:
    """A machine's names in those of modules."""
    return (machine, "powerpc64le") if machine == "ppc64le" else (machine,)
