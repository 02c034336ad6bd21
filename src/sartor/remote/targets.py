"""Targets that are no paths: a project on the configured indexes, and the address of a wheel."""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

import msgspec
from packaging.utils import canonicalize_name

from sartor.artifact.reading import Progress
from sartor.errors import NoSuchTargetError, UsageError
from sartor.evidence.reading import Asked, evidence_of
from sartor.evidence.shelf import Shelf
from sartor.index.sources import access, index_sources
from sartor.index.wheels import Chosen, IndexFile, choose
from sartor.remote.address import address_digest, safe_url
from sartor.remote.file import RemoteFile
from sartor.remote.http import Http
from sartor.remote.indexes import Indexes
from sartor.remote.listings import Listings
from sartor.remote.reference import Reading
from sartor.remote.served import served_metadata
from sartor.remote.wheel import Wanted, how_it_came, read_wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from packaging.requirements import Requirement

    from sartor.artifact.model import Evidence, NotRead
    from sartor.artifact.reading import NamesWanted
    from sartor.index.sources import Access
    from sartor.index.wheels import Fits
    from sartor.remote.http import Limits
    from sartor.remote.members import WheelMembers
    from sartor.reporter import Reporter

    Known = Callable[[str, NamesWanted], Evidence | None]

HASH = re.compile(r"(?:^|&)sha256=([0-9a-fA-F]{64})(?:&|$)")
MANY_WHEELS = 3


def nothing_known(sha256: str, names: NamesWanted) -> Evidence | None:  # noqa: ARG001
    """No evidence is kept anywhere."""
    return None


class Keeping(NamedTuple):
    """What of former readings is used, and where it is kept; as it stands: nothing, nowhere.

    ``listings`` is the folder for what indexes say, ``refresh``: they are asked in any case.
    ``again``: wheels are read in any case. ``whole``: no wheel is read in parts, so that the
    sha256 of each is computed.
    """

    shelf: Shelf | None = None
    listings: Path | None = None
    refresh: bool = False
    again: bool = False
    whole: bool = False


class Remotes:
    """Reads remote targets, with one client for all of them, which is made once it is needed.

    ``known`` gives the evidence of a file by the sha256 that the index states, where it is kept
    somewhere and serves these ``names``: then nothing of the file is fetched. So does the shelf of
    ``keeping``, on which is put what is read.
    """

    def __init__(
        self,
        reporter: Reporter,
        limits: Limits | None = None,
        known: Known = nothing_known,
        keeping: Keeping = Keeping(),  # noqa: B008 - it is frozen
    ) -> None:
        self._reporter = reporter
        self._known = known
        self._keeping = keeping
        self._shelf = keeping.shelf or Shelf(None, None, reporter)
        self._limits = limits
        self._sources = index_sources()
        self._opened: Http | None = None
        listings = Listings(keeping.listings, reporter, anew=keeping.refresh)
        self._indexes = Indexes(self._sources, lambda: self._http, listings, reporter)

    def close(self) -> None:
        """Leave all that is under way."""
        if self._opened is not None:
            self._opened.close()

    def read(self, target: Requirement | str, names: NamesWanted, fits: Fits) -> Iterator[Reading]:
        """Each wheel that is meant, in the order of their names."""
        chosen = self.choose(target, fits)
        left = chosen.left
        for file in chosen.wheels:
            yield self.read_wheel(file, names, left)
            left = []

    def choose(self, target: Requirement | str, fits: Fits) -> Chosen:
        """The wheels that are meant: of a project those of one version, of an address that one."""
        if isinstance(target, str):
            file = _from_address(target)
            self._access.learn(target)
            return Chosen("", [file], [])
        chosen = self._choose(target, fits)
        self._say(target.name, chosen.version, chosen.wheels)
        return chosen

    def files(self, project: str) -> list[IndexFile]:
        """Every file of a project (a normalised name) on the configured indexes."""
        return self._indexes.files(project)

    def members(self, listed: IndexFile) -> WheelMembers:
        """The files in one wheel, each fetched once it is asked for."""
        from sartor.remote.members import local_members, remote_members

        if urlsplit(listed.url).scheme == "file":
            return local_members(listed.url)
        file = RemoteFile(self._http, listed.url, listed.name, listed.size, listed.sha256)
        return remote_members(file)

    def read_wheel(
        self, listed: IndexFile, names: NamesWanted, left: Sequence[NotRead] = ()
    ) -> Reading:
        """One wheel; ``left`` is what there is to say of others."""
        parts = urlsplit(listed.url)
        evidence, fetched, notes = self._find(listed, names), 0, [*left]
        if evidence is None and parts.scheme == "file":
            path = Path(unquote(parts.path))
            evidence = evidence_of(path, names, self._shelf, again=self._keeping.again)
        elif evidence is None:
            file = RemoteFile(self._http, listed.url, listed.name, listed.size, listed.sha256)
            evidence = self._fetch(file, listed, names)
            fetched, notes = file.fetched, [*how_it_came(file), *left]
        evidence = msgspec.structs.replace(evidence, not_read=[*evidence.not_read, *notes])
        yanked = {} if listed.yanked is None else {listed.name: listed.yanked}
        return Reading(evidence, fetched, yanked)

    @cached_property
    def _access(self) -> Access:
        return access(self._sources)

    @property
    def _http(self) -> Http:
        if self._opened is None:
            keyring = self._access.ask_keyring
            self._opened = Http(self._access, self._limits, lambda answer: keyring(answer.url))
        return self._opened

    def _choose(self, target: Requirement, fits: Fits) -> Chosen:
        """The wheels that are meant; that there are none is not said from memory."""
        project = canonicalize_name(target.name)
        files = self._indexes.files(project)
        try:
            return choose(target, files, fits)
        except NoSuchTargetError:
            if not self._indexes.remembered:
                raise
        return choose(target, self._indexes.files(project, anew=True), fits)

    def _say(self, name: str, version: str, wheels: list[IndexFile]) -> None:
        if len(wheels) > MANY_WHEELS:
            self._reporter.note(
                f"{name} {version} has {len(wheels)} wheels, and all are read: `--python 3.12` or "
                "`--host 'h200, ...'` asks for those alone that fit"
            )

    def _find(self, listed: IndexFile, names: NamesWanted) -> Evidence | None:
        """What is known of a file by the sha256 that is stated of it."""
        if listed.sha256 is None or self._keeping.again:
            return None
        found = self._known(listed.sha256, names)
        if found is not None:
            return found
        return self._shelf.find(listed.sha256, listed.name, names, address_digest(listed.url))

    def _fetch(self, file: RemoteFile, listed: IndexFile, names: NamesWanted) -> Evidence:
        """Read it where it is, and keep what was read.

        Where its sha256 was not computed of all that was read, that is what the index states, and
        the row says so.
        """
        file.on_bytes = self._progress(file)
        stated = listed.metadata_sha256
        asked = Asked(self._shelf.widened(listed.sha256, names) if listed.sha256 else names)
        wanted = Wanted(
            asked,
            Progress(),
            stated,
            lambda: served_metadata(self._http, listed.url, stated) if stated else None,
            self._keeping.whole,
        )
        evidence = read_wheel(file, wanted)
        hashed = file.sha256 is not None and not file.read_again
        self._reporter.detail(
            f"{file.name}: {file.fetched} of {file.size} bytes fetched, its sha256 "
            + ("computed" if hashed else "not computed")
        )
        self._shelf.keep(
            evidence,
            asked.level,
            whole=hashed,
            again=self._keeping.again,
            stated_by=None if hashed else address_digest(listed.url),
        )
        return evidence

    def _progress(self, file: RemoteFile) -> Callable[[int], None]:
        what = f"fetching {file.name}"
        return lambda done: self._reporter.progress(what, done, None, "B")


def _from_address(url: str) -> IndexFile:
    """The wheel at an address, whose fragment may state its hash (`#sha256=...`)."""
    try:
        parts = urlsplit(url)
        valid = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        valid = False
    name = unquote(parts.path).rpartition("/")[2] if valid else ""
    if not name.endswith(".whl") or not name.isprintable() or len(name) > 255:
        raise UsageError(
            f"`{safe_url(url)}` is not the address of a wheel",
            hint="what is read from an address is a wheel (`https://.../name-1.0-....whl`)",
        )
    digest = HASH.search(parts.fragment)
    bare = url.partition("#")[0]
    return IndexFile(name, bare, sha256=digest[1].lower() if digest else None)
