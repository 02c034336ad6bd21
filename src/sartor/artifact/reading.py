"""From a local target to its `Evidence`: every file that matters, opened once, in one walk."""

from __future__ import annotations

import posixpath
from contextlib import closing
from typing import TYPE_CHECKING, Literal, NoReturn

import msgspec

from sartor.artifact.environment import record_around
from sartor.artifact.library import read_library
from sartor.artifact.members import MOST_TEXT, is_metadata, matters
from sartor.artifact.metadata import read_package
from sartor.artifact.model import Evidence, Library, NotRead, Package
from sartor.artifact.slimmed import as_it_was, formers, is_record_folder
from sartor.artifact.source import Invalid
from sartor.artifact.stream import StreamedSource
from sartor.artifact.targets import open_members
from sartor.errors import ArtifactUnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sartor.artifact.environment import RecordAround
    from sartor.artifact.members import Members
    from sartor.artifact.model import TargetKind
    from sartor.artifact.oci import Identity
    from sartor.artifact.source import Source

    Names = Literal["none", "one", "all"]
    NamesWanted = Callable[[str], Names]

MOST_TEXTS = 256 << 20
"""All metadata of one target together, which is kept until the walk is over."""
MOST_LIBRARIES = 1 << 16
"""Libraries of one target; an environment with every engine in it has some 3,000."""
LONE: frozenset[TargetKind] = frozenset({"library", "cubin", "fatbin", "ptx"})
"""Targets that are one file: where that cannot be read, nothing is left to say."""


class Progress:
    """What reading says on the way; silent as it stands."""

    def reading(self, path: str, size: int) -> None:
        """A library of ``size`` bytes is opened."""


def read_evidence(
    path: Path,
    names: NamesWanted,
    progress: Progress | None = None,
    platform: str | None = None,
) -> Evidence:
    """Read what is at ``path``: a wheel, a library, a folder, an image.

    ``names`` says for each library of which images the kernels' names are read: ``none``, ``one``
    for each unit, ``all``. What cannot be read of a part is in ``not_read``; raises
    `NoSuchTargetError`, or `ArtifactUnreadableError` where nothing can.
    """
    kind, members = open_members(path, platform)
    walk = Walk(names, progress or Progress(), path.name)
    digest = None if path.is_dir() else _Digest(path)
    with closing(members):
        walk.over(members)
    if kind == "environment":
        walk.look_around(path)
    if kind in LONE and not walk.libraries:
        walk.refuse()
    image = identity_of(members) if kind == "image" else None
    size, sha256 = (image.size, image.sha256) if image else (None, None)
    return Evidence(
        target=str(path),
        kind=kind,
        size=size if digest is None else path.stat().st_size,
        sha256=sha256 if digest is None else digest.result(),
        platform=image.platform if image else msgspec.UNSET,
        packages=walk.packages(),
        libraries=walk.found_libraries(),
        not_read=[*members.not_read, *walk.not_read],
    )


def identity_of(members: Members) -> Identity | None:
    """Which image it is whose members these are; None of anything else."""
    from sartor.artifact.image import ImageMembers

    return members.identity if isinstance(members, ImageMembers) else None


class Walk:
    """One walk over a target's members, and what it collects."""

    def __init__(self, names: NamesWanted, progress: Progress, target: str) -> None:
        self.libraries: list[Library] = []
        self.not_read: list[NotRead] = []
        self._names = names
        self._progress = progress
        self._target = target
        self.texts: dict[str, dict[str, bytes]] = {}
        self._room = MOST_TEXTS
        self._around: RecordAround | None = None

    def another(self) -> Walk:
        """One for a part of the same target; its results are joined in their order."""
        return Walk(self._names, self._progress, self._target)

    def join(self, other: Walk) -> None:
        """Take what another one collected."""
        self.libraries += other.libraries
        self.not_read += other.not_read
        for folder, texts in other.texts.items():
            self.texts.setdefault(folder, {}).update(texts)

    def over(self, members: Members) -> None:
        """All that matters of these; raises `ArtifactUnreadableError`."""
        try:
            for path, source in members.walk(matters):
                self.meet(path, source)
        except Invalid as fault:
            raise ArtifactUnreadableError(
                f"`{self._target}` cannot be read: {fault.reason}",
                found=[str(fault)],
                hint="a download that broke off, or was changed on the way, is fetched again",
            ) from fault

    def meet(self, path: str, source: Source) -> None:
        """One file; what it lacks goes to ``not_read``."""
        try:
            self._take(path, source)
        except Invalid as fault:
            self.not_read.append(NotRead(path, fault.reason, fault.offset))

    def look_around(self, folder: Path) -> None:
        """What was slimmed in the environment that the folder is a part of."""
        found = record_around(folder)
        if isinstance(found, NotRead):
            self.not_read.append(found)
        else:
            self._around = found

    def refuse(self) -> NoReturn:
        """Say as an error why the only file could not be read."""
        fault = self.not_read[0]
        raise ArtifactUnreadableError(
            f"`{self._target}` cannot be read: {fault.why}",
            found=[f"{fault.path}: at offset {fault.offset or 0:#x}: {fault.why}"],
            hint="64-bit little-endian files are read; one that was cut off is fetched again",
        )

    def _take(self, path: str, source: Source) -> None:
        if is_metadata(path):
            self._take_text(path, source)
        elif len(self.libraries) == MOST_LIBRARIES:
            self.not_read.append(NotRead(path, f"more than {MOST_LIBRARIES} libraries"))
        else:
            self._progress.reading(path, source.size)
            names = self._names(path)
            if names == "one" and isinstance(source, StreamedSource):
                source.expect_names()
            library = read_library(source, path, names)
            if library is not None:
                self.libraries.append(library)

    def _take_text(self, path: str, source: Source) -> None:
        if source.size > min(MOST_TEXT, self._room):
            self.not_read.append(NotRead(path, f"{source.size} bytes of metadata"))
            return
        self._room -= source.size
        folder, name = posixpath.split(path)
        self.texts.setdefault(folder, {})[name] = source.read(0, source.size)

    def found_libraries(self) -> list[Library]:
        """The libraries by path, with what is written down of those that were slimmed.

        What cannot be read of that goes to ``not_read``.
        """
        known, faults = formers(self.texts, self._around)
        self.not_read += faults
        libraries = (as_it_was(library, known.get(library.path)) for library in self.libraries)
        return sorted(libraries, key=lambda library: library.path)

    def packages(self) -> list[Package]:
        """The packages whose metadata was met, by name; what it lacks goes to ``not_read``."""
        found = []
        file_name = self._target if self._target.endswith(".whl") else None
        for folder, texts in sorted(self.texts.items()):
            if is_record_folder(folder):
                continue
            reading = read_package(
                folder,
                texts.get("METADATA"),
                texts.get("WHEEL"),
                texts.get("RECORD"),
                file_name=file_name,
            )
            found.append(reading.package)
            self.not_read += reading.not_read
        return found


class _Digest:
    """A file's sha256, computed beside the reading: hashing leaves Python's lock alone."""

    def __init__(self, path: Path) -> None:
        import threading

        self._path = path
        self._hex: str | None = None
        self._thread = threading.Thread(target=self._compute, daemon=True)
        self._thread.start()

    def _compute(self) -> None:
        from sartor.artifact.digest import file_sha256

        self._hex = file_sha256(self._path)

    def result(self) -> str | None:
        """The digest, once it is there; None where the file could not be read."""
        self._thread.join()
        return self._hex
