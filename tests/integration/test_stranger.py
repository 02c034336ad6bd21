"""A stranger takes the port between its choice and the server's start."""

from __future__ import annotations

import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from sartor import line
from sartor.errors import ServerDiedError
from sartor.paths import Places
from sartor.reporter import Reporter
from sartor.serve import address, start
from sartor_cli import Sartor, leftovers, port_of
from serving import in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Stranger(BaseHTTPRequestHandler):
    """Lists the very model that is asked for, and keeps the keys that it is shown."""

    shown: list[str]

    def do_GET(self) -> None:
        self.shown.append(str(self.headers.get("Authorization")))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"data": [{"id": "sartor-demo"}]}).encode())

    def log_message(self, *_: object) -> None:
        """Nothing is said."""


@contextmanager
def stranger() -> Iterator[tuple[int, list[str]]]:
    """The port of one who is there already, and the keys that it was shown."""

    class Noting(Stranger):
        shown: list[str] = []

    with in_thread(ThreadingHTTPServer(("127.0.0.1", 0), Noting)) as server:
        yield server.server_port, Noting.shown


class Notes(Reporter):
    """Keeps what was noted."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.mark.parametrize("times", [1, 9])
def test_the_port_is_taken(sartor: Sartor, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    notes, places = Notes(), Places(sartor.home)
    with stranger() as (taken, shown):
        left = [taken] * times

        def choose(
            host: str, asked: int | None, promised: Mapping[int, str]
        ) -> tuple[int, str | None]:
            return (left.pop(), None) if left else address.choose_port(host, asked, promised)

        monkeypatch.setattr(start, "choose_port", choose)
        asked = start.ServeRequest(api_key="sk-not-for-strangers")
        if times == 1:
            with line.up(line.UpRequest(), asked, places, notes) as (endpoint, server):
                assert server is not None
                assert port_of({"url": endpoint.url}) != taken
        else:
            with (
                pytest.raises(ServerDiedError) as raised,
                line.up(line.UpRequest(), asked, places, notes),
            ):
                pytest.fail("it cannot serve there")
            assert any(str(taken) in line for line in raised.value.found)
    assert any(f"port {taken} was taken" in note for note in notes.notes)
    assert shown == []
    assert leftovers(sartor.home) == []
