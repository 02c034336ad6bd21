"""What was resolved a short while ago is not resolved again; later only without an index."""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING, NamedTuple

import msgspec

import sartor
from sartor.plan.known import Resolution, ResolveQuestion, Unread, Unsolvable
from sartor.remote.address import safe_url
from sartor.remote.listings import MOST_FRESH, now, shown_place

if TYPE_CHECKING:
    from collections.abc import Callable

    from sartor.catalog.resolver import Resolver
    from sartor.index.sources import IndexSources
    from sartor.index.wheels import IndexFile
    from sartor.kept import KeptFiles
    from sartor.plan.known import Resolved
    from sartor.reporter import Reporter

MOST = 500


class Kept(msgspec.Struct, frozen=True, tag_field="schema", tag="sartor.resolved/1"):
    """An answer of the resolver, at ``asked_at`` (seconds since 1970)."""

    question: ResolveQuestion
    asked_at: float
    resolution: Resolution | None = None
    unsolvable: str | None = None

    @property
    def answer(self) -> Resolved:
        """The answer."""
        return self.resolution or Unsolvable(self.unsolvable or "")

    def is_fresh(self, moment: float) -> bool:
        """Whether it is used without a question, as a listing is."""
        return 0 <= moment - self.asked_at < MOST_FRESH


class KeptResolutions:
    """Asks the resolver, and keeps what it said of indexes that were reached.

    Kept is it by the question, the user's indexes and Sartor's version. Of several threads each
    may ask; the same question is asked once.
    """

    def __init__(
        self,
        resolver: Resolver,
        kept: KeptFiles,
        sources: IndexSources,
        reporter: Reporter,
        *,
        refresh: bool = False,
    ) -> None:
        self._resolver = resolver
        self._kept = kept
        self._sources = sources
        self._reporter = reporter
        self._refresh = refresh
        self._lock = threading.Lock()
        self._asked: dict[ResolveQuestion, _Asked] = {}

    @property
    def runs(self) -> int:
        """How often the resolver ran."""
        return self._resolver.runs

    def resolve(
        self, question: ResolveQuestion, listed: Callable[[str], IndexFile | None]
    ) -> Resolved:
        """The answer; raises nothing. ``listed``: what an index said of the file at an address."""
        with self._lock:
            asked = self._asked.setdefault(question, _Asked(threading.Lock(), []))
        with asked.lock:
            if not asked.answers:
                asked.answers.append(self._answer(question, listed))
            return asked.answers[0]

    @property
    def asked(self) -> list[ResolveQuestion]:
        """All that was asked so far, by whomever."""
        return [*self._asked]

    def answered(self, question: ResolveQuestion) -> Resolved | None:
        """What was answered to one of these."""
        asked = self._asked.get(question)
        return asked.answers[0] if asked and asked.answers else None

    def asked_at(self, question: ResolveQuestion) -> float | None:
        """When what is kept of a question was answered, in seconds since 1970."""
        kept = self._get(question)
        return kept.asked_at if kept else None

    def _answer(
        self, question: ResolveQuestion, listed: Callable[[str], IndexFile | None]
    ) -> Resolved:
        kept, began = self._get(question), now()
        if kept is not None and kept.is_fresh(began) and not self._refresh:
            return kept.answer
        answered = self._resolver.resolve(question, listed)
        if answered.online:
            self._put(question, began, answered.resolved)
            return answered.resolved
        if kept is not None and isinstance(answered.resolved, Unread):
            ago = f"{max(began - kept.asked_at, 0) / 60:.0f} minutes"
            self._reporter.warn(f"no index is reached: what was resolved {ago} ago is used")
            return kept.answer
        if not isinstance(answered.resolved, Unread):
            self._reporter.warn("no index is reached: resolved from what uv has in its cache")
        return answered.resolved

    def _get(self, question: ResolveQuestion) -> Kept | None:
        kept = self._kept.get_as(self._name(question), Kept)
        return kept if kept and kept.question == question else None

    def _put(self, question: ResolveQuestion, began: float, resolved: Resolved) -> None:
        match resolved:
            case Resolution():
                if not _is_keepable(resolved):
                    return
                kept = Kept(question, began, resolution=resolved)
            case Unsolvable():
                kept = Kept(question, began, unsolvable=resolved.why)
            case Unread():
                return
        self._kept.put(self._name(question), msgspec.json.encode(kept))

    def _name(self, question: ResolveQuestion) -> str:
        own = [
            question,
            [shown_place(place) for place in self._sources.indexes],
            [safe_url(place) for place in self._sources.find_links],
            [safe_url(self._resolver.addresses.of(pin.index)) for pin in question.indexes],
            sartor.__version__,
        ]
        return f"{hashlib.sha256(msgspec.json.encode(own)).hexdigest()[:32]}.json"


class _Asked(NamedTuple):
    """One question: who holds the lock answers it, the others find the answer."""

    lock: threading.Lock
    answers: list[Resolved]


def _is_keepable(resolved: Resolution) -> bool:
    """Whether no address in it may hold a secret."""
    urls = [package.file.url for package in resolved.packages]
    return not any("?" in url or "@" in url.partition("#")[0] for url in urls)
