"""Documents on stdout."""

from __future__ import annotations

import errno
import os
import sys

import msgspec

from sartor.errors import DiskFullError


def print_document(document: msgspec.Struct) -> None:
    """Write one JSON document and a newline to stdout, at once."""
    _write(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")


def print_lines(*lines: str) -> None:
    """Write lines of data to stdout, at once; what its encoding lacks becomes a question mark."""
    encoding = sys.stdout.encoding if sys.stdout else "utf-8"
    _write("".join(f"{line}\n" for line in lines).encode(encoding, "replace"))


def _write(data: bytes) -> None:
    """Raises `BrokenPipeError` where nobody reads and `DiskFullError` where there is no room."""
    if sys.stdout is None:  # it was closed before Sartor began: as with `print`, nothing is said
        return
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except OSError as error:
        # What is left in the buffer would be tried again, and fail again, when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno != errno.ENOSPC:
            raise
        raise DiskFullError(
            "the output cannot be written: there is no room left where it goes",
            hint="free some space, or send the output elsewhere",
        ) from error
