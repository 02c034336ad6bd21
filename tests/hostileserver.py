"""Servers that misbehave at random: an honest answer, and what may be wrong with it.

A seed decides everything, so that what was found once is found again.
"""

from __future__ import annotations

import random
import re
import socket
import struct
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

RANGE = re.compile(rb"(?i)\r\nrange: bytes=(\d*)-(\d*)\r\n")
ENDLESS = 48 << 20
STALL = 0.25
Headers = list[tuple[bytes, bytes]]


class HostileServer:
    """Answers each connection with one answer; `behave` sets the seed and what is served.

    ``metadata`` is what is served beside the wheel ``data``, where that is asked for.
    """

    def __init__(self, data: bytes, metadata: bytes = b"") -> None:
        self.data = data
        self.metadata = metadata
        self.requests = 0
        self._random = random.Random(0)  # noqa: S311
        self._evil, self._ranges = 0.0, True
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True, name="hostile")
        self._thread.start()

    def behave(self, seed: int) -> None:
        """Begin a new behaviour."""
        with self._lock:
            self._random = random.Random(seed)  # noqa: S311
            self._evil = self._random.choice([0.15, 0.5, 1.0])
            self._ranges = self._random.random() < 0.7
            self.requests = 0

    def behave_well(self) -> None:
        """Do nothing wrong from now on."""
        self.behave(0)
        self._evil, self._ranges = 0.0, True

    def close(self) -> None:
        self._ended.set()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5)

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(2)
            request = b""
            while b"\r\n\r\n" not in request and len(request) < 1 << 16:
                block = connection.recv(1 << 14)
                if not block:
                    return
                request += block
            with self._lock:
                self.requests += 1
                dice = random.Random(self._random.random())  # noqa: S311
                evil = dice.random() < self._evil
                ranges = self._ranges
            self._answer(connection, request, dice if evil else None, ranges=ranges)

    def _answer(
        self, connection: socket.socket, request: bytes, dice: random.Random | None, *, ranges: bool
    ) -> None:
        beside = b".metadata HTTP/" in request
        data = self.metadata if beside else self.data
        status, headers, body = honest(data, request, ranges=ranges)
        if dice is None:
            connection.sendall(framed(status, headers, body))
            return
        for _ in range(dice.choice([1, 1, 1, 2, 3])):
            status, headers, body = dice.choice(FAULTS)(dice, status, headers, body)
        whole = framed(status, headers, body, dice)
        match dice.randrange(12):
            case 0:
                whole = whole[: dice.randrange(len(whole) + 1)]
            case 1:
                connection.sendall(whole[: dice.randrange(len(whole) + 1)])
                self._ended.wait(STALL if dice.random() < 0.2 else 0)
                return
            case 2 if dice.random() < 0.05:
                connection.sendall(whole)
                block, left = bytes(1 << 16), ENDLESS
                while left > 0 and not self._ended.is_set():
                    connection.sendall(block)
                    left -= len(block)
                return
            case 3:
                at = dice.randrange(len(whole) + 1)
                whole = whole[:at] + dice.randbytes(dice.randrange(40)) + whole[at:]
            case 4:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            case _:
                pass
        connection.sendall(whole)


def honest(data: bytes, request: bytes, *, ranges: bool) -> tuple[bytes, Headers, bytes]:
    """What a good server says."""
    match = RANGE.search(request)
    headers: Headers = [(b"ETag", b'"one"'), (b"Connection", b"close")]
    if match is None or not ranges:
        return b"200 OK", [*headers, (b"Content-Length", b"%d" % len(data))], data
    if match[1]:
        start = int(match[1])
        end = min(int(match[2]) + 1, len(data)) if match[2] else len(data)
    else:
        start, end = max(len(data) - int(match[2] or b"0"), 0), len(data)
    part = data[start:end]
    headers.append((b"Content-Range", b"bytes %d-%d/%d" % (start, end - 1, len(data))))
    return b"206 Partial Content", [*headers, (b"Content-Length", b"%d" % len(part))], part


def framed(
    status: bytes, headers: Headers, body: bytes, dice: random.Random | None = None
) -> bytes:
    lines = b"".join(key + b": " + value + b"\r\n" for key, value in headers)
    version = (
        b"HTTP/1.1"
        if dice is None
        else dice.choice([b"HTTP/1.1"] * 9 + [b"HTTP/9", b"", b"HTTP/1.0"])
    )
    return version + b" " + status + b"\r\n" + lines + b"\r\n" + body


def number(dice: random.Random) -> bytes:
    words = [b"0", b"1", b"-1", b"5", b"4096", b"99999", b"18446744073709551616", b"1e3", b"0x10"]
    words += [b"", b"9" * 5000, b" 7 ", b"1, 2", b"\xd9\xa3", b"%d" % dice.randrange(1 << 20)]
    return dice.choice(words)


def _status(d: random.Random, status: bytes, h: Headers, b: bytes) -> tuple[bytes, Headers, bytes]:
    codes = [b"200 OK", b"206 P", b"204 N", b"304 N", b"400 B", b"401 U", b"403 F", b"404 N"]
    codes += [b"408 T", b"416 R", b"429 S", b"500 E", b"503 S", b"100 C", b"101 S", b"999 X"]
    codes += [b"", b"abc", b"-1 x", b"20", b"200", b"2000000000 OK"]
    extra = [(b"Retry-After", d.choice([b"0", b"0", b"99999", b"soon", number(d)]))]
    return d.choice(codes), [*h, *(extra if d.random() < 0.5 else [])], b


def _redirect(d: random.Random, s: bytes, h: Headers, b: bytes) -> tuple[bytes, Headers, bytes]:
    places = [
        b"/",
        b"//",
        b"/again",
        b"http://",
        b"http://[",
        b"ftp://127.0.0.1/",
        b"\xff\xfe",
        b"",
    ]
    places += [
        b"http://127.0.0.1:1/",
        b"http://127.0.0.1:99999/",
        b"file:///etc/passwd",
        b"?" * 9000,
    ]
    places += [b"http://x@y@z/", b"javascript:1", b"http://\x00/", b"https://127.0.0.1:1/"]
    code = d.choice([b"301 M", b"302 F", b"303 S", b"307 T", b"308 P", b"300 M"])
    return code, [*h, (b"Location", d.choice(places))], b


def _header(d: random.Random, s: bytes, h: Headers, b: bytes) -> tuple[bytes, Headers, bytes]:
    names = [b"Content-Length", b"Content-Range", b"ETag", b"Content-Encoding", b"Last-Modified"]
    names += [b"Transfer-Encoding", b"Accept-Ranges", b"Set-Cookie", b"Connection", b"Retry-After"]
    values = [
        number(d),
        b"bytes " + number(d) + b"-" + number(d) + b"/" + number(d),
        b"gzip",
        b"br",
    ]
    values += [b"chunked", b"identity", b'"two"', b"bytes", b"x" * 70000, b"\x00", b"a\r\nb: c"]
    values += [b"bytes */*", b'W/"one"', b"close", b"keep-alive", d.randbytes(9)]
    name, value = d.choice(names), d.choice(values)
    kept = [p for p in h if p[0] != name or d.random() < 0.3]
    return s, [*kept, (name, value)], b


def _many(d: random.Random, s: bytes, h: Headers, b: bytes) -> tuple[bytes, Headers, bytes]:
    return s, [*h, *((b"X-%d" % i, b"y") for i in range(d.choice([50, 99, 150, 3000])))], b


def _less(d: random.Random, s: bytes, h: Headers, b: bytes) -> tuple[bytes, Headers, bytes]:
    return s, [p for p in h if d.random() < 0.5], b


def _body(d: random.Random, s: bytes, h: Headers, b: bytes) -> tuple[bytes, Headers, bytes]:
    at = d.randrange(len(b) + 1)
    junk = d.randbytes(d.randrange(1, 64))
    choices = [b[:at], b + junk, b[:at] + junk + b[at + len(junk) :], b"", b * 2, junk, b[::-1]]
    choices += [bytes(len(b)), b"PK\5\6" + junk, b"<html>busy</html>"]
    new = d.choice(choices)
    if d.random() < 0.6:
        h = [(k, b"%d" % len(new)) if k == b"Content-Length" else (k, v) for k, v in h]
    return s, h, new


def _chunks(d: random.Random, s: bytes, h: Headers, b: bytes) -> tuple[bytes, Headers, bytes]:
    h = [p for p in h if p[0] != b"Content-Length"] + [(b"Transfer-Encoding", b"chunked")]
    out, at = b"", 0
    while at < len(b):
        step = d.choice([1000, 5000, 70000])
        size = b"%x" % len(b[at : at + step])
        if d.random() < 0.02:
            size = d.choice([b"-5", b"zz", b"", b"f" * 40, b"1" * 70000, b"5;ext=1"])
        out += size + b"\r\n" + b[at : at + step] + b"\r\n"
        at += step
    return s, h, out + d.choice([b"0\r\n\r\n", b"0\r\n\r\n", b"", b"0\r\nX: y\r\n\r\n"])


FAULTS = [_status, _redirect, _header, _header, _header, _many, _less, _body, _body, _chunks]


@contextmanager
def hostile(data: bytes, metadata: bytes) -> Iterator[HostileServer]:
    """A server until the block ends."""
    server = HostileServer(data, metadata)
    try:
        yield server
    finally:
        server.close()
