"""Which files of an environment may be slimmed: by its packages, their RECORDs and licences."""

from __future__ import annotations

import os
import posixpath
import stat
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import msgspec

from sartor.artifact.elf import Elf
from sartor.artifact.library import FATBIN, RELOCATABLE, SCATTERED
from sartor.artifact.members import file_kind, is_library, is_program
from sartor.artifact.record import Recorded, read_record
from sartor.artifact.source import FileSource, Invalid
from sartor.facts.records import published
from sartor.slim.environment.in_place import Owned
from sartor.slim.environment.rows import lines_of
from sartor.slim.library.model import LeftCode
from sartor.slim.licence import Forbidden, library_may_be_changed, may_be_changed
from sartor.verify.resolves.hashing import hash_file
from sartor.verify.subject.installed import Distribution
from sartor.verify.subject.system import system_package

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ALTERED = "it is not as its RECORD has it: somebody changed it since it was installed"
NOT_OWN = {".git", "build", "node_modules"}
"""Folders of a project that are no part of what is imported from it."""
WITH_CODE = {FATBIN, RELOCATABLE, *SCATTERED}


class Package(msgspec.Struct, frozen=True, kw_only=True):
    """A distribution; ``why`` none of its files may be changed; None: they may.

    ``files`` are those that its RECORD names, by their paths below the environment; ``record`` is
    that of the RECORD.
    """

    dist: Distribution
    record: str
    files: dict[str, Recorded]
    why: str | None = None


class Refused(msgspec.Struct, frozen=True):
    """A file that stays as it is, and why."""

    path: str
    why: str
    code: LeftCode = "not-ours"


class Listing:
    """The packages of an environment, and who each file belongs to. Nothing outside is in it."""

    def __init__(self, root: Path, distributions: Iterable[Distribution]) -> None:
        self.root = root
        self.packages = [_package(root, dist) for dist in distributions]
        self.owners: dict[str, list[Package]] = defaultdict(list)
        for package in self.packages:
            for path in package.files:
                self.owners[path].append(package)

    def libraries(self) -> Iterator[str]:
        """Files of packages by whose names they may hold device code, by their paths."""
        for path in self.owners:
            if is_library(path) or is_program(path):
                yield path

    def unrecorded(self, sites: Iterable[Path]) -> Iterator[str]:
        """Libraries in the folders of packages that no RECORD names."""
        for site in sites:
            for folder, folders, files in os.walk(site):
                folders.sort()
                inside = Path(folder).relative_to(self.root).as_posix()
                paths = (posixpath.join(inside, name) for name in sorted(files))
                yield from (p for p in paths if is_library(p) and p not in self.owners)

    def editable(self) -> Iterator[tuple[Distribution, list[tuple[str, int]]]]:
        """Editable installs, whose code is in a folder of their maker's, with its libraries that
        have device code, and their sizes."""
        for package in self.packages:
            address = urlsplit(package.dist.origin or "")
            if not package.dist.editable or address.scheme != "file":
                continue
            folder = unquote(address.path)
            found = []
            for inside, folders, files in os.walk(folder):
                folders[:] = [name for name in sorted(folders) if _is_own(Path(inside, name))]
                paths = (Path(inside, name) for name in sorted(files) if is_library(name))
                found += [(str(p), p.stat().st_size) for p in paths if has_device_code(p)]
            if found:
                yield package.dist, found

    def examined(self, path: str) -> Owned | Refused:
        """What is in a file, and whether it may be changed. Reads all of it, and its RECORDs anew:
        they may have been changed since the packages were listed."""
        place, owners = self.root / path, self.owners[path]
        why = _not_here(self.root, place) or next((p.why for p in owners if p.why), None)
        if why is not None:
            return Refused(path, why)
        decision = library_may_be_changed(path)
        if isinstance(decision, Forbidden):
            return Refused(path, decision.because, "licence")
        sha256 = hash_file(str(place)).sha256
        own, lines = [], {}
        for package in owners:
            name = package.files[path].path
            found = set(lines_of((self.root / package.record).read_bytes()).get(name, []))
            if len(found) > 1:
                return Refused(path, "its RECORD names it twice, and differs")
            if found and _holds(place, package.dist, read_record(*found).files[0], sha256):
                own.append(package)
                lines[package.record] = name
        if not own:
            return Refused(path, ALTERED)
        dist = own[0].dist
        return Owned(path=path, project=dist.name, version=dist.version, sha256=sha256, lines=lines)


def _is_own(folder: Path) -> bool:
    """Whether a folder of a project may have what is imported: no build, no environment."""
    return folder.name not in NOT_OWN and not (folder / "pyvenv.cfg").exists()


def _not_here(root: Path, place: Path) -> str | None:
    """Why a file is not the environment's alone."""
    if place.is_symlink():
        return "it is a symbolic link: the file is elsewhere, and not this environment's alone"
    if os.path.realpath(place.parent) != str(place.parent):
        return "it is behind a symbolic link of a folder"
    if place.stat().st_dev != root.stat().st_dev:
        return "it is on another file system than the environment's folder"
    return None


def _package(root: Path, dist: Distribution) -> Package:
    found = {}
    if dist.record is not None:
        for recorded in read_record(dist.record).files:
            path = posixpath.normpath(posixpath.join(str(dist.site), recorded.path))
            if path.startswith(f"{root}/"):
                found[path[len(str(root)) + 1 :]] = recorded
    record = (dist.info / "RECORD").relative_to(root).as_posix()
    return Package(dist=dist, record=record, files=found, why=_why_left(dist))


def _why_left(dist: Distribution) -> str | None:
    """Why none of a distribution's files may be changed."""
    allowed = may_be_changed(dist.name)
    if isinstance(allowed, Forbidden):
        return allowed.because
    if dist.installer == "conda":
        return "conda installed it, and has its files' digests in records of its own"
    if system_package(dist) is not None:
        return "it belongs to a package of dpkg's, which has its files' digests in its own records"
    if (dist.info / "RECORD.jws").exists():
        return "its RECORD is signed, and would not be what was signed"
    return None


def _holds(place: Path, dist: Distribution, recorded: Recorded, sha256: str) -> bool:
    """Whether a line of RECORD is right about the file; one that is published wrong counts."""
    if recorded.digest is None:
        return True
    if published(dist.name, dist.version).get(recorded.path) == sha256:
        return True
    if recorded.algorithm == "sha256":
        return recorded.digest.hex() == sha256
    return hash_file(str(place), str(recorded.algorithm)).digest == recorded.digest


def has_device_code(path: Path) -> bool:
    """Whether a file is a library, or a program, with device code; one that is gone is none."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return False
        with FileSource(path) as source:
            if file_kind(source) != "elf":
                return False
            return any(section.name in WITH_CODE for section in Elf(source).sections)
    except (OSError, Invalid):
        return False
