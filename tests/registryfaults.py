"""A registry on the loopback that does what it is told: tokens, redirects, and every fault."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from serving import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RANGE = re.compile(r"bytes=(\d+)-(\d+)")
PATH = re.compile(r"/v2/(?P<name>.+)/(?P<kind>manifests|blobs)/(?P<reference>[^/]+)")


@dataclass
class Seen:
    """One request."""

    host: str
    path: str
    authorization: str | None
    range: str | None


@dataclass
class Ways:
    """How it answers. Without arguments: as a registry should that asks for no login."""

    token: str | None = None
    login: tuple[str, str] | None = None
    realm: str | None = None
    identity: str | None = None
    basic: tuple[str, str] | None = None
    expires_after: int | None = None
    never_content: bool = False
    redirect_blobs: str | None = None
    ranges: bool = True
    drop_every: int | None = None
    cut: int = 0
    longer: int = 0
    flip: bool = False
    total_off: int = 0
    busy: int = 0
    retry_after: str = "0"
    always: int | None = None
    digest_header: str | None = None
    manifest: bytes | None = None


@dataclass
class Kept:
    """What it has: manifests by reference with their media types, and blobs."""

    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)


class FakeRegistry(ThreadingHTTPServer):
    """Answers by its `Ways`."""

    daemon_threads = True

    def __init__(self, kept: Kept) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.kept = kept
        self.ways = Ways()
        self.seen: list[Seen] = []
        self.tokens = self.uses = 0
        self.valid: set[str] = set()
        self.lock = threading.Lock()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that left is no fault."""


class Handler(BaseHTTPRequestHandler):
    server: FakeRegistry
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        server, ways = self.server, self.server.ways
        headers = self.headers
        server.seen.append(
            Seen(headers["Host"], self.path, headers["Authorization"], headers["Range"])
        )
        parts = urlsplit(self.path)
        if parts.path == "/token":
            self.give_token(parse_qs(parts.query), headers["Authorization"])
        elif parts.path.startswith("/storage/"):
            self.send_blob(server.kept.blobs[parts.path.rpartition("/")[2]])
        elif not self.is_let_in():
            self.challenge()
        elif ways.always is not None:
            self.plain(ways.always)
        elif self.is_busy():
            self.plain(429, {"Retry-After": ways.retry_after})
        elif parts.path == "/v2/":
            self.plain(200)
        else:
            self.send_named(PATH.fullmatch(parts.path))

    def is_busy(self) -> bool:
        with self.server.lock:
            busy = self.server.ways.busy
            self.server.ways.busy = max(busy - 1, 0)
        return busy > 0

    def send_named(self, match: re.Match[str] | None) -> None:
        kept, ways = self.server.kept, self.server.ways
        if match is not None and match["kind"] == "manifests":
            self.send_manifest(match["reference"])
        elif match is None or match["reference"] not in kept.blobs:
            self.plain(404)
        elif ways.redirect_blobs and self.headers["Range"]:
            place = f"{ways.redirect_blobs}/storage/{match['reference']}?signature=s3cret"
            self.plain(307, {"Location": place})
        else:
            self.send_blob(kept.blobs[match["reference"]])

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"] or 0)
        form = parse_qs(self.rfile.read(length).decode())
        self.server.seen.append(Seen(self.headers["Host"], self.path, None, None))
        if form.get("refresh_token") == [self.server.ways.identity]:
            return self.plain(200, {}, json.dumps({"access_token": self.fresh()}).encode())
        return self.plain(401)

    def fresh(self) -> str:
        self.server.tokens += 1
        token = f"{self.server.ways.token}-{self.server.tokens}"
        self.server.valid.add(f"Bearer {token}")
        return token

    def is_let_in(self) -> bool:
        ways, said = self.server.ways, self.headers["Authorization"]
        if ways.never_content:
            return False
        if ways.basic:
            return said == basic(*ways.basic)
        if ways.token is None:
            return True
        server = self.server
        with server.lock:
            server.uses += 1
            if ways.expires_after is not None and server.uses % ways.expires_after == 0:
                server.valid.clear()
            return said in server.valid

    def challenge(self) -> None:
        ways = self.server.ways
        if ways.basic:
            return self.plain(401, {"WWW-Authenticate": 'Basic realm="loopback"'})
        realm = ways.realm or f"http://{self.server.address}/token"
        said = f'Bearer realm="{realm}",service="fake",scope="repository:own/app:pull,push"'
        return self.plain(401, {"WWW-Authenticate": said})

    def give_token(self, query: dict[str, list[str]], said: str | None) -> None:
        ways = self.server.ways
        if ways.login is not None and said != basic(*ways.login):
            return self.plain(401)
        assert query["service"] == ["fake"]
        return self.plain(200, {}, json.dumps({"token": self.fresh()}).encode())

    def send_manifest(self, reference: str) -> None:
        ways = self.server.ways
        if reference not in self.server.kept.manifests:
            return self.plain(404)
        kind, data = self.server.kept.manifests[reference]
        data = ways.manifest if ways.manifest is not None else data
        digest = ways.digest_header or f"sha256:{hashlib.sha256(data).hexdigest()}"
        return self.plain(200, {"Content-Type": kind, "Docker-Content-Digest": digest}, data)

    def send_blob(self, data: bytes) -> None:
        ways = self.server.ways
        if ways.flip and len(data) > 4096:
            data = data[:3000] + bytes([data[3000] ^ 1]) + data[3001:]
        match = RANGE.fullmatch(self.headers["Range"] or "") if ways.ranges else None
        start, end = (int(match[1]), int(match[2]) + 1) if match else (0, len(data))
        end = min(end, len(data))
        body = data[start : end - (ways.cut if len(data) > 4096 else 0)] + bytes(ways.longer)
        self.send_response(206 if match else 200)
        if match:
            total = len(data) + ways.total_off
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{total}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if ways.drop_every is not None and len(body) > ways.drop_every:
            self.wfile.write(body[: ways.drop_every])
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(2)
            return
        self.wfile.write(body)

    def plain(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing is said."""


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def kept_of(layout: dict[str, bytes], *tags: str) -> Kept:
    """The only image of an OCI layout, under some tags."""
    (named,) = json.loads(layout["index.json"])["manifests"]
    blobs = {
        path.removeprefix("blobs/").replace("/", ":"): data
        for path, data in layout.items()
        if path.startswith("blobs/")
    }
    manifest = (named["mediaType"], blobs.pop(named["digest"]))
    return Kept(dict.fromkeys((named["digest"], *tags), manifest), blobs)


@contextmanager
def fake_registry(kept: Kept) -> Iterator[FakeRegistry]:
    """A server that answers until the block ends."""
    with in_thread(FakeRegistry(kept)) as server:
        yield server


def changed(kept: Kept, tag: str, change: Callable[[dict[str, object]], None]) -> Kept:
    """The same with another manifest under a tag."""
    kind, data = kept.manifests[tag]
    manifest = json.loads(data)
    change(manifest)
    return Kept({**kept.manifests, tag: (kind, json.dumps(manifest).encode())}, kept.blobs)
