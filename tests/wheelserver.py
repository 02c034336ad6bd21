"""Wheels on a loopback server with ranges as they should be, or with the faults it is told."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import random
import re
import threading
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from serving import in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK = 1 << 16
RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass
class Manners:
    """How files are served. Without arguments: as they should be."""

    ranges: bool = True
    suffix_ranges: bool = True
    accept_ranges: bool = False
    etag: str | None = '"one"'
    etag_changes_after: int | None = None
    drop_every: int | None = None
    chunked: bool = False
    close_only: bool = False
    length_off: int = 0
    range_off: int = 0
    total_off: int = 0
    no_content_range: bool = False
    encode: bool = False
    endless: bool = False
    stall_after: int | None = None
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    always: int | None = None
    redirect_to: str | None = None
    redirect_loop: bool = False
    user: str | None = None
    flip: int | None = None
    flip_after: int = 0
    status_for_part: int = 206
    body: bytes | None = None


@dataclass
class Seen:
    """One request, as the server saw it."""

    path: str
    range: str | None
    if_range: str | None
    authorization: str | None
    if_none_match: str | None = None


class WheelServer(ThreadingHTTPServer):
    """`/files/NAME` as its `Manners` say, `/simple/PROJECT/` as an index of these files.

    ``metadata`` is served beside the files of its names, ``page_headers`` with each page; where
    they have an ``ETag``, who knows that is told that nothing changed.
    """

    daemon_threads = True

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = files
        self.manners = Manners()
        self.page: Literal["json", "html"] = "json"
        self.stated: dict[str, dict[str, object]] = {}
        self.page_status: list[int] = []
        self.page_headers: dict[str, str] = {}
        self.metadata: dict[str, bytes] = {}
        self.seen: list[Seen] = []
        self.sent = 0
        self.ended = threading.Event()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def url(self, name: str) -> str:
        return f"{self.address}/files/{name}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that left is no fault."""


class Handler(BaseHTTPRequestHandler):
    server: WheelServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        headers = self.headers
        self.server.seen.append(
            Seen(
                self.path,
                headers["Range"],
                headers["If-Range"],
                headers["Authorization"],
                headers["If-None-Match"],
            )
        )
        path = urlsplit(self.path).path  # of a proxy the whole address is asked
        kind, _, name = path.strip("/").partition("/")
        if kind == "simple":
            self.send_page(name)
        elif (
            kind == "files"
            and name.removesuffix(".metadata") in self.server.metadata
            and (name.endswith(".metadata"))
        ):
            self.plain(200, {}, self.server.metadata[name.removesuffix(".metadata")])
        elif kind == "files" and name in self.server.files:
            self.send_file(self.server.files[name])
        else:
            self.plain(404)

    def plain(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def send_page(self, project: str) -> None:
        if self.server.page_status:
            return self.plain(self.server.page_status.pop(0))
        prefix = project.replace("-", "_") + "-"
        files = []
        for name, data in self.server.files.items():
            if name.startswith(prefix):
                sha256 = hashlib.sha256(data).hexdigest()
                files.append(
                    {"filename": name, "url": f"../../files/{name}", "hashes": {"sha256": sha256}}
                    | self.server.stated.get(name, {})
                )
        if not files:
            return self.plain(404)
        named = self.server.page_headers
        if named.get("ETag") and self.headers["If-None-Match"] == named["ETag"]:
            return self.plain(304, named)
        if self.server.page == "html":
            links = "".join(
                f'<a href="{f["url"]}#sha256={f["hashes"]["sha256"]}">{f["filename"]}</a>'  # type: ignore[index]
                for f in files
            )
            body = f"<!DOCTYPE html><html><body>{links}</body></html>".encode()
            return self.plain(200, {"Content-Type": "text/html", **named}, body)
        page = {"meta": {"api-version": "1.0"}, "name": project, "files": files}
        kind = "application/vnd.pypi.simple.v1+json"
        body, extra = json.dumps(page).encode(), {}
        if "gzip" in (self.headers["Accept-Encoding"] or ""):
            body, extra = gzip.compress(body), {"Content-Encoding": "gzip"}
        return self.plain(200, {"Content-Type": kind, **extra, **named}, body)

    def send_file(self, data: bytes) -> None:
        m = self.server.manners
        if m.user is not None:
            wanted = "Basic " + base64.b64encode(m.user.encode()).decode()
            if self.headers["Authorization"] != wanted:
                return self.plain(401, {"WWW-Authenticate": "Basic"})
        if m.answers:
            status, headers = m.answers.pop(0)
            return self.plain(status, headers)
        if m.always is not None:
            return self.plain(m.always)
        if m.redirect_loop:
            return self.plain(302, {"Location": self.path})
        if m.redirect_to is not None:
            return self.plain(302, {"Location": m.redirect_to})
        if m.body is not None:
            data = m.body
        if m.flip is not None and len(self.server.seen) > m.flip_after:
            data = data[: m.flip] + bytes([data[m.flip] ^ 0x20]) + data[m.flip + 1 :]
        return self.send_part(data, m)

    def send_part(self, data: bytes, m: Manners) -> None:
        part = self.asked(len(data), m)
        start, end = part or (0, len(data))
        body = data[start:end]
        if m.encode:
            body = gzip.compress(body, 1)
        self.send_response(m.status_for_part if part else 200)
        if part and not m.no_content_range:
            first = max(start + m.range_off, 0)
            total = len(data) + m.total_off
            self.send_header("Content-Range", f"bytes {first}-{end - 1 + m.range_off}/{total}")
        self.headers_of(m, len(body))
        self.end_headers()
        self.send_body(body, m)

    def headers_of(self, m: Manners, length: int) -> None:
        if m.etag is not None:
            changed = (
                m.etag_changes_after is not None and len(self.server.seen) > m.etag_changes_after
            )
            self.send_header("ETag", '"two"' if changed else m.etag)
        if m.accept_ranges:
            self.send_header("Accept-Ranges", "bytes")
        if m.encode:
            self.send_header("Content-Encoding", "gzip")
        if m.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif m.close_only or m.endless:
            self.send_header("Connection", "close")
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(max(length + m.length_off, 0)))

    def asked(self, size: int, m: Manners) -> tuple[int, int] | None:
        match = RANGE.fullmatch(self.headers["Range"] or "")
        if match is None or not m.ranges:
            return None
        condition = self.headers["If-Range"]
        if condition and condition != m.etag:
            return None
        first, last = match[1], match[2]
        if not first:
            return (max(size - int(last), 0), size) if m.suffix_ranges and last else None
        return int(first), min(int(last) + 1 if last else size, size)

    def send_body(self, body: bytes, m: Manners) -> None:
        sent = 0
        try:
            for at in range(0, len(body), CHUNK):
                piece = body[at : at + CHUNK]
                if m.stall_after is not None and sent >= m.stall_after:
                    self.server.ended.wait(30)
                    break
                if m.drop_every is not None and sent >= m.drop_every:
                    self.close_connection = True
                    self.connection.shutdown(2)
                    return
                self.write(piece, m)
                sent += len(piece)
            while m.endless and not self.server.ended.is_set():
                self.write(bytes(CHUNK), m)
            if m.chunked:
                self.wfile.write(b"0\r\n\r\n")
            if m.length_off:
                self.close_connection = True
        except OSError:
            self.close_connection = True

    def write(self, piece: bytes, m: Manners) -> None:
        if m.chunked:
            piece = f"{len(piece):x}\r\n".encode() + piece + b"\r\n"
        self.wfile.write(piece)
        self.server.sent += len(piece)

    def log_message(self, *_: object) -> None:
        """Nothing is said."""


@contextmanager
def serving_wheels(files: dict[str, bytes]) -> Iterator[WheelServer]:
    """A server that answers until the block ends."""
    with in_thread(WheelServer(files)) as server:
        try:
            yield server
        finally:
            server.ended.set()


def make_wheel(
    members: dict[str, bytes],
    name: str = "made",
    version: str = "1.0",
    *,
    stored: bool = False,
    metadata: bytes | None = None,
    swap: tuple[bytes, bytes] = (b"", b""),
) -> bytes:
    """A wheel of these members, with its metadata and a RECORD that holds, unless swapped in.

    Metadata that is among the members comes where it is there.
    """
    info = f"{name}-{version}.dist-info"
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()
    texts = {
        f"{info}/METADATA": text if metadata is None else metadata,
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nTag: py3-none-manylinux_2_28_x86_64\n",
    }
    every = {**members, **texts}
    rows = [f"{path},sha256={_digest(data)},{len(data)}" for path, data in every.items()]
    record = "\n".join([*rows, f"{info}/RECORD,,"]).encode()
    every[f"{info}/RECORD"] = record.replace(*swap) if swap[0] else record
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED) as made:
        for path, data in every.items():
            made.writestr(path, data)
    return out.getvalue()


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def noise(size: int, seed: int = 7) -> bytes:
    """Bytes that do not get smaller."""
    return random.Random(seed).randbytes(size)  # noqa: S311
