"""Device code in a fatbin: containers and the images in them, by their headers alone.

NVIDIA documents none of the layout; it was measured on published wheels with cuobjdump, nvcc and
ptxas up to 13.5 as judges, and on an H200. All numbers are little-endian::

    container   u32 magic, u16 version, u16 header size, u64 payload size; then a run of entries
    entry       0 u16 kind, 2 u16 version, 4 u32 header size, 8 u64 payload size (padded),
                16 u32 compressed size (0: not compressed), 20 u32 where the options stand,
                24 u16 minor, 26 u16 major (PTX: of its ISA), 28 u32 architecture,
                40 u64 flags, 56 u64 decompressed size

Between containers there may be zero padding to eight bytes. No payload is read here.
"""

from __future__ import annotations

import struct
from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING

import msgspec

from sartor.artifact.source import Invalid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sartor.artifact.model import ImageKind
    from sartor.artifact.source import Source

MAGIC = 0xBA55ED50
CONTAINER = struct.Struct("<IHHQ")
ENTRY = struct.Struct("<HHIQIIHHIIIQQQ")
PADDING = 8
MOST_HEADER = 64 << 10
"""Headers of 64 to 128 bytes were seen; options make them longer, never this long."""
MOST_ENTRIES = 1 << 18
"""Per library: the largest known has some 20,000. A file of headers alone must end somewhere."""


class Kind(IntEnum):
    """What an entry's payload is."""

    PTX = 1
    CUBIN = 2
    LTOIR = 8


KINDS: dict[int, tuple[ImageKind, str]] = {
    Kind.PTX: ("ptx", "compute_"),
    Kind.CUBIN: ("cubin", "sm_"),
    Kind.LTOIR: ("ltoir", "lto_"),
}


class Flag(IntFlag):
    """The flags whose meaning is known."""

    LZ4 = 1 << 13
    ZSTD = 1 << 15
    ARCH_SPECIFIC = 1 << 20
    FAMILY_SPECIFIC = 1 << 21


class Entry(msgspec.Struct, frozen=True):
    """One image. ``offset`` is of its header; the payload begins ``header_size`` after it.

    ``arch`` has its suffix (``90a``) and no prefix. ``size`` is the payload with its padding,
    ``stored`` what of it counts (the compressed size, where it is compressed), ``plain`` the size
    once decompressed.
    """

    offset: int
    kind: int
    header_size: int
    size: int
    stored: int
    plain: int
    arch: str
    flags: int
    options_at: int
    ptx_isa: str | None

    @property
    def payload(self) -> int:
        """Where the payload begins."""
        return self.offset + self.header_size

    @property
    def image_kind(self) -> ImageKind:
        """The kind by name."""
        return KINDS[self.kind][0] if self.kind in KINDS else "unknown"

    @property
    def architecture(self) -> str:
        """The architecture as the toolkit writes it: ``sm_90a``, ``compute_80``, ``lto_90``."""
        return f"{KINDS[self.kind][1] if self.kind in KINDS else ''}{self.arch}"

    @property
    def compression(self) -> str | None:
        """``lz4``, ``zstd``, None for none, ``unknown`` for another."""
        if self.flags & Flag.ZSTD:
            return "zstd"
        if self.flags & Flag.LZ4:
            return "lz4"
        return "unknown" if self.stored != self.size and self.plain else None


class Container(msgspec.Struct, frozen=True):
    """One translation unit's images. ``offset`` is of its header, ``end`` the first byte after."""

    offset: int
    end: int
    entries: list[Entry]


def containers(source: Source, start: int, size: int) -> Iterator[Container]:
    """The containers in ``size`` bytes from ``start``, in their order.

    Raises `Invalid` at the first thing that does not hold: what came before it was yielded.
    """
    offset, end, left = start, start + size, MOST_ENTRIES
    while offset < end:
        if end - offset < CONTAINER.size:
            if any(source.read(offset, end - offset)):
                raise Invalid(source.name, offset, "too short for a fatbin container")
            return
        found = read_container(source, offset, end, left)
        if found is None:
            offset = after_padding(source, offset, end)
            continue
        left -= len(found.entries)
        yield found
        offset = found.end


def read_container(
    source: Source, offset: int, end: int, most: int = MOST_ENTRIES
) -> Container | None:
    """The container at ``offset``, which may reach up to ``end``; None where padding stands there.

    Raises `Invalid` where it is no container, or one whose sizes lie, or of over ``most`` entries.
    """
    magic, version, header, size = CONTAINER.unpack(source.read(offset, CONTAINER.size))
    if magic == 0:
        return None
    if magic != MAGIC:
        raise Invalid(source.name, offset, f"no fatbin container begins here ({magic:#010x})")
    if version != 1 or header < CONTAINER.size:
        raise Invalid(
            source.name, offset, f"fatbin container of version {version}, header {header}"
        )
    payload = offset + header
    if size > end - payload:
        room = max(end - payload, 0)
        raise Invalid(source.name, offset, f"fatbin container claims {size} bytes of {room}")
    return Container(offset, payload + size, _entries(source, payload, payload + size, most))


def _entries(source: Source, offset: int, end: int, most: int) -> list[Entry]:
    found: list[Entry] = []
    while offset < end:
        if len(found) == most:
            raise Invalid(source.name, offset, f"more than {MOST_ENTRIES} images")
        entry = read_entry(source, offset, end)
        found.append(entry)
        offset = entry.payload + entry.size
    return found


def read_entry(source: Source, offset: int, end: int) -> Entry:
    """The entry whose header is at ``offset``; raises `Invalid` where it does not fit before ``end``."""
    if end - offset < ENTRY.size:
        raise Invalid(source.name, offset, "too short for the header of an image")
    (
        kind,
        _version,
        header,
        size,
        compressed,
        options_at,
        minor,
        major,
        arch,
        _,
        _,
        flags,
        _,
        plain,
    ) = ENTRY.unpack(source.read(offset, ENTRY.size))
    if not ENTRY.size <= header <= MOST_HEADER:
        raise Invalid(source.name, offset, f"image header of {header} bytes")
    if size > end - offset - header:
        room = max(end - offset - header, 0)
        raise Invalid(source.name, offset, f"image claims {size} bytes of {room}")
    if compressed > size:
        raise Invalid(source.name, offset, f"{compressed} compressed bytes in an image of {size}")
    suffix = "a" if flags & Flag.ARCH_SPECIFIC else "f" if flags & Flag.FAMILY_SPECIFIC else ""
    return Entry(
        offset=offset,
        kind=kind,
        header_size=header,
        size=size,
        stored=compressed or size,
        plain=plain if compressed else size,
        arch=f"{arch}{suffix}",
        flags=flags,
        options_at=options_at,
        ptx_isa=f"{major}.{minor}" if kind == Kind.PTX else None,
    )


def after_padding(source: Source, offset: int, end: int) -> int:
    """The first offset from which on not all is zero, in steps of eight; ``end`` where all is."""
    while offset < end:
        block = source.read(offset, min(end - offset, 1 << 16))
        rest = block.lstrip(b"\0")
        if rest:
            return offset + (len(block) - len(rest)) // PADDING * PADDING
        offset += len(block)
    return end
