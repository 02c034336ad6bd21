"""Device code for the loading experiments: where it is in a library, and containers made by hand.

The layout is in `sartor.artifact.fatbin`; the writer here is independent of that reader.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from sartor.artifact.fatbin import Container, containers
from sartor.artifact.source import FileSource, Invalid

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

SECTIONS = {b".nv_fatbin": False, b"__nv_relfatbin": True}
"""Name → whether its code is relocatable: to be linked with the library's other such code."""
ELF_SECTION = struct.Struct("<IIQQQQIIQQ")
KINDS = {"ptx": 1, "cubin": 2, "ltoir": 8}
SUFFIX_FLAGS = {"": 0, "a": 1 << 20, "f": 1 << 21}
PLAIN_FLAGS = 0x11
"""What every entry of a 64-bit Linux build has."""


def device_sections(path: Path) -> list[tuple[int, int, bool]]:
    """Offset, size and relocatability of the sections of a 64-bit library with device code."""
    with FileSource(path) as source:
        (table,) = struct.unpack("<Q", source.read(0x28, 8))
        size, count, names = struct.unpack("<HHH", source.read(0x3A, 6))
        rows = [ELF_SECTION.unpack(source.read(table + i * size, size)) for i in range(count)]
        strings = source.read(rows[names][4], rows[names][5]) if rows else b""
    found = []
    for row in rows:
        name = strings[row[0] : strings.index(b"\0", row[0])]
        if name in SECTIONS and row[5]:
            found.append((row[4], row[5], SECTIONS[name]))
    return found


def library_containers(path: Path) -> Iterator[tuple[Container, bool]]:
    """Every container of a library, by the project's reader, and whether it is relocatable."""
    sections = device_sections(path)
    with FileSource(path) as source:
        for offset, size, relocatable in sections:
            for found in containers(source, offset, size):
                if isinstance(found, Invalid):
                    raise found
                yield found, relocatable


def container(entries: Sequence[bytes]) -> bytes:
    """A container of entries, each with its header, in that order."""
    body = b"".join(entries)
    return struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(body)) + body


def entry(
    kind: str, arch: str, payload: bytes, isa: str = "0.0", options: bool | None = None
) -> bytes:
    """An uncompressed entry: ``arch`` as ``90a``; PTX text gets the NUL that the toolkit writes.

    ``isa`` is what the header says, which the text may contradict. ``options``: whether a record of
    ptxas options follows the header, as it does in all PTX of the toolkits: driver 580 ends in a
    segmentation fault where PTX has none. It is two u32, where the text of the options stands and
    its size, and the text.
    """
    number = arch.rstrip("af")
    record = b""
    if options or (options is None and kind != "cubin"):
        record = struct.pack("<II8x", 72, 0)
    if kind == "ptx":
        payload += b"\0"
    payload += b"\0" * (-len(payload) % 8)
    major, minor = (int(part) for part in isa.split("."))
    flags = PLAIN_FLAGS | SUFFIX_FLAGS[arch[len(number) :]]
    sizes = 64 + len(record), len(payload), 0, 64 if record else 0
    first = struct.pack("<HHIQII", KINDS[kind], 0x0101, *sizes)
    second = struct.pack("<HHIII", minor, major, int(number), 0, 0)
    return first + second + struct.pack("<QQQ", flags, 0, 0) + record + payload
