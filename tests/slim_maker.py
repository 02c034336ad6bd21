"""Libraries with device code of any kind, and what a loader finds in one; nothing of `sartor.slim`.

The frame is `tests/data/slim/units.so`, which nvcc made: its containers are replaced by others, and
the addends that point to them follow.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fatbin_maker import container

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fatbin_maker import Made

DATA = Path(__file__).parent / "data" / "slim"
SECTION = struct.Struct("<IIQQQQIIQQ")
SEGMENT = struct.Struct("<IIQQQQQQ")
RELA = struct.Struct("<QQQ")
X86_64, AARCH64 = 62, 183
RELATIVE = {X86_64: 8, AARCH64: 1027}
UNITS = 4
"""Translation units of the frame."""


class Part(NamedTuple):
    """A section: where it is in memory and in the file, and its size."""

    address: int
    offset: int
    size: int


def sections(data: bytes | bytearray) -> dict[str, Part]:
    """By their names."""
    (at,) = struct.unpack_from("<Q", data, 40)
    count, names = struct.unpack_from("<HH", data, 60)
    rows = [SECTION.unpack_from(data, at + SECTION.size * i) for i in range(count)]
    texts = rows[names][4]
    found = {}
    for name, _, _, address, offset, size, *_ in rows:
        text = data[texts + name : data.index(b"\0", texts + name)].decode()
        found[text] = Part(address, offset, size)
    return found


def relocations(data: bytes | bytearray) -> Iterator[tuple[int, int, int, int]]:
    """Where each stands in the file, its place, its kind, its addend."""
    part = sections(data)[".rela.dyn"]
    for at in range(part.offset, part.offset + part.size, RELA.size):
        yield (at, *RELA.unpack_from(data, at))


def machine(data: bytes) -> int:
    """``e_machine``."""
    return int(struct.unpack_from("<H", data, 18)[0])


def library(units: list[list[Made]], for_machine: int = X86_64) -> bytes:
    """A library with these four units."""
    assert len(units) == UNITS
    data = bytearray((DATA / "units.so").read_bytes())
    fatbin = sections(data)[".nv_fatbin"]
    held = [container(images) for images in units]
    body = b"".join(held)
    assert len(body) <= fatbin.size
    data[fatbin.offset : fatbin.offset + fatbin.size] = body.ljust(fatbin.size, b"\0")
    inside = [
        (place, at)
        for at, place, kind, addend in relocations(data)
        if kind == 8 and fatbin.address <= addend < fatbin.address + fatbin.size
    ]
    address = fatbin.address
    for (_, at), one in zip(sorted(inside), held, strict=True):
        struct.pack_into("<Q", data, at + 16, address)
        address += len(one)
    if for_machine != X86_64:
        for at, _, kind, _ in list(relocations(data)):
            struct.pack_into("<Q", data, at + 8, RELATIVE[for_machine] if kind == 8 else kind)
        struct.pack_into("<H", data, 18, for_machine)
    return bytes(data)


def loaded(data: bytes, address: int, size: int) -> bytes:
    """Bytes as the loader puts them into memory; raises `KeyError` where nothing is."""
    at, _, count = struct.unpack_from("<Q", data, 32)[0], 0, struct.unpack_from("<H", data, 56)[0]
    for i in range(count):
        kind, _, offset, start, _, length, *_ = SEGMENT.unpack_from(data, at + SEGMENT.size * i)
        if kind == 1 and start <= address and address + size <= start + length:
            found = data[offset + address - start :][:size]
            assert len(found) == size
            return found
    raise KeyError(hex(address))


def found_units(data: bytes) -> list[list[bytes]]:
    """The entries of each unit, found as a program finds them: by the wrappers' pointers."""
    pointers = {
        place: addend
        for _, place, kind, addend in relocations(data)
        if kind == RELATIVE[machine(data)]
    }
    wrappers = sections(data)[".nvFatBinSegment"]
    places = range(wrappers.address + 8, wrappers.address + wrappers.size, 24)
    return [_entries(data, pointers[place]) for place in places]


def _entries(data: bytes, address: int) -> list[bytes]:
    magic, version, header, size = struct.unpack("<IHHQ", loaded(data, address, 16))
    assert (magic, version, header) == (0xBA55ED50, 1, 16)
    entries, at, end = [], address + 16, address + 16 + size
    while at < end:
        own, payload = struct.unpack("<IQ", loaded(data, at + 4, 12))
        entries.append(loaded(data, at, own + payload))
        at += own + payload
    assert at == end
    return entries


class Shown(bytes):
    """A library; a failing one is shown by its images."""

    def __repr__(self) -> str:
        found = [[len(entry) for entry in unit] for unit in found_units(self)]
        return f"<a library of entries with {found} bytes>"
