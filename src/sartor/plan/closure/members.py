"""The packages of a resolution as an installation would have them, by what is known of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec
from msgspec.structs import replace

from sartor.artifact.model import Evidence, Library, NotRead, Package
from sartor.facts.packages import facts_about, normalized
from sartor.plan.known import Locked
from sartor.plan.machine import glibc
from sartor.verdict.case import Case
from sartor.verdict.requirements import parse_line

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from sartor.host.model import Host
    from sartor.plan.known import Machine, Resolution
    from sartor.verdict.model import Target

Grade = Literal["declared", "read from the metadata", "read from the machine code"]
GRADES: tuple[Grade, ...] = ("declared", "read from the metadata", "read from the machine code")
"""The weakest first."""
NO_BINARY = "-none-any.whl"
"""The end of a wheel's name whose tag says that it holds no machine code."""


class Member(msgspec.Struct, frozen=True):
    """One package of a resolution. ``package`` lies where an installation has it.

    ``evidence`` is what was read of its wheel (None: nothing). ``by_tag``: its tag says that it
    holds no machine code, and no fact says otherwise.
    """

    locked: Locked
    package: Package
    evidence: Evidence | None
    grade: Grade
    by_tag: bool

    @property
    def name(self) -> str:
        """The normalised name."""
        return self.locked.name

    @property
    def titled(self) -> str:
        """As texts call it: ``torch 2.13.0``."""
        return f"{self.locked.name} {self.locked.version}"

    @property
    def is_unread(self) -> bool:
        """Whether it may hold machine code and that was not read."""
        return self.evidence is None and not self.by_tag


class Place(NamedTuple):
    """Where a resolution is to run."""

    host: Host
    machine: Machine
    targets: Sequence[Target]


class Members(msgspec.Struct, frozen=True):
    """All of a resolution, and the `Case` that the rules of findings judge."""

    every: list[Member]
    case: Case

    def named(self, names: Collection[str]) -> list[Member]:
        """Those with one of these names."""
        return [member for member in self.every if member.name in names]

    @property
    def read(self) -> list[Member]:
        """Those whose wheels were read."""
        return [member for member in self.every if member.evidence is not None]

    @property
    def unread(self) -> list[Member]:
        """Those that may hold machine code and were not read."""
        return [member for member in self.every if member.is_unread]


def weakest(members: Iterable[Member]) -> Grade:
    """The grade of what rests on all of these; of nothing it is *declared*."""
    return min((member.grade for member in members), key=GRADES.index, default="declared")


def members_of(
    resolution: Resolution,
    evidence: Mapping[str, Evidence | None],
    metadata: Mapping[str, Package | None],
    place: Place,
    left_out: Collection[str],
) -> Members:
    """The resolution as one virtual environment on the host; see `sartor.plan.closure.closure`."""
    site = f"lib/python{place.machine.python}/site-packages"
    libraries: list[Library] = []
    packages: list[Package] = []
    not_read: list[NotRead] = []
    every = []
    for locked in resolution.packages:
        known = evidence.get(locked.file.sha256 or "")
        if known is None:
            own = [_unread(locked, metadata.get(locked.name), site, left_out)]
        else:
            own = [_installed(package, site, left_out) for package in known.packages]
            libraries += [replace(lib, path=placed(lib.path, site)) for lib in known.libraries]
            not_read += [replace(n, path=f"{known.target}: {n.path}") for n in known.not_read]
        packages += own
        main = next((p for p in own if p.name == locked.name), own[0] if own else None)
        every.append(_member(locked, main, known, metadata.get(locked.name), site))
    merged = Evidence(
        target="the resolution",
        kind="environment",
        packages=packages,
        libraries=libraries,
        not_read=not_read,
    )
    return Members(every, _case(merged, every, place))


def _member(
    locked: Locked,
    package: Package | None,
    evidence: Evidence | None,
    metadata: Package | None,
    site: str,
) -> Member:
    grade: Grade = "declared" if metadata is None else "read from the metadata"
    about = facts_about(locked.name)
    holds = about is not None and bool(about.feature or about.dispatch)
    return Member(
        locked=locked,
        package=package or _unread(locked, None, site, ()),
        evidence=evidence,
        grade=grade if evidence is None else "read from the machine code",
        by_tag=locked.file.name.endswith(NO_BINARY) and not holds,
    )


def _case(merged: Evidence, every: Sequence[Member], place: Place) -> Case:
    host, machine = place.host, place.machine
    here = replace(
        host,
        architecture=host.architecture or machine.architecture,
        glibc=glibc(host) or machine.glibc,
    )
    files = [member.locked.file for member in every]
    yanked = {file.name: file.yanked for file in files if file.yanked is not None}
    unread = {m.name: m.locked.version for m in every if m.is_unread}
    return Case(
        merged, here, python=machine.python, gpus=place.targets, yanked=yanked, unread=unread
    )


def placed(path: str, site: str) -> str:
    """Where an installer puts a wheel's file (the binary distribution format, "Spread")."""
    folder, _, rest = path.partition("/")
    if not folder.endswith(".data"):
        return f"{site}/{path}"
    scheme, _, inside = rest.partition("/")
    where = {"purelib": f"{site}/", "platlib": f"{site}/", "data": "", "scripts": "bin/"}
    return f"{where.get(scheme, f'{scheme}/')}{inside}"


def _installed(package: Package, site: str, left_out: Collection[str]) -> Package:
    """A wheel's package where an installation has it; its file's name is gone there."""
    return replace(
        package,
        path=placed(package.path, site),
        libraries=[placed(path, site) for path in package.libraries],
        requires=_without(package.requires, left_out),
        file_tags=[],
    )


def _unread(
    locked: Locked, metadata: Package | None, site: str, left_out: Collection[str]
) -> Package:
    """A package by its metadata, or by its file's name alone."""
    folder = f"{locked.name.replace('-', '_')}-{locked.version}.dist-info"
    if metadata is None:
        return Package(name=locked.name, version=locked.version, path=f"{site}/{folder}")
    return Package(
        name=locked.name,
        version=locked.version,
        path=f"{site}/{folder}",
        requires=_without(metadata.requires, left_out),
        requires_python=metadata.requires_python,
    )


def _without(requires: list[str], left_out: Collection[str]) -> list[str]:
    """The lines but those about projects that were left out on purpose."""
    gone = {normalized(name) for name in left_out}
    if not gone:
        return requires
    lines = ((line, parse_line(line)) for line in requires)
    return [line for line, parsed in lines if parsed is None or parsed.name not in gone]
