"""What a target has already, and which packages of a lock that stands in for. Pure functions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from sartor.bundle.model import LeftOut
from sartor.errors import UsageError
from sartor.facts.offers import torch_build

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sartor.lock.model import LockedPackage, Locking

BUILD = re.compile(r"(cpu|xpu|rocm[0-9.]+|cu([0-9]+)([0-9]))")
"""The local version that PyTorch's builds have: for what, and for which version of CUDA."""
LINE = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*={2,3}\s*([^\s;#]+)")


class _Row(msgspec.Struct):
    name: str
    version: str


class Decided(msgspec.Struct, frozen=True):
    """Which packages are not carried, and what is to be known of it."""

    left_out: list[LeftOut]
    notes: list[str]


def read_there(text: str, name: str) -> dict[str, str]:
    """Project → version, of `pip list --format=json`, `pip freeze`, or lines of ``name==version``.

    Raises `UsageError` where a line is neither; what has no version (``name @ address``) is passed
    over, and so are options and comments.
    """
    if text.lstrip().startswith("["):
        try:
            rows = msgspec.json.decode(text, type=list[_Row])
        except msgspec.DecodeError as error:
            raise UsageError(
                f"`{name}` is no list of packages: {error}",
                hint="make it on the target: `python3 -m pip list --format=json`",
            ) from error
        return {canonicalize_name(row.name): row.version for row in rows}
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.strip()
        if not words or words.startswith(("#", "-")) or " @ " in words:
            continue
        match = LINE.match(words)
        if match is None:
            raise UsageError(
                f"`{name}`, line {number}: `{words[:80]}` is no `name==version`",
                hint="make it on the target: `python3 -m pip freeze`, or `pip list --format=json`",
            )
        found[canonicalize_name(match[1])] = match[2]
    return found


def decide(locking: Locking, there: Mapping[str, str]) -> Decided:
    """The packages of the lock that the target has, and notes on those that it has otherwise."""
    left, notes = [], []
    for package in locking.packages:
        found = there.get(package.name)
        if found is None:
            continue
        refused = why_not(package, found, locking.host.architecture)
        if refused is not None:
            notes.append(f"{package.name} {package.version} is carried: {refused}")
            continue
        why = "the target has it"
        if found != package.version:
            why = f"the target's {found} is {package.version} of a build of its own"
            notes.append(f"{package.name}: {found}, which the target has, is taken for it")
        left.append(LeftOut(name=package.name, version=package.version, there=found, why=why))
    return Decided(left, notes)


def why_not(package: LockedPackage, found: str, architecture: str) -> str | None:
    """Why what a target has is not the locked package; None where it is.

    A local version is taken where the lock has none (``2.11.0+cu130`` for ``2.11.0``), but for a
    build of PyTorch for another CUDA than that which the lock's index has.
    """
    try:
        wanted, there = Version(package.version), Version(found)
    except InvalidVersion:
        return f"the target has {found}, which is no version"
    if wanted == there:
        return None
    if wanted.public != there.public:
        return f"the target has {found}"
    if wanted.local is not None:
        return f"the target has {found}, which is another build"
    return _other_build(package, there, architecture)


def _other_build(package: LockedPackage, there: Version, architecture: str) -> str | None:
    build = BUILD.fullmatch(there.local or "")
    fact = torch_build(package.index, package.version, architecture)
    if package.name != "torch" or build is None or fact is None:
        return None
    cuda = f"{build[2]}.{build[3]}" if build[2] else None
    if cuda == fact.cuda:
        return None
    return f"the target has {there}, and the lock's is for CUDA {fact.cuda}"
