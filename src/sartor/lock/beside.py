"""What a lock has beside a plan, out of what is known of its packages. Pure functions."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec
from packaging.utils import canonicalize_name

from sartor.facts import files_of_facts
from sartor.facts.packages import package_facts
from sartor.lock.pins import markers
from sartor.verdict.requirements import applies, parse_line

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from sartor.artifact.model import Evidence, Library, Package, Unit
    from sartor.lock.model import HostClass
    from sartor.verdict.requirements import Required

UNUSED = {
    "distributions.toml",
    "flags.toml",
    "images.toml",
    "map.toml",
    "registries.toml",
    "remedies.toml",
}
"""Facts by which nothing that can be locked is chosen: what hints, pictures and flags go by."""


def held(
    packages: Mapping[str, Package], roots: Iterable[str], host: HostClass
) -> dict[str, list[str]]:
    """Package → those of its requirements that hold on the machine, sorted, without markers.

    Those of an extra hold where a root, or another package's requirement, asks for that extra.
    ``packages`` are by normalised name. The names of what nobody read are not in the result.
    """
    environment = markers(host)
    asked: dict[str, set[str]] = {name: set() for name in packages}
    found: dict[str, dict[str, Required]] = {name: {} for name in packages}
    waiting = {name for line in roots for name in _ask(asked, line)} | {*packages}
    while waiting:
        name = waiting.pop()
        for line in packages[name].requires:
            required = parse_line(line)
            if required is None or line in found[name]:
                continue
            extras = ("", *asked[name])
            if any(applies(required, {**environment, "extra": e}) is not False for e in extras):
                found[name][line] = required
                waiting |= _ask(asked, line)
    return {name: sorted({*map(_shown, lines.values())}) for name, lines in found.items()}


def _ask(asked: dict[str, set[str]], line: str) -> set[str]:
    """Note the extras that a line asks for; the package, where they are new to it."""
    required = parse_line(line)
    if required is None or required.name not in asked:
        return set()
    extras = required.text.partition("[")[2].partition("]")[0].split(",")
    new = {canonicalize_name(extra) for extra in extras if extra} - asked[required.name]
    asked[required.name] |= new
    return {required.name} if new else set()


def _shown(required: Required) -> str:
    """A requirement without its marker; one that names an address keeps that."""
    return required.line.partition(" ;")[0] if "@" in required.line else required.text


def bearing(
    digests: Mapping[str, str], engines: Collection[str], packages: Collection[str]
) -> dict[str, str]:
    """Of the facts' digests those of facts that speak of these engines (none: of all), of these
    packages, or of machines."""
    spoken = {*_package_files(packages)}
    wanted = {f"engines/{name}.toml" for name in engines}
    return {
        name: digest
        for name, digest in digests.items()
        if name not in UNUSED
        and (not name.startswith("packages/") or name in spoken)
        and (not name.startswith("engines/") or not wanted or name in wanted)
    }


def _package_files(packages: Collection[str]) -> Iterator[str]:
    """The files of facts that speak of one of the packages."""
    for file, about in zip(files_of_facts("packages"), package_facts(), strict=True):
        if set(about.distributions) & set(packages):
            yield file


def said(evidence: Evidence) -> str:
    """The sha256 of what was read of a file: the same however many names of kernels were read.

    What facts add to it (compilers, the globs that were looked for), its name, and notes about the
    reading itself are not in it.
    """
    plain = msgspec.structs.replace(
        evidence,
        target="",
        packages=[
            msgspec.structs.replace(p, compilers=[], fact_files=[], file_tags=[])
            for p in evidence.packages
        ],
        libraries=[_without_names(library) for library in evidence.libraries],
        not_read=[],
    )
    return hashlib.sha256(msgspec.json.encode(plain, order="deterministic")).hexdigest()


def _without_names(library: Library) -> Library:
    """The library with units of one kind in one, as they are read without their kernels' names."""
    units: dict[tuple[tuple[int, ...], bool, bool], tuple[int, int]] = {}
    for unit in library.units:
        key = (tuple(sorted(unit.images)), unit.relocatable, unit.scattered)
        count, size = units.get(key, (0, 0))
        units[key] = (count + unit.count, size + unit.bytes)
    return msgspec.structs.replace(
        library, units=[_unit(key, *units[key]) for key in sorted(units)], not_read=[]
    )


def _unit(key: tuple[tuple[int, ...], bool, bool], count: int, size: int) -> Unit:
    from sartor.artifact.model import Unit

    images, relocatable, scattered = key
    return Unit(
        images=[*images], count=count, bytes=size, relocatable=relocatable, scattered=scattered
    )
