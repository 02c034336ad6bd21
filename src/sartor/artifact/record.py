"""The lines of a RECORD: which files a distribution installed, with their hashes and sizes.

The format is that of the specification of installed projects (packaging.python.org, "Recording
installed projects"): CSV, a line for each file: path, ``algorithm=digest`` (base64 for URLs,
without padding) and size.
"""

from __future__ import annotations

import base64
import binascii
import csv
import io
import posixpath
import re

import msgspec

STRONG = {"sha256": 32, "sha384": 48, "sha512": 64}
"""Hashes that a RECORD may have, and their bytes."""
HEX = re.compile(r"[0-9a-f]+")
MOST_LINES = 1 << 20
MOST_FAULTS = 8


class Recorded(msgspec.Struct, frozen=True):
    """One file: where, from the folder of packages, and what it holds; None: not recorded."""

    path: str
    algorithm: str | None = None
    digest: bytes | None = None
    size: int | None = None


class Record(msgspec.Struct, frozen=True):
    """The files of one RECORD, and what is wrong with its lines."""

    files: list[Recorded]
    faults: list[str] = []


def digest_text(digest: bytes) -> str:
    """A digest as a RECORD writes it: URL-safe base64 without padding."""
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def read_record(data: bytes) -> Record:
    """Read a RECORD; raises nothing: a line that is none is a fault, and the others are read."""
    files: dict[str, Recorded] = {}
    faults: list[str] = []
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        return Record([], [f"it is not in UTF-8: {error.reason} at byte {error.start}"])
    try:
        for number, row in enumerate(csv.reader(io.StringIO(text, newline="")), 1):
            if number > MOST_LINES:
                faults.append(f"it has more than {MOST_LINES} lines")
                break
            found = _file(row) if row else None
            if isinstance(found, Recorded):
                if files.setdefault(found.path, found) != found:
                    faults.append(f"line {number}: `{found.path}` is there twice, and differs")
            elif found is not None:
                faults.append(f"line {number}: {found}")
    except csv.Error as error:
        faults.append(f"it is no CSV: {error}")
    if len(faults) > MOST_FAULTS:
        faults = [*faults[:MOST_FAULTS], f"and {len(faults) - MOST_FAULTS} more"]
    return Record(list(files.values()), faults)


def _file(row: list[str]) -> Recorded | str:
    """A line's file, or what is wrong with it."""
    if not 1 <= len(row) <= 3:
        return f"{len(row)} fields, for a path, a hash and a size"
    path, told, size = (*row, "", "")[:3]
    if not path or "\0" in path:
        return "a file without a name"
    if size and not (size.isascii() and size.isdecimal() and len(size) < 20):
        return f"`{size[:40]}` is no size"
    plain, count = posixpath.normpath(path), int(size) if size else None
    if not told:
        return Recorded(plain, None, None, count)
    algorithm, _, text = told.partition("=")
    digest = _digest(algorithm, text)
    if digest is None:
        return f"`{told[:80]}` is no hash of {', '.join(STRONG)}"
    return Recorded(plain, algorithm, digest, count)


def _digest(algorithm: str, text: str) -> bytes | None:
    """A digest's bytes; None for one of another length, or by an algorithm that is not taken."""
    if len(text) == 2 * STRONG.get(algorithm, 0) and HEX.fullmatch(text):
        return bytes.fromhex(text)  # what flit wrote up to 3.8
    try:
        digest = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return digest if len(digest) == STRONG.get(algorithm) else None
