"""A client for each server; one that is not reached is not asked by everybody in turn."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import msgspec

from sartor.errors import IndexUnreachableError, SartorError
from sartor.index.sources import access, place_of
from sartor.remote.address import safe_url
from sartor.remote.http import Http, Limits
from sartor.remote.listings import now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Self

    from sartor.index.sources import Access, IndexSources
    from sartor.kept import KeptFiles
    from sartor.remote.http import Answer, Stream

PATIENCE = Limits(connect=2.5, answer=6.0, block=15.0, waiting=5.0, tries=2, drops=4)
"""A plan goes on without an index: some five seconds for one that takes no connection, twelve for
one that takes it and says nothing."""
REMEMBERED = 60.0
"""Seconds for which a server that was not reached is not asked again."""
OFTEN = 3
"""A server that was reached is given up after so many requests in a row that were not answered."""


class Unreached(msgspec.Struct, frozen=True, tag_field="schema", tag="sartor.unreached/1"):
    """A server that was not reached at ``at`` (seconds since 1970), in words."""

    server: str
    at: float
    message: str
    hint: str | None = None


class Server(Http):
    """A client for one server. The first request goes alone; if the server is not reached no other
    is made, and each raises the `IndexUnreachableError` of the first."""

    def __init__(
        self,
        access: Access,
        server: str,
        remembered: Unreached | None,
        on_down: Callable[[Unreached], None],
    ) -> None:
        super().__init__(access, PATIENCE, lambda answer: access.ask_keyring(answer.url))
        self._first = threading.Lock()
        self._reached = False
        self._in_a_row = 0
        self._down = remembered
        self._on_down = on_down
        self._server = server

    @property
    def down_at(self) -> float | None:
        """When it was not reached (seconds since 1970), where it is not asked for that."""
        return self._down.at if self._down is not None else None

    def check(self) -> Self:
        """Itself; raises the `IndexUnreachableError` where it is not asked for a while."""
        if self._down is not None:
            raise IndexUnreachableError(self._down.message, hint=self._down.hint)
        return self

    def get(
        self, url: str, headers: Mapping[str, str], form: Mapping[str, str] | None = None
    ) -> tuple[Answer, Stream]:
        """As `Http.get`."""
        if not self._reached:
            with self._first:
                if not self._reached:
                    return self._get(url, headers, form)
        return self._get(url, headers, form)

    def _get(
        self, url: str, headers: Mapping[str, str], form: Mapping[str, str] | None
    ) -> tuple[Answer, Stream]:
        self.check()
        try:
            answered = super().get(url, headers, form)
        except IndexUnreachableError as error:
            self._in_a_row += 1
            if not self._reached or self._in_a_row >= OFTEN:
                why = error.message.partition(": ")[2] or error.message
                shown = safe_url(urljoin(url, "/")).rstrip("/")
                message = f"`{shown}` is not reached: {why}"
                self._down = Unreached(self._server, now(), message, error.hint)
                self._on_down(self._down)
                raise IndexUnreachableError(message, hint=error.hint) from error
            raise
        except SartorError:
            self._reached, self._in_a_row = True, 0
            raise
        self._reached, self._in_a_row = True, 0
        return answered


class Clients:
    """The client for the server of an address, made once it is needed. Of several threads each
    may ask. ``unreached`` keeps those servers for a minute that were not reached."""

    def __init__(
        self,
        sources: IndexSources,
        others: Iterable[str],
        unreached: KeptFiles,
        *,
        refresh: bool = False,
    ) -> None:
        self._sources = sources
        self._others = list(others)
        self._unreached = unreached
        self._refresh = refresh
        self._lock = threading.Lock()
        self._access: Access | None = None
        self._servers: dict[object, Server] = {}

    def __call__(self, url: str | None) -> Server:
        """The client for the server of ``url``; None: for that of the clients' default index."""
        key = None if url is None else place_of(url)
        with self._lock:
            if key not in self._servers:
                self._servers[key] = self._made(str(key))
            return self._servers[key]

    @property
    def access(self) -> Access:
        """How servers are reached."""
        if self._access is None:
            self._access = access(self._sources)
            for url in self._others:
                self._access.learn(url)
        return self._access

    @property
    def requests(self) -> int:
        """How many were made."""
        return sum(server.requests for server in self._servers.values())

    @property
    def received(self) -> int:
        """Bytes that came."""
        return sum(server.received for server in self._servers.values())

    def close(self) -> None:
        """Leave whatever is under way."""
        for server in self._servers.values():
            server.close()

    def _made(self, server: str) -> Server:
        import hashlib

        name = f"{hashlib.sha256(server.encode()).hexdigest()[:32]}.json"

        def on_down(found: Unreached) -> None:
            self._unreached.put(name, msgspec.json.encode(found))

        return Server(self.access, server, self._remembered(name, server), on_down)

    def _remembered(self, name: str, server: str) -> Unreached | None:
        data = None if self._refresh else self._unreached.get(name)
        if data is None:
            return None
        try:
            kept = msgspec.json.decode(data, type=Unreached)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        return kept if kept.server == server and 0 <= now() - kept.at < REMEMBERED else None
