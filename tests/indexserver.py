"""A package index on the loopback: real wheels, made again from an environment, and faults."""

from __future__ import annotations

import base64
import hashlib
import time
import zipfile
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import unquote

from serving import in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHUNK = 1 << 16


def wheel_of(environment: Path, project: str, folder: Path) -> Path:
    """The wheel that ``project`` was installed from, put together from its installed files."""
    (site,) = environment.glob("lib/python*/site-packages")
    (info,) = site.glob(f"{project.replace('-', '_')}-*.dist-info")
    lines = (info / "RECORD").read_text("utf-8").splitlines()
    names = [line.rsplit(",", 2)[0] for line in lines]
    inside = [n for n in names if not n.startswith("..") and n not in ours(info.name)]
    tags = [
        line.partition(": ")[2]
        for line in (info / "WHEEL").read_text("utf-8").splitlines()
        if line.startswith("Tag: ")
    ]
    wheel = folder / f"{info.name.removesuffix('.dist-info')}-{compressed(tags)}.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_STORED) as archive:
        rows = []
        for name in inside:
            data = (site / name).read_bytes()
            archive.writestr(name, data)
            rows.append(f"{name},sha256={url_safe(data)},{len(data)}")
        record = f"{info.name}/RECORD"
        archive.writestr(record, "\n".join([*rows, f"{record},,"]) + "\n")
    return wheel


def ours(info: str) -> set[str]:
    """The files that an installer adds."""
    return {f"{info}/{name}" for name in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")}


def url_safe(data: bytes) -> str:
    """A digest as a wheel's RECORD has it."""
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def compressed(tags: list[str]) -> str:
    """Tags as a wheel's file name has them."""
    parts = zip(*(tag.split("-") for tag in tags), strict=True)
    return "-".join(".".join(dict.fromkeys(part)) for part in parts)


class Index(ThreadingHTTPServer):
    """Serves wheels as a simple index, at a speed, or answers everything with one status."""

    daemon_threads = True

    def __init__(self, wheels: list[Path], port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.wheels = {wheel.name: wheel for wheel in wheels}
        self.digests = {w.name: hashlib.sha256(w.read_bytes()).hexdigest() for w in wheels}
        self.status = 200
        self.wheel_status = 200
        self.bytes_per_second: float | None = None
        self.cut_after: int | None = None
        self.ranges = True
        self.sent = 0

    @property
    def url(self) -> str:
        """What UV_DEFAULT_INDEX takes."""
        return f"http://127.0.0.1:{self.server_port}/simple"


class Handler(BaseHTTPRequestHandler):
    """Answers for an `Index`."""

    server: Index

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        folder, _, name = unquote(self.path).strip("/").rpartition("/")
        if self.server.status != 200:
            self.send_error(self.server.status)
        elif folder == "simple" and (page := self.page(name)):
            self.reply(page, "text/html")
        elif folder == "files" and name in self.server.wheels:
            self.send_wheel(name)
        elif folder == "files" and name.removesuffix(".metadata") in self.server.wheels:
            self.reply(self.metadata(name.removesuffix(".metadata")), "text/plain")
        else:
            self.send_error(404)

    def page(self, project: str) -> bytes:
        names = [n for n in self.server.wheels if n.startswith(f"{project.replace('-', '_')}-")]
        links = [f'<a href="/files/{name}#sha256={self.link(name)}>{name}</a>' for name in names]
        return f"<!DOCTYPE html><html><body>{' '.join(links)}</body></html>".encode() * bool(names)

    def link(self, name: str) -> str:
        """The digest of a file, and of a wheel that of its METADATA, which is served beside it."""
        found = f'{self.server.digests[name]}"'
        if name.endswith(".whl"):
            digest = hashlib.sha256(self.metadata(name)).hexdigest()
            found += f' data-core-metadata="sha256={digest}"'
        return found

    def metadata(self, name: str) -> bytes:
        with zipfile.ZipFile(self.server.wheels[name]) as archive:
            member = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
            return archive.read(member)

    def send_wheel(self, name: str) -> None:
        if self.server.wheel_status != 200:
            self.send_error(self.server.wheel_status)
        else:
            self.reply(self.server.wheels[name].read_bytes(), "application/octet-stream")

    def reply(self, data: bytes, kind: str) -> None:
        begin = self.asked_from() if self.server.ranges else 0
        self.send_response(206 if begin else 200)
        data = data[begin:]
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if kind == "application/octet-stream":
            data = data[: self.server.cut_after]
        try:
            for start in range(0, len(data), CHUNK):
                self.server.sent += self.wfile.write(data[start : start + CHUNK])
                if self.server.bytes_per_second:
                    time.sleep(CHUNK / self.server.bytes_per_second)
        except OSError:
            self.close_connection = True

    def asked_from(self) -> int:
        """Where ``Range: bytes=N-`` begins; ranges with an end are not given."""
        unit, _, first = self.headers.get("Range", "").partition("=")
        number = first.removesuffix("-")
        return int(number) if unit == "bytes" and number.isdigit() else 0

    def log_message(self, *_: object) -> None:
        """Nothing is said."""


@contextmanager
def serving(wheels: list[Path], port: int = 0) -> Iterator[Index]:
    """An index that answers until the block ends."""
    with in_thread(Index(wheels, port)) as index:
        yield index
