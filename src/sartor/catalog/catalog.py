"""`Catalog`: every question of planning answered, all of one round at once.

The planner is pure; this is its edge. What is asked of servers is asked in threads, what is kept
is looked up meanwhile, and nothing is imported or opened before the first question needs it.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import msgspec

from sartor.catalog.addresses import Addresses
from sartor.catalog.kept_plans import Validity, marks
from sartor.catalog.reports import Shared
from sartor.closing import Closing
from sartor.kept import KeptFiles
from sartor.plan.known import (
    DEFAULT,
    Known,
    ListingQuestion,
    MetadataQuestion,
    Resolution,
    Unread,
)
from sartor.remote.listings import MOST_FRESH, now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sartor.artifact.model import Evidence, Package
    from sartor.catalog.clients import Clients
    from sartor.catalog.declared import Declared
    from sartor.catalog.kept_resolutions import KeptResolutions
    from sartor.catalog.listing import Lister
    from sartor.catalog.reports import Kind
    from sartor.catalog.shelved import Shelved
    from sartor.evidence.row import Row
    from sartor.index.sources import IndexSources
    from sartor.index.wheels import IndexFile
    from sartor.paths import Places
    from sartor.plan.known import (
        Listing,
        Machine,
        Resolved,
        ResolveQuestion,
        Wanted,
    )
    from sartor.plan.outcome import Found
    from sartor.remote.listings import Listings
    from sartor.reporter import Reporter

    Question = TypeVar("Question")
    Answer = TypeVar("Answer")

AT_ONCE = 16
"""Questions that are answered at a time."""
CONFLICT_SECONDS = 60.0
"""For which the reasons of one unsolvable question are looked for at most."""
MOST_METADATA, MOST_PARTS, MOST_UNREACHED = 5000, 5000, 100


class Cost(NamedTuple):
    """What the answers took: requests and bytes of Sartor's own clients, seconds of waiting for
    answers, and how often the resolver ran, whose requests are its own."""

    requests: int
    bytes: int
    seconds: float
    resolver_runs: int


class Catalog(Closing):
    """Answers `Wanted`; is an `Oracle`. Use it as a context, and `answer` from one thread.

    ``places`` say where answers are kept; with ``store`` False none are, nor is the evidence store
    asked. ``extra_indexes`` are as `Addresses` takes them. ``refresh``: whatever may change is
    asked again. No answer is an exception: what cannot be had says why.
    """

    def __init__(
        self,
        places: Places,
        reporter: Reporter,
        *,
        extra_indexes: Iterable[str] = (),
        refresh: bool = False,
        store: bool = True,
        conflict_seconds: float = CONFLICT_SECONDS,
    ) -> None:
        self._conflict_seconds = conflict_seconds
        self._places = places if store else None
        self._reporter = Shared(reporter)
        self._given = Addresses(extra_indexes)
        self._refresh = refresh
        self._addresses: dict[str, str] = {}
        self._files: dict[str, IndexFile] = {}
        self._learned: set[ListingQuestion] = set()
        self._seconds = 0.0
        self._lock = threading.Lock()

    def close(self) -> None:
        """Give the clients and the stores back."""
        for opened in ("_clients", "_shelved"):
            if opened in vars(self):
                getattr(self, opened).close()

    @property
    def cost(self) -> Cost:
        """What all answers took so far."""
        asked = self._clients if "_clients" in vars(self) else None
        runs = self._resolutions.runs if "_resolutions" in vars(self) else 0
        requests, received = (asked.requests, asked.received) if asked else (0, 0)
        return Cost(requests, received, self._seconds, runs)

    def answer(self, wanted: Wanted, known: Known) -> Known:
        """``known`` with the answers to all that is wanted."""
        began = time.monotonic()
        self._meet(known, wanted)
        shelved = self._from_shelf(wanted.metadata)
        others = [q for q in wanted.metadata if q not in shelved]
        if others or wanted.listings or wanted.resolutions or wanted.conflicts:
            _ = self._lister, self._declared, self._resolutions  # made before several threads are
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="catalog") as pool:
            try:
                conflicts = _each(pool, self.conflicts, wanted.conflicts)
                resolutions = _each(pool, self.resolve, wanted.resolutions)
                listings = _each(pool, self._lister_listing, wanted.listings)
                metadata = _each(pool, self._declared_package, others)
                found = msgspec.structs.replace(
                    known,
                    evidence=known.evidence | _now(self._shelved.evidence, wanted.evidence),
                    parts=known.parts | _now(self._shelved.parts, wanted.parts),
                    listings=known.listings | listings(),
                    metadata=known.metadata | shelved | metadata(),
                    resolutions=known.resolutions | resolutions(),
                    conflicts=known.conflicts | conflicts(),
                )
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        self._seconds += time.monotonic() - began
        return found

    def validity(self, known: Known) -> Validity:
        """For how long a plan from ``known`` holds, all of which this catalog answered.

        It is over at once where an answer could not be had: that is asked for again.
        """
        until, files = [now() + MOST_FRESH], self._shelved.marks()
        for question in {*known.listings, *self._lister.asked}:
            until.append(self._lister.fresh_until(question))
            files |= marks(self._lister.folders(question))
        until += [self._resolved_until(asked) for asked in self._resolutions.asked]
        until += [0.0 for answer in known.metadata.values() if isinstance(answer, Unread)]
        until += [0.0 for found in known.conflicts.values() if not found.complete]
        return Validity(until=min(until), files=files)

    def _resolved_until(self, asked: ResolveQuestion) -> float:
        """Until when an answer is not asked for again; what could not be had is, at once."""
        at = self._resolutions.asked_at(asked)
        if at is None or isinstance(self._resolutions.answered(asked), Unread):
            return 0.0
        return at + MOST_FRESH

    @property
    def said(self) -> list[tuple[Kind, str]]:
        """The notes and warnings that answers gave rise to."""
        return self._reporter.said

    def resolve(self, question: ResolveQuestion) -> Resolved:
        """One consistent set for the question, by the real resolver."""
        return self._resolutions.resolve(question, self._files.get)

    def listing(self, project: str) -> Listing:
        """The files of ``project`` (a normalised name) on the user's own indexes."""
        return self._lister_listing(ListingQuestion(DEFAULT, project))

    def metadata(self, project: str, version: str, machine: Machine) -> Package | Unread:
        """What the wheel of that version declares which ``machine`` would get."""
        from sartor.catalog.choice import of_version, resolver_wheel

        listing = self.listing(project)
        file = resolver_wheel(of_version(listing.files, project, version), machine)
        if file is None:
            why = listing.why or f"no wheel of {project} {version} is for that machine"
            return Unread(why)
        return self._declared_package(MetadataQuestion(DEFAULT, file))

    def reading(self, sha256: str) -> tuple[Row, Evidence] | None:
        """What was read of a file, and the row of a store that it is from; None: nothing was."""
        return self._shelved.reading(sha256)

    def address(self, index: str) -> str | None:
        """An index's address without credentials; None where the user's own are not just one."""
        if index == DEFAULT:
            own = self._sources.indexes
            found = own[0] if len(own) == 1 and not self._sources.find_links else None
        else:
            found = self._given.of(index)
        from sartor.index.sources import without_credentials

        return None if found is None else without_credentials(found)

    def conflicts(self, question: ResolveQuestion) -> Found:
        """Why there is no set for the question, as far as there is time."""
        from sartor.catalog.conflicts import conflicts

        return conflicts(question, self, seconds=self._conflict_seconds)

    def _lister_listing(self, question: ListingQuestion) -> Listing:
        listing = self._lister.listing(question)
        self._learn(question, listing)
        return listing

    def _declared_package(self, question: MetadataQuestion) -> Package | Unread:
        return self._declared.package(question.file)

    def _from_shelf(
        self, questions: Iterable[MetadataQuestion]
    ) -> dict[MetadataQuestion, Package | Unread]:
        found: dict[MetadataQuestion, Package | Unread] = {}
        for question in questions:
            sha256 = question.file.sha256
            package = self._shelved.package(sha256) if sha256 else None
            if package is not None:
                found[question] = package
        return found

    def _meet(self, known: Known, wanted: Wanted) -> None:
        """Learn where the files are of which more is asked now."""
        for question, listing in known.listings.items():
            self._learn(question, listing)
        for asked in wanted.metadata:
            self._learn_file(asked.file)
        for resolved in known.resolutions.values():
            for package in resolved.packages if isinstance(resolved, Resolution) else ():
                self._learn_file(package.file)

    def _learn(self, question: ListingQuestion, listing: Listing) -> None:
        if question in self._learned:
            return
        self._learned.add(question)
        for file in listing.files:
            self._files.setdefault(file.url, file)
            self._learn_file(file)

    def _learn_file(self, file: IndexFile) -> None:
        if file.sha256:
            self._addresses.setdefault(file.sha256, file.url)

    def _kept(self, kind: str, what: str, most: int) -> KeptFiles:
        folder = self._places.catalog / kind if self._places else None
        return KeptFiles(folder, self._reporter, what=what, most=most)

    @cached_property
    def _sources(self) -> IndexSources:
        from sartor.index.sources import IndexSources, index_sources

        own = index_sources()
        return IndexSources([*own.indexes, *self._given.further], own.find_links)

    @cached_property
    def _pages(self) -> Listings:
        from sartor.remote.listings import Listings

        folder = self._places.listings if self._places else None
        return Listings(folder, self._reporter, anew=self._refresh)

    @cached_property
    def _clients(self) -> Clients:
        from sartor.catalog.clients import Clients

        unreached = self._kept("unreached", "which index was not reached", MOST_UNREACHED)
        return Clients(self._sources, self._given.all, unreached, refresh=self._refresh)

    @cached_property
    def _lister(self) -> Lister:
        from sartor.catalog.listing import Lister

        return Lister(self._sources, self._clients, self._pages, self._reporter, self._given)

    @cached_property
    def _declared(self) -> Declared:
        from sartor.catalog.declared import Declared

        kept = self._kept("metadata", "what wheels declare", MOST_METADATA)
        return Declared(self._clients, kept)

    @cached_property
    def _shelved(self) -> Shelved:
        from sartor.catalog.shelved import Shelved

        kept = self._kept("parts", "what wheels have for GPUs", MOST_PARTS)
        return Shelved(self._places, kept, self._reporter, self._addresses.get)

    @cached_property
    def _resolutions(self) -> KeptResolutions:
        from sartor.catalog.kept_resolutions import MOST, KeptResolutions
        from sartor.catalog.resolver import Resolver

        resolver = Resolver(
            self._sources,
            self._clients,
            self._lister,
            self._pages,
            self._reporter,
            refresh=self._refresh,
        )
        kept = self._kept("resolutions", "what was resolved", MOST)
        return KeptResolutions(resolver, kept, self._sources, self._reporter, refresh=self._refresh)


def _now(
    answer: Callable[[Question], Answer], questions: Iterable[Question]
) -> dict[Question, Answer]:
    """The answers to the questions, by one thread."""
    return {question: answer(question) for question in questions}


def _each(
    pool: ThreadPoolExecutor, answer: Callable[[Question], Answer], questions: Iterable[Question]
) -> Callable[[], dict[Question, Answer]]:
    """Begin to answer the questions; what is given back waits for the answers."""
    begun = {question: pool.submit(answer, question) for question in questions}
    return lambda: {question: future.result() for question, future in begun.items()}
