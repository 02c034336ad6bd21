"""Which wheels of a project are meant: pure functions of what an index lists."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from sartor.artifact.model import NotRead
from sartor.errors import NoSuchTargetError, UsageError, closest
from sartor.facts.linking import policies
from sartor.index.files import IndexFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from packaging.tags import Tag

__all__ = ["IndexFile"]

MANYLINUX = re.compile(r"manylinux_(\d{1,4})_(\d{1,4})_(\w+)", re.ASCII)
LEGACY = re.compile(r"(manylinux\d{1,4}|linux)_(\w+)", re.ASCII)
PYTHON = re.compile(r"3\.\d{1,3}", re.ASCII)
NAME_ANOTHER = "name another `--host` or `--python`, or give the address of one wheel"
MOST_SHOWN = 5


class Fits(msgspec.Struct, frozen=True):
    """What a wheel must fit; None: whatever it is."""

    architecture: str | None = None
    glibc: str | None = None
    python: str | None = None


class Chosen(msgspec.Struct, frozen=True):
    """The wheels of one version, those that are read and those that are not, with the reason."""

    version: str
    wheels: list[IndexFile]
    left: list[NotRead]


def parse_requirement(text: str) -> Requirement | None:
    """A project with specifiers, as pip takes it; None where it is none. A URL is none either."""
    try:
        found = Requirement(text)
    except InvalidRequirement:
        return None
    return None if found.url else found


def choose(requirement: Requirement, files: Sequence[IndexFile], fits: Fits) -> Chosen:
    """The newest version that is meant, and its wheels that fit.

    Pre-releases count where they are asked for or nothing else is there; yanked files where
    exactly their version is asked for, as for pip. Raises `NoSuchTargetError`, with the versions
    that are there, and `UsageError` for a Python that is none.
    """
    if fits.python is not None:
        check_python_version(fits.python)
    by_version: dict[Version, list[IndexFile]] = {}
    for file in files:
        version = _version_of(file.name, requirement.name)
        if version is not None:
            by_version.setdefault(version, []).append(file)
    pinned = any(
        s.operator in {"==", "==="} and "*" not in s.version for s in requirement.specifier
    )
    usable = {
        version: kept
        for version, listed in by_version.items()
        if (kept := [f for f in listed if pinned or f.yanked is None])
    }
    meant = list(requirement.specifier.filter(usable))
    if not meant:
        raise _no_version(requirement, by_version, files)
    version = max(meant)
    wheels, left = [], []
    for file in sorted(usable[version], key=lambda f: f.name):
        why = why_not(file, fits)
        if why:
            left.append(NotRead(file.name, why))
        else:
            wheels.append(file)
    if not wheels:
        raise NoSuchTargetError(
            f"no wheel of {requirement.name} {version} fits",
            found=[f"{note.path}: {note.why}" for note in left[:MOST_SHOWN]],
            hint=NAME_ANOTHER,
        )
    return Chosen(str(version), wheels, left)


def check_python_version(python: str) -> None:
    """Raise `UsageError` for a Python that is none (``3.12`` is one)."""
    if not PYTHON.fullmatch(python):
        raise UsageError(f"`{python}` is no Python version", hint="write it as `3.12`")


def _version_of(name: str, project: str) -> Version | None:
    """The version of a wheel of the project; None for other files."""
    if not name.endswith(".whl") or len(name) > 256:
        return None
    try:
        found, version, _, _ = parse_wheel_filename(name)
    except ValueError:
        return None
    return version if found == canonicalize_name(project) else None


def why_not(file: IndexFile, fits: Fits) -> str | None:
    """Why a wheel does not fit; None where it does, or nothing is asked."""
    try:
        tags = parse_wheel_filename(file.name)[3]
    except ValueError:
        return "its name is not that of a wheel"
    if not any(platform_fits(tag.platform, fits) for tag in tags):
        names = ", ".join(sorted({t.platform for t in tags}))
        return f"it is for {names}"
    if fits.python is None:
        return None
    if not python_fits(tags, fits.python):
        return f"it is for {', '.join(sorted({f'{t.interpreter}-{t.abi}' for t in tags}))}"
    if file.requires_python and not allows(file.requires_python, fits.python):
        return f"it requires Python {file.requires_python}"
    return None


def platform_fits(platform: str, fits: Fits) -> bool:
    """Whether a platform tag is for Linux, and the architecture and glibc that are asked for."""
    if platform == "any":
        return True
    if fits.architecture is None:
        return "linux" in platform
    match = MANYLINUX.fullmatch(platform)
    if match:
        return match[3] == fits.architecture and _old_enough(f"{match[1]}.{match[2]}", fits.glibc)
    match = LEGACY.fullmatch(platform)
    if match is None or match[2] != fits.architecture:
        return False
    legacy = {name: row.glibc for row in policies() for name in row.legacy}
    return match[1] == "linux" or _old_enough(legacy.get(match[1], "0"), fits.glibc)


def _old_enough(wanted: str, glibc: str | None) -> bool:
    return glibc is None or _numbers(wanted) <= _numbers(glibc)


def _numbers(version: str) -> list[int]:
    return [int(n) for n in version.split(".")]


def python_fits(tags: Iterable[Tag], python: str) -> bool:
    """Whether CPython of that version (``3.12``, ``3.13t``) takes one of the tags' interpreters."""
    taken = _taken(python)
    return any((tag.interpreter, tag.abi) in taken for tag in tags)


@lru_cache(32)
def _taken(python: str) -> frozenset[tuple[str, str]]:
    from packaging.tags import compatible_tags, cpython_tags

    threaded = "t" if python.endswith("t") else ""
    version = tuple(_numbers(python.removesuffix("t")))
    interpreter = f"cp{version[0]}{version[1]}"
    tags = (
        *cpython_tags(version, [f"{interpreter}{threaded}"], ["any"]),
        *compatible_tags(version, interpreter, ["any"]),
    )
    return frozenset((tag.interpreter, tag.abi) for tag in tags)


def allows(specifier: str, python: str) -> bool:
    """Whether a ``Requires-Python`` takes a version (``3.12``), whatever its last number."""
    try:
        return SpecifierSet(specifier).contains(f"{python}.99")
    except (InvalidSpecifier, InvalidVersion):
        return True


def _no_version(
    requirement: Requirement,
    by_version: dict[Version, list[IndexFile]],
    files: Sequence[IndexFile],
) -> NoSuchTargetError:
    """Nothing is meant: what there is instead."""
    name = requirement.name
    if not by_version:
        return NoSuchTargetError(
            f"{name} has no wheel on the configured indexes",
            found=[f"{len(files)} other files are there"] if files else [],
            hint="a source distribution has no device code to read: build its wheel first",
        )
    known = [str(v) for v in sorted(by_version)]
    wanted = [s.version for s in requirement.specifier]
    near = closest(wanted[0], known, most=MOST_SHOWN, cutoff=0.6) if wanted else []
    found = [f"closest: {', '.join(near)}"] if near else []
    yanked = [str(v) for v, listed in by_version.items() if v in requirement.specifier and listed]
    if yanked:
        found.append(f"yanked: {', '.join(yanked[:MOST_SHOWN])}")
    return NoSuchTargetError(
        f"there is no `{requirement}` with a wheel on the configured indexes",
        found=[*found, f"newest: {', '.join(reversed(known[-MOST_SHOWN:]))}"],
        hint=f"name one of these: `{name}=={(near or known[-1:])[0]}`",
    )
