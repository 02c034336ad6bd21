"""Saying who asks, as registries want it: a token (`Bearer`) or user and password (`Basic`).

After the distribution project's token specification. What a registry is told is told to that
registry alone: not to the storage hosts that it leads to, and a login is sent to the server that
it names for tokens only where that is of the same site. Otherwise the login for that server is.
"""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlencode, urlsplit, urlunsplit

import msgspec

from sartor.index.sources import place_of
from sartor.remote.faults import Dropped, refused, unreachable
from sartor.remote.http import Http
from sartor.remote.registry_settings import is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable

    import requests

    from sartor.index.sources import Place
    from sartor.remote.access import Access, Credentials
    from sartor.remote.http import Answer, Limits
    from sartor.remote.registry_logins import Login

SCHEME = re.compile(r"\s*,?\s*([A-Za-z][\w-]*)(?:\s+(?=[\w-]+\s*=)|\s*(?=,|$))", re.ASCII)
PARAMETER = re.compile(r'\s*,?\s*([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))', re.ASCII)
MOST_HEADER = 16 << 10
MOST_TOKEN = 1 << 20
MOST_TOKENS = 1000
"""In one reading: a token holds some minutes, and a layer may take an hour."""
CLIENT = "sartor"


class Challenge(NamedTuple):
    """One way to say who asks."""

    scheme: str
    parameters: dict[str, str]


def challenges(header: str) -> list[Challenge]:
    """What a ``WWW-Authenticate`` header asks for; total: what is none is passed over."""
    found: list[Challenge] = []
    at = 0
    header = header[:MOST_HEADER]
    while at < len(header):
        if (match := PARAMETER.match(header, at)) and found:
            value = match[3] if match[2] is None else re.sub(r"\\(.)", r"\1", match[2])
            found[-1].parameters.setdefault(match[1].lower(), value)
        elif match := SCHEME.match(header, at):
            found.append(Challenge(match[1].lower(), {}))
        else:
            break
        if match.end() == at:
            break
        at = match.end()
    return found


class _Nothing:
    """Says nothing, and keeps ``~/.netrc`` from being asked: registries have their own logins."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


class _Bearer:
    """A token."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class OneServer:
    """Access to servers of which one is told who asks, as ``said``; others are told nothing."""

    def __init__(self, usual: Access, url: str, *, any_certificate: bool = False) -> None:
        self.trust = usual.trust._replace(client_certificate=None)
        self.said: Credentials | None = None
        self._usual = usual
        self._place = place_of(url)
        self._any_certificate = any_certificate

    def __repr__(self) -> str:
        return "OneServer()"

    def is_it(self, url: str) -> bool:
        """Whether an address is of that server."""
        return self._place is not None and place_of(url) == self._place

    def credentials_for(self, url: str) -> Credentials:
        """What is said to the host of an address."""
        return self.said if self.said and self.is_it(url) else _Nothing()

    def trusts(self, url: str) -> bool:
        """Whether any certificate is taken there: of the user's insecure registries."""
        return self._any_certificate and self.is_it(url)

    def proxies_for(self, url: str) -> dict[str, str]:
        """The usual ones."""
        return self._usual.proxies_for(url)


class _Token(msgspec.Struct, frozen=True):
    token: str = ""
    access_token: str = ""


class Gate:
    """Answers a registry's challenges. ``login`` gives the user's for a host, by its address.

    ``scope`` is what is asked for where the registry does not say. Used by several threads.
    """

    def __init__(
        self,
        access: OneServer,
        login: Callable[[str], Login | None],
        scope: str,
        limits: Limits | None = None,
    ) -> None:
        self.told = "nobody"
        self._access = access
        self._login = login
        self._scope = scope
        self._limits = limits
        self._lock = threading.Lock()
        self._tokens = 0

    def answer(self, answer: Answer) -> bool:
        """Take up the challenge of a 401; False where there is nothing else to say."""
        if not self._access.is_it(answer.url):
            return False
        asked = challenges(answer.headers.get("www-authenticate", ""))
        with self._lock:
            for challenge in asked:
                if challenge.scheme == "bearer" and challenge.parameters.get("realm"):
                    return self._take_token(answer.url, challenge.parameters)
            return any(c.scheme == "basic" for c in asked) and self._say_login(answer.url)

    def _say_login(self, url: str) -> bool:
        login = self._login(url)
        if login is None or login.is_identity or self.told == "login":
            return False
        self._access.said = (login.user, login.secret)
        self.told = "login"
        return True

    def _take_token(self, url: str, asked: dict[str, str]) -> bool:
        realm = asked["realm"]
        self._tokens += 1
        if self._tokens > MOST_TOKENS:
            return False
        _check_realm(url, realm)
        place, home = place_of(realm), place_of(url)
        login = self._login(url if place and home and same_site(place, home) else realm)
        query = {"service": asked.get("service", ""), "scope": asked.get("scope") or self._scope}
        token = self._fetch(realm, {k: v for k, v in query.items() if v}, login)
        self._access.said = _Bearer(token)
        self.told = "login" if login else "token"
        return True

    def _fetch(self, realm: str, query: dict[str, str], login: Login | None) -> str:
        access = OneServer(self._access, realm, any_certificate=self._access.trusts(realm))
        form = None
        if login and login.is_identity:
            form = {"grant_type": "refresh_token", "client_id": CLIENT, **query}
            form["refresh_token"] = login.secret
            url = realm
        else:
            access.said = (login.user, login.secret) if login else None
            parts = urlsplit(realm)
            joined = "&".join(filter(None, (parts.query, urlencode(query))))
            url = urlunsplit((parts.scheme, parts.netloc, parts.path, joined, ""))
        http = Http(access, self._limits)
        try:
            data = _body(http, url, form)
        finally:
            http.close()
        try:
            said = msgspec.json.decode(data, type=_Token)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            said = _Token()
        token = said.token or said.access_token
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise refused(realm, "what it answered is no token")
        return token


def _body(http: Http, url: str, form: dict[str, str] | None) -> bytes:
    answer, stream = http.get(url, {"Accept": "application/json"}, form)
    found = bytearray()
    try:
        for block in stream:
            found += block
            if len(found) > MOST_TOKEN:
                raise refused(url, f"its token has more than {MOST_TOKEN} bytes")
    except Dropped as fault:
        raise unreachable(url, str(fault)) from fault
    finally:
        http.done(stream)
    if answer.status != 200:
        raise refused(url, f"it answered {answer.status}")
    return bytes(found)


def _check_realm(url: str, realm: str) -> None:
    """A server for tokens is asked over TLS, but where the registry itself is not."""
    place = place_of(realm)
    if place is None or "@" in urlsplit(realm).netloc:
        raise unreachable(url, "it names no address to get a token from")
    home = urlsplit(url)
    local = is_loopback(place[1]) and is_loopback(home.hostname or "")
    if place[0] == "http" and not (home.scheme == "http" and (local or place[1] == home.hostname)):
        raise unreachable(url, "it leads to http for a token: anybody on the way could take it")


def same_site(one: Place, other: Place) -> bool:
    """Whether two servers are of one house: the same host, or under the same domain.

    ``auth.docker.io`` and ``registry-1.docker.io`` are; ``a.co.uk`` and ``b.co.uk`` are not.
    """
    if one[1] == other[1]:
        return True
    labels = one[1].split(".")
    if labels[-1].isdigit() or ":" in one[1] or len(labels) < 2:
        return False
    shared = 3 if len(labels[-1]) == 2 and len(labels[-2]) <= 3 else 2
    return len(labels) >= shared and labels[-shared:] == other[1].split(".")[-shared:]
