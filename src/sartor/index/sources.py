"""Where packages are looked for, and how a client gets there, as pip and uv are configured here.

Addresses may hold credentials. They are given to the client alone: the two classes show none of
their fields. Not read is uv's own store of credentials; `~/.netrc` is read by the client.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

from sartor.index import network
from sartor.index.keyring import ask_keyring, keyring_program
from sartor.index.trust import Trust, trust

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_EXTRA = ("UV_INDEX", "UV_EXTRA_INDEX_URL")
_PORTS = {"http": 80, "https": 443}

Place = tuple[str, str, int | None]
"""Scheme, host and port."""


class IndexSources:
    """The indexes in their order (None: the client's default), and places with links to files."""

    def __init__(self, indexes: Iterable[str | None], find_links: Iterable[str]) -> None:
        self.indexes = list(indexes)
        self.find_links = list(find_links)

    def __repr__(self) -> str:
        return f"IndexSources({len(self.indexes)} indexes, {len(self.find_links)} places)"


class Access:
    """How a client gets to servers: credentials by place, proxies, and whom it trusts.

    ``keyring`` is the program that is asked for the credentials of these places, once a server
    wants any; ``trusted`` are hosts of which any certificate is taken.
    """

    def __init__(
        self,
        urls: Iterable[str] = (),
        *,
        trust: Trust = Trust(),  # noqa: B008 - it is frozen
        keyring: str | None = None,
        proxies: Mapping[str, str] | None = None,
        trusted: Iterable[str] = (),
    ) -> None:
        self.trust = trust
        self._keyring = keyring
        self._asked: dict[Place, bool] = {}
        self._lock = threading.Lock()
        self._services: dict[Place, list[str]] = {}
        self._proxies = dict(proxies or {})
        self._trusted = frozenset(trusted)
        self._credentials: dict[Place, tuple[str, str]] = {}
        for url in urls:
            self.learn(url)

    def __repr__(self) -> str:
        return f"Access({len(self._credentials)} credentials)"

    def learn(self, url: str) -> None:
        """Keep the credentials that stand in an address, for its host."""
        place, parts = place_of(url), _parts(url)
        if place:
            self._services.setdefault(place, []).append(url)
        if place and parts and parts[0] is not None:
            self._credentials.setdefault(place, (parts[0], parts[1] or ""))

    def name(self, url: str, user: str, password: str) -> None:
        """The credentials for an address that are said apart from it."""
        if place := place_of(url):
            self._credentials[place] = (user, password)

    def credentials_for(self, url: str) -> tuple[str, str] | None:
        """User and password for the host of an address; None: what ``~/.netrc`` says."""
        place = place_of(url)
        return self._credentials.get(place) if place else None

    def ask_keyring(self, url: str) -> bool:
        """Ask the keyring for the host of an address, once; whether it knew any credentials.

        It is asked for the index, and then for the host, as pip does; and not for hosts that
        nobody named, to which a server may have led.
        """
        place = place_of(url)
        if self._keyring is None or place is None or place not in self._services:
            return False
        with self._lock:
            if place not in self._asked:
                default = place[2] == _PORTS[place[0]]
                host = place[1] if default else f"{place[1]}:{place[2]}"
                named = [without_credentials(url) for url in self._services[place]]
                user = self._credentials.get(place, ("", ""))[0] or None
                found = ask_keyring(self._keyring, [*named, host], user)
                if found is not None:
                    self._credentials[place] = found
                self._asked[place] = found is not None
            return self._asked[place]

    def trusts(self, url: str) -> bool:
        """Whether pip's ``trusted-host`` says to take any certificate."""
        place = place_of(url)
        return place is not None and bool({place[1], f"{place[1]}:{place[2]}"} & self._trusted)

    def proxies_for(self, url: str) -> dict[str, str]:
        """pip's proxy; none where the environment names one, or ``NO_PROXY`` the host."""
        place = place_of(url)
        if not self._proxies or place is None:
            return {}
        from urllib.request import proxy_bypass

        return {} if proxy_bypass(f"{place[1]}:{place[2]}") else self._proxies


def place_of(url: str) -> Place | None:
    """Scheme, host and port of an address; None where it is none of http."""
    try:
        parts = urlsplit(url)
        scheme, port = parts.scheme.lower(), parts.port
    except ValueError:
        return None
    if scheme not in _PORTS or not parts.hostname:
        return None
    return scheme, parts.hostname.lower(), port or _PORTS[scheme]


def without_credentials(url: str) -> str:
    """The same address without user and password; as it is where it has none, or is none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    place = parts.netloc.rpartition("@")[2]
    return url if place == parts.netloc else urlunsplit(parts._replace(netloc=place))


def _parts(url: str) -> tuple[str | None, str | None] | None:
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    user = None if parts.username is None else unquote(parts.username)
    return user, None if parts.password is None else unquote(parts.password)


def index_sources(environ: Mapping[str, str] | None = None) -> IndexSources:
    """The user's indexes. What is said to uv, by variable or by file, goes before pip's word."""
    environ = os.environ if environ is None else environ
    tables = network.uv_settings(environ)
    uv_decides = network.uv_names_an_index(environ)
    pip = {} if uv_decides else network.pip_settings(environ)
    default = network.default_index(environ)
    extra = _extra(environ, tables) or pip.get("extra-index-url", "").split()
    links = environ.get("UV_FIND_LINKS", "").split(",")
    links = [*filter(None, links)] or [*_listed(tables, "find-links")]
    links = links or pip.get("find-links", "").split()
    none = network.pip_says_no_index(environ) or any(t.get("no-index") is True for t in tables)
    indexes = [] if none else [default, *extra]
    return IndexSources(dict.fromkeys(indexes), network.existing(list(dict.fromkeys(links))))


def _extra(environ: Mapping[str, str], tables: Iterable[Mapping[str, object]]) -> list[str]:
    named = [network.without_name(w) for v in _EXTRA for w in environ.get(v, "").split()]
    if named:
        return named
    found = []
    for table in tables:
        listed = table.get("index")
        for index in listed if isinstance(listed, list) else []:
            usual = isinstance(index, dict) and not index.get("default", False)
            if usual and not index.get("explicit", False) and isinstance(index.get("url"), str):
                found.append(index["url"])
        found += _listed([table], "extra-index-url")
    return found


def _listed(tables: Iterable[Mapping[str, object]], key: str) -> Iterator[str]:
    for table in tables:
        value = table.get(key)
        yield from (v for v in (value if isinstance(value, list) else []) if isinstance(v, str))


def access(sources: IndexSources, environ: Mapping[str, str] | None = None) -> Access:
    """How to get to the indexes, and to anything else."""
    environ = os.environ if environ is None else environ
    settings = network.pip_settings(environ)
    found = Access(
        [url for url in (*sources.indexes, *sources.find_links) if url],
        trust=trust(environ),
        keyring=keyring_program(environ),
        proxies={
            k.removesuffix("_PROXY").lower(): v
            for k, v in network.proxies(settings, environ).items()
        },
        trusted=settings.get("trusted-host", "").split(),
    )
    for name, url in _named_indexes(environ):
        prefix = "UV_INDEX_" + "".join(c if c.isalnum() else "_" for c in name).upper()
        user = environ.get(f"{prefix}_USERNAME")
        password = environ.get(f"{prefix}_PASSWORD")
        if user or password:
            found.name(url, user or "", password or "")
    return found


def _named_indexes(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for variable in (*_EXTRA, "UV_DEFAULT_INDEX"):
        for word in environ.get(variable, "").split():
            url = network.without_name(word)
            if url != word:
                yield word.removesuffix(url).rstrip("="), url
    for table in network.uv_settings(environ):
        listed = table.get("index")
        for index in listed if isinstance(listed, list) else []:
            if isinstance(index, dict) and index.get("name") and index.get("url"):
                yield str(index["name"]), str(index["url"])
