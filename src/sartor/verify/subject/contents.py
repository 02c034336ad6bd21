"""What lies in an environment, read once: its packages, and every file with machine code."""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from sartor.artifact.members import is_library
from sartor.artifact.model import Evidence, Library, NotRead, Package
from sartor.facts.features import features_of
from sartor.verdict.case import Case
from sartor.verdict.dispatch import owns
from sartor.verify.subject.evidence import read_site
from sartor.verify.subject.taken import counted

if TYPE_CHECKING:
    from pathlib import Path

    from sartor.host.model import Host
    from sartor.verify.subject.model import Subject


class Contents(msgspec.Struct, frozen=True, dict=True):
    """The evidence of all folders that an interpreter imports from; paths are absolute.

    ``names`` are the paths as checks have them: below the folder that they are in.
    """

    case: Case
    names: dict[str, str]

    @property
    def libraries(self) -> list[Library]:
        """Every file with machine code, device code in files of its own too."""
        return self.case.evidence.libraries

    @property
    def unread(self) -> list[NotRead]:
        """Shared libraries that are none that can be read."""
        known = {library.path for library in self.libraries}
        rows = self.case.evidence.not_read
        return [row for row in rows if is_library(row.path) and row.path not in known]

    def owner(self, path: str) -> Package | None:
        """The package that a file belongs to."""
        return self.case.owners.get(path) or self._recorded.get(path)

    def owner_name(self, path: str) -> str | None:
        """The project that a file belongs to."""
        owner = self.owner(path)
        return owner.name if owner else None

    def features(self, path: str) -> list[str]:
        """The features, by the facts of its package, that a library serves."""
        library, package = self._by_path.get(path), self.owner(path)
        if library is None or package is None:
            return []
        rows = features_of(package.name, package.version)
        return list(dict.fromkeys(r.name for r in rows if owns(package, library, r.libraries)))

    @cached_property
    def _by_path(self) -> dict[str, Library]:
        return {library.path: library for library in self.libraries}

    @cached_property
    def _recorded(self) -> dict[str, Package]:
        return {path: package for package in self.case.packages for path in package.libraries}


def contents_of(subject: Subject, host: Host) -> Contents:
    """Read an environment, its libraries' headers and what `read_site` reads of device code.

    What a folder has that one before it has too is left out, for it is never imported.
    Raises what `sartor.artifact.reading.read_evidence` raises.
    """
    packages: list[Package] = []
    libraries: list[Library] = []
    not_read: list[NotRead] = []
    names: dict[str, str] = {}
    before: list[Path] = []
    for folder in subject.site:
        if not folder.is_dir():
            continue
        found = counted(subject, folder, read_site(folder))
        own = [lib for lib in found.libraries if not _is_behind(lib.path, before)]
        faults = [row for row in found.not_read if not _is_behind(row.path, before)]
        known = {package.name for package in packages}
        packages += [_package(folder, p) for p in found.packages if p.name not in known]
        libraries += [_moved(folder, library) for library in own]
        not_read += [NotRead(_at(folder, r.path), r.why, r.offset) for r in faults]
        paths = [*(lib.path for lib in own), *(r.path for r in faults)]
        names |= {_at(folder, path): path for path in paths}
        before.append(folder)
    evidence = Evidence(
        target=str(subject.path),
        kind="environment",
        packages=packages,
        libraries=libraries,
        not_read=not_read,
    )
    python = ".".join(subject.python_version.split(".")[:2]) or None
    return Contents(Case(evidence, host, python=python), names)


def _is_behind(path: str, before: list[Path]) -> bool:
    """Whether folders searched before have the file, or the module that it is in."""
    top = path.partition("/")[0]
    return any((f / path).exists() or (f / top / "__init__.py").exists() for f in before)


def _at(folder: Path, path: str) -> str:
    return os.path.join(folder, path)  # noqa: PTH118 - of text, thousands of times


def _moved(folder: Path, library: Library) -> Library:
    return msgspec.structs.replace(library, path=_at(folder, library.path))


def _package(folder: Path, package: Package) -> Package:
    return msgspec.structs.replace(
        package,
        path=_at(folder, package.path),
        libraries=[_at(folder, path) for path in package.libraries],
    )
