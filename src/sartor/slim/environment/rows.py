"""Lines of a RECORD, changed one by one: all others stay byte for byte, in their order.

What a line holds is said in `sartor.artifact.record`.
"""

from __future__ import annotations

import csv
import io
import posixpath
from typing import TYPE_CHECKING

from sartor.artifact.record import digest_text

if TYPE_CHECKING:
    from collections.abc import Mapping


def lines_of(data: bytes) -> dict[str, list[bytes]]:
    """The lines of each file, by its path made plain; a file is there twice now and then."""
    found: dict[str, list[bytes]] = {}
    for line in data.splitlines(keepends=True):
        path = _path(line)
        if path is not None:
            found.setdefault(path, []).append(line)
    return found


def _path(line: bytes) -> str | None:
    try:
        row = next(csv.reader([line.decode("utf-8").rstrip("\r\n")]), [])
    except (UnicodeDecodeError, csv.Error):
        return None
    return posixpath.normpath(row[0]) if row and row[0] else None


def path_of(line: str) -> str:
    """The path in a line that has one, made plain."""
    return _path(line.encode()) or ""


def changed_line(line: bytes, sha256: str, size: int) -> bytes:
    """A file's line with what is in it now; its path and its end as they were written.

    ``sha256`` is in hexadecimal. A line that has no hash and no size gets none.
    """
    text = line.decode("utf-8")
    body = text.rstrip("\r\n")
    path, *told = next(csv.reader([body]))
    if not any(told):
        return line
    digest = digest_text(bytes.fromhex(sha256))
    written = io.StringIO()
    csv.writer(written, lineterminator=text[len(body) :]).writerow(
        [path, f"sha256={digest}", str(size)]
    )
    return written.getvalue().encode()


def with_lines(data: bytes, new: Mapping[bytes, bytes]) -> bytes:
    """Each line that is a key becomes its value; an empty one is gone."""
    return b"".join(new.get(line, line) for line in data.splitlines(keepends=True))


def place_of(data: bytes, line: bytes) -> int:
    """How many lines stand before a line that is there; raises `ValueError` without it."""
    return data.splitlines(keepends=True).index(line)


def with_line_at(data: bytes, place: int, line: bytes) -> bytes:
    """The line put in before the one at ``place``; behind all where there are fewer."""
    lines = data.splitlines(keepends=True)
    lines.insert(place, line)
    return b"".join(lines)
