"""Documents on stdout."""

from __future__ import annotations

import sys

import msgspec


def print_document(document: msgspec.Struct) -> None:
    """Write one JSON document and a newline to stdout, at once."""
    if sys.stdout is None:  # closed by whoever started us
        return
    data = msgspec.json.format(msgspec.json.encode(document), indent=2)
    sys.stdout.buffer.write(data + b"\n")
    sys.stdout.buffer.flush()


def print_lines(*lines: str) -> None:
    """Write lines of data to stdout, at once."""
    if sys.stdout is None:
        return
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()
