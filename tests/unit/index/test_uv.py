"""uv's words taken apart: progress bars, and what a failure stands for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from sartor.errors import (
    BuildError,
    DiskFullError,
    IndexRefusedError,
    IndexUnreachableError,
    ResolutionError,
    SartorError,
)
from sartor.index.uv import _Lines, explain
from sartor.reporter import Reporter

if TYPE_CHECKING:
    from pathlib import Path

# Captured from uv 0.13; addresses shortened.
REFUSED_403 = """\
error: No solution found when resolving dependencies
cause: Because engine was not found in the package registry and you require engine==1, we can \
conclude that your requirements are unsatisfiable.
hint: An index (http://127.0.0.1:1/simple) returned a 403 Forbidden error. Check that the index \
URL is correct and the credentials are valid.
"""
REFUSED_401 = """\
error: No solution found when resolving dependencies
cause: Because engine was not found in the package registry and you require engine==1, we can \
conclude that your requirements are unsatisfiable.
hint: An index URL (http://127.0.0.1:1/simple) could not be queried due to a lack of valid \
authentication credentials (401 Unauthorized)
"""
BROKEN_503 = """\
error: Failed to download `engine==1`
cause: Request failed after 3 retries in 4.9s
cause: Failed to fetch: http://127.0.0.1:1/files/engine.whl
cause: HTTP status server error (503 Service Unavailable) for url (http://127.0.0.1:1/files/e.whl)
"""
NOT_THERE = """\
error: No solution found when resolving dependencies
cause: Because engine was not found in the package registry and you require engine==1, we can \
conclude that your requirements are unsatisfiable.
"""
NO_RELEASE = """\
error: No solution found when resolving dependencies
cause: Because there is no version of engine==2 and you require engine==2, we can conclude that \
your requirements are unsatisfiable.
"""
TOO_LARGE = """\
error: No solution found when resolving dependencies
cause: Because engine==1 depends on helper>=500 and only helper<=499 Beta is available, we can \
conclude that your requirements are unsatisfiable.
"""
UNREACHED = """\
error: Request failed after 3 retries
cause: Failed to fetch: http://127.0.0.1:9/simple/engine/
cause: error sending request for url (http://127.0.0.1:9/simple/engine/)
cause: client error (Connect)
cause: tcp connect error
cause: Connection refused (os error 111)
"""
NO_NAME = "cause: dns error\ncause: failed to lookup address information: Name or service not known"
FULL = """\
error: Failed to download `engine==1`
cause: Failed to extract archive: engine.whl
cause: failed to write to file `/full/uv/.tmpV/engine.so`: No space left on device (os error 28)
"""


@pytest.mark.parametrize(
    ("output", "kind", "words"),
    [
        (REFUSED_403, IndexRefusedError, "403"),
        (REFUSED_401, IndexRefusedError, "401"),
        (BROKEN_503, IndexRefusedError, "503"),
        (NOT_THERE, IndexRefusedError, "404"),
        (NO_RELEASE, ResolutionError, "together"),
        (TOO_LARGE, ResolutionError, "together"),
        (UNREACHED, IndexUnreachableError, "could not be reached"),
        (NO_NAME, IndexUnreachableError, "could not be reached"),
        (FULL, DiskFullError, "/full/uv"),
        ("error: the frobnicator failed", BuildError, "status 2"),
        ("", BuildError, "status 2"),
        ("Downloaded 500 MiB\nerror: something else", BuildError, "status 2"),
    ],
)
def test_failures(output: str, kind: type[SartorError], words: str, tmp_path: Path) -> None:
    error = explain(output, 2, tmp_path / "build.log", "resolving")
    assert type(error) is kind
    assert words in error.message
    assert error.log == str(tmp_path / "build.log")
    assert kind is BuildError or error.hint


class Heard(Reporter):
    """Keeps what progress was reported."""

    def __init__(self) -> None:
        self.progressed: list[tuple[float, float | None]] = []

    def progress(self, what: str, done: float, total: float | None, unit: str) -> None:
        assert (what, unit) == ("downloading", "B")
        self.progressed.append((done, total))


def lines_of(*pieces: bytes) -> tuple[list[str], Heard]:
    """What is left for a log, and what progress was heard, of a terminal's bytes."""
    heard = Heard()
    lines = _Lines(heard, "downloading", None)
    for piece in pieces:
        lines.feed(piece)
    lines.feed(b"\n")
    return lines.lines, heard


def test_bars_are_progress_and_no_lines() -> None:
    lines, heard = lines_of(
        b"Using Python 3.12\r\n\x1b[2mengine   \x1b[0m ---------------- 1.00 MiB/2.00 MiB\r",
        "\r\x1b[2K⠙ Preparing packages... (0/2)\r".encode(),
        b"helper   ------------------------------ 512 KiB/1.00 MiB\r\n",
        b"Installed 2 packages in 3ms\r\n + engine==1\r\n",
    )
    assert lines == ["Using Python 3.12", "Installed 2 packages in 3ms", " + engine==1"]
    assert heard.progressed == [(1 << 20, 2 << 20), ((1 << 20) + (512 << 10), 3 << 20)]


def test_bytes_may_come_in_any_pieces() -> None:
    text = "café ------- 1.00 MiB/2.00 MiB\rerror: größer\n".encode()
    whole, _ = lines_of(text)
    for cut in range(len(text)):
        assert lines_of(text[:cut], text[cut:])[0] == whole


@pytest.mark.parametrize("line", ["x 1..2B/3.4.5B", "a ... B/", "1/2", "/B/B/B", "[1/2] cc -c x.c"])
def test_lines_that_look_like_bars(line: str) -> None:
    assert lines_of(f"{line}\n".encode())[0] == [line]


@pytest.mark.parametrize("filling", [" ", "-", "a", "- ", "1", "a -", "1 B/"])
def test_long_lines_take_no_time(filling: str) -> None:
    line = "name " + filling * 100_000 + " 1.0 x"
    began = time.perf_counter()
    lines_of(f"{line}\n".encode())
    assert time.perf_counter() - began < 1
