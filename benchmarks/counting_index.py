"""An index on the loopback that passes everything on, and counts requests and bytes."""

from __future__ import annotations

import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from sartor.index.sources import access, index_sources
from sartor.remote.pages import page_url
from sartor.remote.session import make_session
from serving import in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests

ADDRESS = re.compile(rb'(href=|"url": ?)"(https?://[^"#]+)')
PASSED = ("content-range", "content-type", "etag", "last-modified", "accept-ranges")


def here(found: re.Match[bytes]) -> bytes:
    """The address of a file, in HTML or JSON, as one of this server."""
    return found[1] + b'"/files/' + found[2].replace(b"://", b"/", 1)


class CountingIndex(ThreadingHTTPServer):
    """Serves the configured default index; ``asked`` and ``sent`` are what it was asked, and gave.

    It says nothing of caching, as mirrors do.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        sources = index_sources()
        self.index = sources.indexes[0]
        self.session = make_session(access(sources))
        self.asked = self.sent = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        """What UV_DEFAULT_INDEX takes."""
        return f"http://127.0.0.1:{self.server_port}/simple"

    def count(self, size: int) -> None:
        with self.lock:
            self.asked += 1
            self.sent += size

    def counted(self) -> dict[str, int]:
        """What was asked since the last time, and given."""
        with self.lock:
            found = {"requests": self.asked, "bytes": self.sent}
            self.asked = self.sent = 0
        return found


class Handler(BaseHTTPRequestHandler):
    server: CountingIndex
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        kind, _, rest = self.path.strip("/").partition("/")
        if kind == "simple":
            self.page(rest)
        else:
            self.file(rest.replace("/", "://", 1))

    def page(self, project: str) -> None:
        url = page_url(self.server.index, project)
        accept = {"Accept": self.headers["Accept"] or "*/*", "Accept-Encoding": "gzip"}
        got = self.server.session.get(url, headers=accept)
        self.reply(got, ADDRESS.sub(here, got.content) if got.status_code == 200 else b"")

    def file(self, url: str) -> None:
        asked = {k: v for k, v in self.headers.items() if k.lower() in {"range", "if-range"}}
        got = self.server.session.request(self.command, url, headers=asked)
        self.reply(got, got.content)

    def reply(self, got: requests.Response, body: bytes) -> None:
        length = got.headers.get("Content-Length") if self.command == "HEAD" else str(len(body))
        self.server.count(0 if self.command == "HEAD" else len(body))
        self.send_response(got.status_code)
        for name, value in got.headers.items():
            if name.lower() in PASSED:
                self.send_header(name, value)
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing is said."""


@contextmanager
def counting() -> Iterator[CountingIndex]:
    """An index that counts until the block ends."""
    with in_thread(CountingIndex()) as index:
        yield index
