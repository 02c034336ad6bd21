"""What indexes said of projects a short while ago, kept below Sartor's folder for this user alone.

As HTTP has it (RFC 9111): a page is used as long as it is fresh, and then held against its
validators. Credentials are in no page that is kept: pages with links that hold any, or a query
(signatures), are not. What cannot be read here is asked anew, what cannot be written is not kept.
"""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING

import msgspec

from sartor.index.files import IndexFile
from sartor.kept import KeptFiles
from sartor.remote.address import bare_url, moment, number, safe_url

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from sartor.reporter import Reporter

MOST_FRESH = 600.0
"""Seconds that a page is used for at most, and where its server says nothing of that."""
MOST_PAGES = 500


class Page(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What one place said of one project, at ``asked_at`` (seconds since 1970), for so long.

    ``files`` is None where it has no such project; ``fresh_for`` where it may not be kept.
    ``etag`` and ``modified`` are its validators; of a local file the first is its fingerprint.
    ``silent``: its server says nothing of how long it may be used.
    """

    files: list[IndexFile] | None = None
    asked_at: float
    fresh_for: float | None = 0.0
    etag: str | None = None
    modified: str | None = None
    silent: bool = False

    def is_fresh(self, now: float) -> bool:
        """Whether it may be used as it is; not where the clock was set back."""
        return 0 <= now - self.asked_at < min(self.fresh_for or 0.0, MOST_FRESH)

    @property
    def validators(self) -> dict[str, str]:
        """The headers by which its server says whether it is still so."""
        found = {"If-None-Match": self.etag, "If-Modified-Since": self.modified}
        return {name: value for name, value in found.items() if value}


class Kept(msgspec.Struct, frozen=True, tag_field="schema", tag="sartor.listing/3"):
    """A page as a file; ``place`` is where it came from, as it may be shown."""

    place: str
    project: str
    page: Page


class Listings:
    """The pages that are kept in ``folder``; None: none is kept. ``anew``: all are asked again.

    What was read or kept once is not read again: a large page takes milliseconds.
    """

    def __init__(self, folder: Path | None, reporter: Reporter, *, anew: bool = False) -> None:
        self.anew = anew
        self._files = KeptFiles(folder, reporter, what="what the index said", most=MOST_PAGES)
        self._read: dict[str, Page] = {}

    def get(self, place: str | None, project: str) -> Page | None:
        """The page that was kept of a project at a place; None without one that can be read."""
        name = self._name(place, project)
        if name is None:
            return None
        if name in self._read:
            return self._read[name]
        kept = self._files.get_as(name, Kept)
        if kept is None:
            return None
        meant = (kept.place, kept.project) == (shown_place(place), project)
        if not (meant and is_keepable(kept.page)):
            return None
        self._read[name] = kept.page
        return kept.page

    def put(self, place: str | None, project: str, page: Page) -> None:
        """Keep a page; where it may not be kept, forget the one before."""
        name = self._name(place, project)
        if name is None:
            return
        self._read.pop(name, None)
        if page.fresh_for is None or not is_keepable(page):
            self._files.forget(name)
            return
        kept = Kept(place=shown_place(place), project=project, page=page)
        self._files.put(name, msgspec.json.encode(kept))
        if self._files.is_kept:
            self._read[name] = page

    def _name(self, place: str | None, project: str) -> str | None:
        """The file of a page; None where none is kept, as of an address with a query."""
        if "?" in (place or ""):
            return None
        where = "" if place is None else bare_url(place) or ""
        digest = hashlib.sha256(f"{where}\0{project}".encode("utf-8", "surrogateescape"))
        return f"{digest.hexdigest()[:32]}.json"


def shown_place(place: str | None) -> str:
    """An index as it may be shown; None is the clients' default."""
    return "the default index" if place is None else safe_url(place)


def is_keepable(page: Page) -> bool:
    """Whether no address in it may hold a secret: none has a user, a password, or a query."""
    return not any("?" in f.url or "@" in f.url.partition("#")[0] for f in page.files or ())


def fresh_for(headers: Mapping[str, str], now: float) -> float | None:
    """The seconds for which an answer may be used as it is; None where it may not be kept.

    ``headers`` have names in small letters. Where they say nothing: `MOST_FRESH`.
    """
    said = _directives(headers.get("cache-control", "").split(","))
    if "no-store" in said:
        return None
    if "no-cache" in said or headers.get("vary", "").strip() == "*":
        return 0.0
    seconds = MOST_FRESH
    if "max-age" in said:
        seconds = float(number(said["max-age"].strip('"')) or 0)
        seconds -= number(headers.get("age")) or 0
    elif "expires" in headers:
        seconds = (moment(headers["expires"]) or 0.0) - (moment(headers.get("date")) or now)
    return min(max(seconds, 0.0), MOST_FRESH)


def is_silent(headers: Mapping[str, str]) -> bool:
    """Whether an answer says nothing of how long it may be used."""
    return not {"cache-control", "expires", "vary"} & {*headers}


def _directives(parts: Sequence[str]) -> dict[str, str]:
    pairs = (part.strip().lower().partition("=") for part in parts)
    return {name.strip(): value.strip() for name, _, value in pairs}


def now() -> float:
    """Seconds since 1970."""
    return time.time()
