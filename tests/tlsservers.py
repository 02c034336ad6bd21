"""The wheel server behind TLS, and a forward proxy, both on the loopback."""

from __future__ import annotations

import base64
import select
import socket
import ssl
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from serving import in_thread
from wheelserver import WheelServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    import trustme


class TlsWheelServer(WheelServer):
    """The same by https, with a certificate of a private authority for 127.0.0.1 and localhost.

    ``client_ca``: only clients with a certificate of that authority are let in.
    """

    def __init__(
        self, files: dict[str, bytes], ca: trustme.CA, client_ca: trustme.CA | None = None
    ) -> None:
        super().__init__(files)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert("127.0.0.1", "localhost").configure_cert(context)
        if client_ca is not None:
            client_ca.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
        self.context = context

    @property
    def address(self) -> str:
        return f"https://127.0.0.1:{self.server_port}"

    def finish_request(self, request: object, client_address: object) -> None:
        """Shake hands in the request's own thread."""
        assert isinstance(request, socket.socket)
        with suppress(OSError), self.context.wrap_socket(request, server_side=True) as wrapped:
            super().finish_request(wrapped, client_address)


class Proxy(ThreadingHTTPServer):
    """A forward proxy: tunnels for https, requests in absolute form for http.

    ``asked`` has the method and the host of each request; ``user`` (`me:pw`) is asked for.
    """

    daemon_threads = True

    def __init__(self, user: str | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _ProxyHandler)
        self.user = user
        self.asked: list[tuple[str, str]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _ProxyHandler(BaseHTTPRequestHandler):
    server: Proxy
    protocol_version = "HTTP/1.1"

    def do_CONNECT(self) -> None:
        self.server.asked.append(("CONNECT", self.path))
        if not self.is_known():
            return
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port)), 10) as there:
            self.send_response(200)
            self.end_headers()
            self.close_connection = True
            with suppress(OSError):
                pump(self.connection, there)

    def do_GET(self) -> None:
        self.server.asked.append(("GET", self.path))
        if not self.is_known():
            return
        parts = urlsplit(self.path)
        there = HTTPConnection(parts.hostname or "", parts.port or 80, timeout=10)
        kept = {k: v for k, v in self.headers.items() if not k.lower().startswith("proxy-")}
        there.request("GET", f"{parts.path}?{parts.query}".rstrip("?"), headers=kept)
        answer = there.getresponse()
        body = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {"content-length", "transfer-encoding", "connection"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        there.close()

    def is_known(self) -> bool:
        """Whether the client said who it is, where that is asked; else 407."""
        user = self.server.user
        wanted = None if user is None else "Basic " + base64.b64encode(user.encode()).decode()
        if wanted in {None, self.headers["Proxy-Authorization"]}:
            return True
        self.send_response(407)
        self.send_header("Proxy-Authenticate", "Basic")
        self.send_header("Content-Length", "0")
        self.end_headers()
        return False

    def log_message(self, *_: object) -> None:
        """Nothing is said."""


def pump(one: socket.socket, other: socket.socket) -> None:
    """Carry bytes both ways until one side ends."""
    while True:
        for ready in select.select([one, other], [], [], 30)[0]:
            block = ready.recv(1 << 16)
            if not block:
                return
            (other if ready is one else one).sendall(block)


@contextmanager
def serving(server: TlsWheelServer | Proxy) -> Iterator[None]:
    """Let it answer until the block ends."""
    with in_thread(server):
        try:
            yield
        finally:
            if isinstance(server, WheelServer):
                server.ended.set()
