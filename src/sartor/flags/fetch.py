"""A release's options: from the shipped snapshot, the evidence store, or its wheel on the index."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from sartor.closing import Closing
from sartor.errors import NoSuchTargetError, UsageError, did_you_mean
from sartor.flags.facts import reader_of, readers
from sartor.flags.model import OptionSet
from sartor.flags.reader import READER_VERSION, Release, read_options
from sartor.flags.snapshot import open_snapshot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sartor.evidence.shelf import Shelf
    from sartor.index.wheels import IndexFile
    from sartor.paths import Places
    from sartor.remote.members import WheelMembers
    from sartor.remote.targets import Remotes
    from sartor.reporter import Reporter


class Asked(msgspec.Struct, frozen=True):
    """One version of a project that holds an engine."""

    project: str
    version: str

    def __str__(self) -> str:
        return f"{self.project}=={self.version}"


def parse_engine(text: str) -> Asked:
    """``vllm==0.32.0``; raises `UsageError` for anything else."""
    known = [project for row in readers() for project in row.platforms]
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        requirement = Requirement(known[0])
    specifiers = list(requirement.specifier)
    project = canonicalize_name(text.split("=", maxsplit=1)[0].strip() or "-")
    if project not in known:
        raise UsageError(
            f"`{project}` is no engine whose flags are read",
            found=[f"known: {', '.join(known)}"],
            hint=did_you_mean(project, known) or f"write it as `{known[0]}==0.32.0`",
        )
    exact = len(specifiers) == 1 and specifiers[0].operator == "=="
    if not exact or "*" in specifiers[0].version:
        raise UsageError(f"`{text}` names no version", hint=f"write it as `{project}==0.32.0`")
    return Asked(project, str(Version(specifiers[0].version)))


class Flags(Closing):
    """Gives the options of releases. Use it as a context; the network is used where it must be."""

    def __init__(self, places: Places | None, reporter: Reporter) -> None:
        self._places = places
        self._reporter = reporter
        self._opened: Remotes | None = None
        self._shelf: Shelf | None = None

    def close(self) -> None:
        """Give the connections and the stores back."""
        if self._opened is not None:
            self._opened.close()
        if self._shelf is not None:
            self._shelf.close()

    def get(self, asked: Asked, *, again: bool = False) -> OptionSet:
        """The options of a release. ``again``: they are read anew, whatever is known of it.

        Raises `NoSuchTargetError` for a version that is nowhere, with those that are, and the
        errors of reading an index and a wheel.
        """
        shipped = open_snapshot()
        found = shipped.get(asked.project, asked.version) if shipped else None
        if found is not None and found.reader == READER_VERSION and not again:
            return found
        return self._of_file(asked, self._choose(asked), again)

    def versions(self, project: str) -> list[Version]:
        """The versions of a project that have a wheel on the index and are read, oldest first."""
        row = reader_of(project)
        least = Version(row.first_version if row else "0")
        found = {v for f in self._remotes.files(project) if (v := _version(f, project))}
        return sorted(v for v in found if v >= least)

    def members(self, asked: Asked) -> WheelMembers:
        """The files of a release's wheel."""
        return self._remotes.members(self._choose(asked))

    @property
    def _remotes(self) -> Remotes:
        if self._opened is None:
            from sartor.remote.targets import Keeping, Remotes

            listings = None if self._places is None else self._places.listings
            self._opened = Remotes(self._reporter, keeping=Keeping(listings=listings))
        return self._opened

    def _choose(self, asked: Asked) -> IndexFile:
        """The wheel of a version: the one for x86_64 and of these the last build."""
        wanted = Version(asked.version)
        listed = [
            f for f in self._remotes.files(asked.project) if _version(f, asked.project) == wanted
        ]
        if listed:
            return max(listed, key=lambda f: (f.yanked is None, "aarch64" not in f.name, f.name))
        known = [str(v) for v in self.versions(asked.project)]
        raise NoSuchTargetError(
            f"there is no wheel of `{asked}` on the configured indexes",
            found=[f"newest: {', '.join(known[-5:])}"] if known else [],
            hint=did_you_mean(asked.version, known) or "name one of these versions",
        )

    def _of_file(self, asked: Asked, file: IndexFile, again: bool) -> OptionSet:
        kept = None if again or file.sha256 is None else self._kept(file.sha256)
        if kept is not None:
            return kept
        row = reader_of(asked.project)
        if row is None:  # `parse_engine` lets no other through
            raise UsageError(f"`{asked.project}` is no engine whose flags are read")
        self._reporter.detail(f"reading {file.name}")
        members = self._remotes.members(file)
        members.prefetch(lambda name: name.endswith(".py") and name.startswith(tuple(row.members)))
        searched = members.names if row.searched else []
        release = Release(asked.project, asked.version, file.name, file.sha256)
        found = read_options(row, release, members.read, searched)
        if file.sha256 is not None:
            self._keep(file.sha256, found)
        return found

    def _store(self) -> Shelf:
        if self._shelf is None:
            from sartor.evidence.shelf import Shelf

            self._shelf = Shelf.of(self._places, self._reporter)
        return self._shelf

    def _kept(self, sha256: str) -> OptionSet | None:
        from sartor.artifact.source import Invalid
        from sartor.evidence.row import plain

        document = self._store().options(sha256, READER_VERSION)
        try:
            return None if document is None else _decoded(plain(document, sha256))
        except Invalid as fault:
            self._reporter.warn(f"what is kept of its options is passed over: {fault.reason}")
            return None

    def _keep(self, sha256: str, found: OptionSet) -> None:
        from sartor.evidence.row import packed

        document = packed(msgspec.json.encode(found))
        self._store().keep_options(sha256, found.project, found.version, found.reader, document)


def _decoded(data: bytes) -> OptionSet:
    from sartor.artifact.source import Invalid

    try:
        return msgspec.json.decode(data, type=OptionSet)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid("options", 0, f"it is no set of options: {error}") from error


def _version(file: IndexFile, project: str) -> Version | None:
    if not file.name.endswith(".whl"):
        return None
    try:
        name, version, _, _ = parse_wheel_filename(file.name)
    except (ValueError, InvalidVersion):
        return None
    return version if name == canonicalize_name(project) else None


def history(project: str, known: Sequence[str] = ()) -> list[OptionSet]:
    """The releases of a project that are shipped, oldest first; of ``known`` versions alone."""
    shipped = open_snapshot()
    sets = shipped.sets(project) if shipped else []
    return [s for s in sets if not known or s.version in known]
