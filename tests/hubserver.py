"""A model hub on the loopback: the file API of the hub, as far as its library uses it.

Files from `LFS_BYTES` on are announced as the hub announces large files: a redirect to another
host name, with their SHA-256 as ETag. What goes wrong is switched on by attributes.
"""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from serving import in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator

LFS_BYTES = 64 * 1024
TOKEN = "hf_a_token_that_must_never_be_shown"
_API = re.compile(r"/api/models/(?P<repo>[^/]+/[^/]+)(?P<rest>/.*)?")
_FILE = re.compile(r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<name>.+)")
_CDN = re.compile(r"/cdn/(?P<sha>[0-9a-f]{64})")


@dataclass
class Repository:
    """``gated``: only with the token; ``private``: not there without the token."""

    files: dict[str, bytes]
    gated: bool = False
    private: bool = False
    gguf: dict[str, object] | None = None

    @property
    def commit(self) -> str:
        return hashlib.sha1(repr(sorted(self.files.items())).encode()).hexdigest()  # noqa: S324


@dataclass
class Served:
    """One request and how many bytes of body it got."""

    method: str
    path: str
    range: str | None
    authorization: str | None
    status: int = 0
    sent: int = 0


@dataclass
class Hub:
    """The state of the server: what it holds, what goes wrong, what was asked."""

    repositories: dict[str, Repository]
    url: str = ""
    failing_status: int | None = None
    drop_after: int | None = None
    refuse_after_drops: int | None = None
    drops: int = 0
    log: list[Served] = field(default_factory=list)

    def bodies(self) -> list[Served]:
        """The requests for contents of large files, in order; those for a part are no such."""
        return [e for e in self._contents() if not re.fullmatch(r"bytes=\d+-\d+", e.range or "")]

    def parts(self) -> list[Served]:
        """The requests for a part of a large file, from here to there."""
        return [entry for entry in self._contents() if entry not in self.bodies()]

    def _contents(self) -> list[Served]:
        return [entry for entry in self.log if entry.path.startswith("/cdn/")]


@contextmanager
def hub_server(repositories: dict[str, Repository]) -> Iterator[Hub]:
    """A running hub that holds ``repositories``."""
    hub = Hub(repositories)
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    with in_thread(server):
        yield hub


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub
    entry: Served

    def do_GET(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing on stderr."""

    def _serve(self) -> None:
        path = urlsplit(self.path).path
        headers = self.headers
        self.entry = Served(self.command, path, headers["Range"], headers["Authorization"])
        self.hub.log.append(self.entry)
        drops, most = self.hub.drops, self.hub.refuse_after_drops
        if self.hub.failing_status or (most is not None and drops >= most):
            self._answer(self.hub.failing_status or 503, {}, b"not now")
        elif match := _CDN.fullmatch(path):
            self._content(match["sha"])
        elif match := _API.fullmatch(path):
            self._api(match["repo"], match["rest"] or "")
        elif match := _FILE.fullmatch(path):
            self._file(match["repo"], match["name"])
        else:
            self._answer(404, {}, b"")

    def _known(self, name: str) -> Repository | None:
        """The repository, unless this client may not see it; then it was answered."""
        repository = self.hub.repositories.get(name)
        authorization = self.entry.authorization
        if authorization not in {None, f"Bearer {TOKEN}"}:
            message = "Invalid credentials in Authorization header"
            self._answer(401, {"X-Error-Message": message}, b"")
            return None
        if repository is None or (repository.private and authorization is None):
            self._answer(401, {"X-Error-Code": "RepoNotFound"}, b"")
            return None
        return repository

    def _may_read(self, repository: Repository) -> bool:
        if repository.gated and self.entry.authorization is None:
            self._answer(403, {"X-Error-Code": "GatedRepo"}, b"")
            return False
        return True

    def _api(self, name: str, rest: str) -> None:
        repository = self._known(name)
        if repository is None:
            return
        if rest == "/auth-check":
            if self._may_read(repository):
                self._json({})
        elif rest.startswith("/tree/"):
            self._json(
                [
                    {"type": "file", "path": path, "size": len(data), "oid": _blob_id(data)}
                    for path, data in repository.files.items()
                ]
            )
        elif rest in {"", "/revision/main", f"/revision/{repository.commit}"}:
            self._json(_info(name, repository))
        else:
            self._answer(404, {"X-Error-Code": "RevisionNotFound"}, b"")

    def _file(self, name: str, path: str) -> None:
        repository = self._known(name)
        if repository is None or not self._may_read(repository):
            return
        data = repository.files.get(path)
        headers = {"X-Repo-Commit": repository.commit}
        if data is None:
            self._answer(404, {**headers, "X-Error-Code": "EntryNotFound"}, b"")
        elif len(data) < LFS_BYTES:
            self._answer(200, {**headers, "ETag": f'"{_blob_id(data)}"'}, data)
        else:
            sha = hashlib.sha256(data).hexdigest()
            headers["X-Linked-Etag"] = f'"{sha}"'
            headers["X-Linked-Size"] = str(len(data))
            headers["Location"] = f"{self.hub.url.replace('127.0.0.1', 'localhost')}/cdn/{sha}"
            self._answer(302, headers, b"")

    def _content(self, sha: str) -> None:
        every = (d for r in self.hub.repositories.values() for d in r.files.values())
        data = next(d for d in every if hashlib.sha256(d).hexdigest() == sha)
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.entry.range or "")
        if match:
            start, end = int(match[1]), min(int(match[2] or len(data)) + 1, len(data))
            headers = {"Content-Range": f"bytes {start}-{end - 1}/{len(data)}"}
            self._answer(206, headers, data[start:end])
        else:
            self._answer(200, {"Accept-Ranges": "bytes"}, data)

    def _json(self, document: object) -> None:
        self._answer(200, {"Content-Type": "application/json"}, json.dumps(document).encode())

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.entry.status = status
        self.send_response(status)
        self.send_header("X-HF-Warning", "unauthenticated; this must not reach the terminal")
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        drop = self.hub.drop_after
        if drop is not None and len(body) > drop:
            body = body[:drop]
            self.hub.drops += 1
            self.close_connection = True
        self.entry.sent = len(body)
        self.wfile.write(body)


def _blob_id(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()  # noqa: S324


def _info(name: str, repository: Repository) -> dict[str, object]:
    siblings = [
        {"rfilename": path, "size": len(data), "blobId": _blob_id(data)}
        for path, data in repository.files.items()
    ]
    return {
        "_id": "0",
        "id": name,
        "modelId": name,
        "sha": repository.commit,
        "private": repository.private,
        "gated": "manual" if repository.gated else False,
        "tags": [],
        "downloads": 0,
        "siblings": siblings,
        "gguf": repository.gguf,
    }
