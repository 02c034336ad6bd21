"""The files of a project on an index: what it says now, or said a short while ago."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from sartor.catalog.clients import REMEMBERED
from sartor.errors import IndexUnreachableError, NoSuchTargetError, SartorError
from sartor.index.sources import IndexSources
from sartor.plan.known import DEFAULT, Listing
from sartor.remote.indexes import Indexes, local_path
from sartor.remote.listings import MOST_FRESH, now, shown_place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sartor.catalog.addresses import Addresses
    from sartor.catalog.clients import Clients
    from sartor.errors import ErrorDocument
    from sartor.index.wheels import IndexFile
    from sartor.plan.known import ListingQuestion
    from sartor.remote.listings import Listings
    from sartor.reporter import Reporter


class Place(NamedTuple):
    """An index (None: the clients' default), or a place with ``links`` to files."""

    address: str | None
    links: bool = False

    @property
    def is_remote(self) -> bool:
        """Whether a server is asked."""
        address = self.address
        return address is None or urlsplit(address).scheme in {"http", "https"}


class Said(NamedTuple):
    """What one place has of a project; ``why``: it was not reached, and files are as they were."""

    files: list[IndexFile]
    why: str | None = None
    error: ErrorDocument | None = None


class Lister:
    """Asks indexes for projects. Of several threads each may ask.

    A project that an index does not have is *reached* without files. Of an index that is not
    reached there is what was kept, however old, and ``why`` says how old: nothing is *missing*.
    """

    def __init__(
        self,
        sources: IndexSources,
        clients: Clients,
        pages: Listings,
        reporter: Reporter,
        addresses: Addresses,
    ) -> None:
        self.addresses = addresses
        self._sources = sources
        self._clients = clients
        self._pages = pages
        self._reporter = reporter
        self._answers: dict[ListingQuestion, Listing] = {}
        self._lock = threading.Lock()
        self._told: set[Place] = set()

    def listing(self, question: ListingQuestion) -> Listing:
        """The files; raises nothing for an index that is not reached."""
        found = self._answers.get(question)
        if found is None:
            found = self._answers[question] = self._asked(question)
        return found

    def places(self, index: str) -> list[Place]:
        """Where the files of an index are; of the user's own there may be several."""
        if index != DEFAULT:
            return [Place(self.addresses.of(index))]
        links = (Place(address, links=True) for address in self._sources.find_links)
        return [*map(Place, self._sources.indexes), *links]

    @property
    def asked(self) -> list[ListingQuestion]:
        """All that was asked so far, by whomever."""
        return [*self._answers]

    def fresh_until(self, question: ListingQuestion) -> float:
        """Until when an answer is not asked for again, in seconds since 1970."""
        listing, moment = self._answers.get(question), now()
        until = moment + MOST_FRESH
        for place in self.places(question.index):
            if place.is_remote:
                until = min(until, self._remote_until(place, question.project, listing))
        return moment if listing is None else until

    def _remote_until(self, place: Place, project: str, listing: Listing | None) -> float:
        """As `fresh_until`, of one place; one that is not reached is left alone for a while."""
        if listing is not None and listing.state == "not reached":
            down_at = self._clients(place.address).down_at
            if down_at is not None:
                return down_at + REMEMBERED
        page = self._pages.get(place.address, project)
        return page.asked_at + min(page.fresh_for or 0.0, MOST_FRESH) if page else 0.0

    def folders(self, question: ListingQuestion) -> Iterator[Path]:
        """The pages and folders of this machine that an answer rests on."""
        for place in self.places(question.index):
            if place.is_remote or place.address is None:
                continue
            path = local_path(place.address)
            yield path if place.links else path / question.project / "index.html"

    def _asked(self, question: ListingQuestion) -> Listing:
        files: dict[str, IndexFile] = {}
        wrong, met = [], None
        for said in self._said(question):
            for file in said.files:
                files.setdefault(file.name, file)
            if said.why:
                wrong.append(said.why)
                met = met or said.error
        return Listing(
            index=question.index,
            project=question.project,
            state="not reached" if wrong else "reached",
            files=list(files.values()),
            why="; ".join(dict.fromkeys(wrong)) or None,
            error=met,
        )

    def _said(self, question: ListingQuestion) -> Iterator[Said]:
        for place in self.places(question.index):
            try:
                yield Said(self._files(place, question.project))
            except NoSuchTargetError:
                yield Said([])
            except SartorError as error:
                yield self._as_it_was(place, question.project, error)

    def _files(self, place: Place, project: str) -> list[IndexFile]:
        own = [] if place.address is None else [place.address]
        sources = IndexSources([] if place.links else [place.address], own if place.links else [])
        indexes = Indexes(
            sources, lambda: self._clients(place.address).check(), self._pages, self._reporter
        )
        return indexes.files(project)

    def _as_it_was(self, place: Place, project: str, error: SartorError) -> Said:
        kept = self._pages.get(place.address, project)
        if not isinstance(error, IndexUnreachableError) or kept is None or kept.files is None:
            return Said([], error.message, error.document())
        ago = f"{max(now() - kept.asked_at, 0) / 60:.0f} minutes ago"
        with self._lock:
            told = place in self._told
            self._told.add(place)
        if not told:
            self._reporter.warn(
                f"{shown_place(place.address)} is not reached: what it said earlier is used "
                f"(of `{project}` {ago})"
            )
        why = f"{error.message}; its files are as it said {ago}"
        return Said(kept.files, why, error.document())
