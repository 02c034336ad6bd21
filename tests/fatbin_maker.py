"""Containers of device code made by hand, independently of the reader: see docs/fatbin.md."""

from __future__ import annotations

import struct
from typing import NamedTuple

import lz4.block
import zstandard

KINDS = {"ptx": 1, "cubin": 2, "ltoir": 8}
SUFFIXES = {"": 0, "a": 1 << 20, "f": 1 << 21}
COMPRESSIONS = {None: 0, "lz4": 1 << 13, "zstd": 1 << 15}
FLAGS = 0x11
"""64 bits, Linux."""


class Made(NamedTuple):
    """An image as it shall be. ``kind`` may be a number that no toolkit uses."""

    kind: str | int
    arch: str
    payload: bytes
    isa: str = "0.0"
    options: str | None = None
    compression: str | None = None

    def packed(self) -> bytes:
        """The entry: header, options, payload."""
        stored, compressed = self.payload, 0
        if self.compression == "lz4":
            stored = lz4.block.compress(self.payload, store_size=False)
        elif self.compression == "zstd":
            stored = zstandard.ZstdCompressor().compress(self.payload)
        if self.compression is not None:
            compressed = len(stored)
        stored += b"\0" * (-len(stored) % 8)
        return self.header(len(stored), compressed) + stored

    def header(self, size: int, compressed: int) -> bytes:
        """The header of an entry of these sizes."""
        record = b""
        if self.options is not None:
            text = self.options.encode()
            record = struct.pack("<II", 72, len(text)) + text
            record += b"\0" * (-len(record) % 8)
        number = self.arch.rstrip("af")
        major, minor = (int(part) for part in self.isa.split("."))
        kind = KINDS[self.kind] if isinstance(self.kind, str) else self.kind
        flags = FLAGS | SUFFIXES[self.arch[len(number) :]] | COMPRESSIONS[self.compression]
        return (
            struct.pack("<HHIQ", kind, 0x0101, 64 + len(record), size)
            + struct.pack("<IIHHI", compressed, 64 if record else 0, minor, major, int(number))
            + struct.pack("<IIQQQ", 0, 0, flags, 0, len(self.payload) if compressed else 0)
            + record
        )


def container(images: list[Made]) -> bytes:
    """A container of these images."""
    return around(b"".join(image.packed() for image in images))


def around(body: bytes) -> bytes:
    """A container's header before the body."""
    return struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(body)) + body
