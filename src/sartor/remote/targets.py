"""Targets that are no paths: a project on the configured indexes, and the address of a wheel."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import msgspec
from packaging.utils import canonicalize_name

from sartor.artifact.reading import Progress, read_evidence
from sartor.errors import UsageError
from sartor.index.sources import access, index_sources
from sartor.index.wheels import IndexFile, choose
from sartor.remote.file import RemoteFile
from sartor.remote.http import Http, safe_url
from sartor.remote.pages import list_files
from sartor.remote.reference import Reading
from sartor.remote.wheel import Wanted, read_wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from packaging.requirements import Requirement

    from sartor.artifact.model import Evidence, NotRead
    from sartor.artifact.reading import NamesWanted
    from sartor.index.wheels import Fits
    from sartor.remote.http import Limits
    from sartor.reporter import Reporter

    Known = Callable[[str, NamesWanted], Evidence | None]

HASH = re.compile(r"(?:^|&)sha256=([0-9a-fA-F]{64})(?:&|$)")
MANY_WHEELS = 3


def nothing_known(sha256: str, names: NamesWanted) -> Evidence | None:  # noqa: ARG001
    """No evidence is kept anywhere."""
    return None


class Remotes:
    """Reads remote targets, with one client for all of them.

    ``known`` gives the evidence of a file by the sha256 that the index states, where it is kept
    somewhere and serves these ``names``: then nothing of the file is fetched.
    """

    def __init__(
        self, reporter: Reporter, limits: Limits | None = None, known: Known = nothing_known
    ) -> None:
        self._reporter = reporter
        self._known = known
        self._sources = index_sources()
        self._access = access(self._sources)
        self._http = Http(self._access, limits)

    def close(self) -> None:
        """Leave all that is under way."""
        self._http.close()

    def read(self, target: Requirement | str, names: NamesWanted, fits: Fits) -> Iterator[Reading]:
        """Each wheel that is meant, in the order of their names."""
        if isinstance(target, str):
            file = _from_address(target)
            self._access.learn(target)
            yield self._read(file, names, [])
            return
        files = list_files(self._http, self._sources, canonicalize_name(target.name))
        chosen = choose(target, files, fits)
        self._say(target.name, chosen.version, chosen.wheels)
        left = chosen.left
        for file in chosen.wheels:
            yield self._read(file, names, left)
            left = []

    def _say(self, name: str, version: str, wheels: list[IndexFile]) -> None:
        if len(wheels) > MANY_WHEELS:
            self._reporter.note(
                f"{name} {version} has {len(wheels)} wheels, and all are read: `--python 3.12` or "
                "`--host 'h200, ...'` asks for those alone that fit"
            )

    def _read(self, listed: IndexFile, names: NamesWanted, left: list[NotRead]) -> Reading:
        parts = urlsplit(listed.url)
        known = self._known(listed.sha256, names) if listed.sha256 else None
        if known is not None:
            evidence, fetched = known, 0
        elif parts.scheme == "file":
            evidence = read_evidence(Path(unquote(parts.path)), names)
            fetched = 0
        else:
            file = RemoteFile(self._http, listed.url, listed.name, listed.size, listed.sha256)
            file.on_bytes = self._progress(file)
            wanted = Wanted(names, Progress(), listed.metadata_sha256)
            evidence, fetched = read_wheel(file, wanted), file.fetched
        evidence = msgspec.structs.replace(evidence, not_read=[*evidence.not_read, *left])
        yanked = {} if listed.yanked is None else {listed.name: listed.yanked}
        return Reading(evidence, fetched, yanked)

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
