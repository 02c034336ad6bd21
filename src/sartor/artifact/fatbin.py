"""Device code in a fatbin: containers and the images in them, by their headers alone.

NVIDIA documents none of the layout; docs/fatbin.md says what was measured and how. All numbers
are little-endian::

    container   u32 magic, u16 version, u16 header size, u64 payload size; then a run of entries
    entry       0 u16 kind, 2 u16 version, 4 u32 header size, 8 u64 payload size (padded),
                16 u32 compressed size (0: not compressed), 20 u32 where the options stand,
                24 u16 minor, 26 u16 major (PTX: of its ISA), 28 u32 architecture,
                32 u32 where the source's name stands, 36 u32 its length,
                40 u64 flags, 48 u64 a checksum (LTO-IR), 56 u64 decompressed size
    options     u32 where their text begins, u32 its length; the text. Where the flag of bit 24 is
                set there is no text but a NUL and a copy of the cubin's ``.nv.compat`` section

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
OPTIONS = struct.Struct("<II")
BEGINNING = struct.pack("<IHH", MAGIC, 1, CONTAINER.size)
"""With version and header size, which never were others: a long needle is found faster."""
SEARCHED = 1 << 20
PADDING = 8
AT_ONCE = 256
"""Read per entry: its header, and all that was seen behind one (144 bytes at most)."""
MOST_HEADER = 64 << 10
"""Options make headers longer, never this long."""
MOST_OPTIONS = 1 << 10
"""The longest text of options seen has 56 bytes."""
MOST_IN_CONTAINER = 1 << 14
"""Entries of one container, which are held at once; some twenty are real."""
MOST_ENTRIES = 1 << 18
"""Per library: the largest known has some 20,000. A file of headers alone must end somewhere."""


SAMPLE, MOST_SAMPLES = 2 << 20, 16
"""Bytes, and number, of the cubins that are opened to learn which toolkit made them: a library's
first ones that are not larger. A stream keeps them, so that all sources tell the same."""


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

    BITS_64 = 1 << 0
    DEBUG = 1 << 1
    LINUX = 1 << 4
    LZ4 = 1 << 13
    ZSTD = 1 << 15
    LTO = 1 << 16
    ARCH_SPECIFIC = 1 << 20
    FAMILY_SPECIFIC = 1 << 21
    COMPATIBILITY = 1 << 24


# Operations on an IntFlag cost a microsecond each; a walk does several for every image.
_LZ4, _ZSTD = int(Flag.LZ4), int(Flag.ZSTD)
_ARCH, _FAMILY = int(Flag.ARCH_SPECIFIC), int(Flag.FAMILY_SPECIFIC)
_COMPATIBILITY = int(Flag.COMPATIBILITY)


class Entry(msgspec.Struct, frozen=True):
    """One image. ``offset`` is of its header; the payload begins ``header_size`` after it.

    ``arch`` has its suffix (``90a``) and no prefix. ``size`` is the payload with its padding,
    ``stored`` what of it counts (the compressed size, where it is compressed), ``plain`` the size
    once decompressed. ``options`` are those of ptxas, or of the LTO compiler, to build it with.
    """

    offset: int
    kind: int
    header_size: int
    size: int
    stored: int
    plain: int
    arch: str
    flags: int
    compression: str | None
    ptx_isa: str | None
    options: str | None

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


def cost(kind: int, stored: int, *, compressed: bool) -> tuple[bool, bool, int]:
    """What it takes to read an image's kernels, to compare; only PTX and cubins have any.

    A cubin that is not compressed is read in part, whatever its size; the rest as a whole.
    """
    return kind != Kind.CUBIN, compressed, stored


class Container(msgspec.Struct, frozen=True):
    """One translation unit's images. ``offset`` is of its header, ``end`` the first byte after."""

    offset: int
    end: int
    entries: list[Entry]


def containers(
    source: Source, start: int, size: int, most: int = MOST_ENTRIES
) -> Iterator[Container | Invalid]:
    """The containers in ``size`` bytes from ``start``, in their order, and what is wrong.

    A fault inside a container costs that container: an `Invalid` stands in its place, and the walk
    goes on where its header says that it ends if the section ends there too, or another container
    begins. Any other fault ends the walk, as do more than ``most`` images, of which an empty
    container counts as one. Raises nothing about the bytes.
    """
    offset, end, left = start, start + size, most
    while offset < end:
        after = None
        try:
            offset = after_padding(source, offset, end)
            if offset == end:
                return
            _check_left(source, offset, left, most)
            payload, after = read_container_header(source, offset, end)
            entries = _entries(source, payload, after, left)
        except Invalid as fault:
            yield fault
            if after is None or not _trustworthy(source, after, end):
                return
        else:
            left -= counted(entries)
            yield Container(offset, after, entries)
        offset = after


def scattered(
    source: Source, start: int, size: int, most: int = MOST_ENTRIES
) -> Iterator[Container | Invalid]:
    """The containers among other data in ``size`` bytes from ``start``, found by their magic.

    What begins like one and does not hold is taken for data. Ends with an `Invalid` after more than
    ``most`` images.
    """
    offset, end, left = start, start + size, most
    while end - offset >= CONTAINER.size:
        block = source.read(offset, min(SEARCHED, end - offset))
        at = block.find(BEGINNING)
        if at < 0:
            offset += max(len(block) - len(BEGINNING) + 1, 1)
            continue
        offset += at
        try:
            _check_left(source, offset, left, most)
        except Invalid as fault:
            yield fault
            return
        try:
            payload, after = read_container_header(source, offset, end)
            entries = _entries(source, payload, after, left)
        except Invalid:
            offset += len(BEGINNING)
            left -= 1  # so that data made of beginnings come to an end
            continue
        left -= counted(entries)
        yield Container(offset, after, entries)
        offset = after


def _check_left(source: Source, offset: int, left: int, most: int) -> None:
    if left <= 0:
        raise Invalid(source.name, offset, f"more than {most} images")


def counted(entries: list[Entry]) -> int:
    """What a container's images count towards `MOST_ENTRIES`: empty ones take memory too."""
    return max(len(entries), 1)


def read_container_header(source: Source, offset: int, end: int) -> tuple[int, int]:
    """Where the payload of the container at ``offset`` begins and ends; ``end`` is the section's.

    Raises `Invalid` where it is no container, or one whose size lies.
    """
    if end - offset < CONTAINER.size:
        raise Invalid(source.name, offset, "too short for a fatbin container")
    magic, version, header, size = CONTAINER.unpack(source.read(offset, CONTAINER.size))
    if magic != MAGIC:
        raise Invalid(source.name, offset, f"no fatbin container begins here ({magic:#010x})")
    if version != 1 or header < CONTAINER.size:
        reason = f"fatbin container of version {version}, header of {header} bytes"
        raise Invalid(source.name, offset, reason)
    payload: int = offset + header
    if size > end - payload:
        room = max(end - payload, 0)
        raise Invalid(source.name, offset, f"fatbin container claims {size} bytes of {room}")
    return payload, payload + size


def _trustworthy(source: Source, offset: int, end: int) -> bool:
    """Whether nothing but padding is left from ``offset``, or a container begins after it."""
    try:
        offset = after_padding(source, offset, end)
        return offset == end or read_container_header(source, offset, end) is not None
    except Invalid:
        return False


def _entries(source: Source, offset: int, end: int, left: int) -> list[Entry]:
    most, found = min(left, MOST_IN_CONTAINER), list[Entry]()
    while offset < end:
        if len(found) == most:
            raise Invalid(source.name, offset, f"more than {most} images")
        entry = read_entry(source, offset, end)
        found.append(entry)
        offset = entry.offset + entry.header_size + entry.size
    return found


def read_entry(source: Source, offset: int, end: int) -> Entry:
    """The entry whose header is at ``offset``; `Invalid` where it does not fit before ``end``."""
    if end - offset < ENTRY.size:
        raise Invalid(source.name, offset, "too short for the header of an image")
    block = source.read(offset, min(AT_ONCE, end - offset))
    fields = ENTRY.unpack_from(block)
    kind, _, header, size, compressed, options_at, minor, major, arch, _, _, flags, _, plain = (
        fields
    )
    if not ENTRY.size <= header <= MOST_HEADER:
        raise Invalid(source.name, offset, f"image header of {header} bytes")
    if size > end - offset - header:
        room = max(end - offset - header, 0)
        raise Invalid(source.name, offset, f"image claims {size} bytes of {room}")
    if compressed > size:
        raise Invalid(source.name, offset, f"{compressed} compressed bytes in an image of {size}")
    options = None
    if options_at and not flags & _COMPATIBILITY:
        if header > len(block):
            block = source.read(offset, header)
        options = _options(block[:header], options_at, source.name, offset)
    return Entry(
        offset,
        kind,
        header,
        size,
        compressed or size,
        plain if compressed else size,
        f"{arch}a" if flags & _ARCH else f"{arch}f" if flags & _FAMILY else f"{arch}",
        flags,
        _compression(flags) if compressed else None,
        f"{major}.{minor}" if kind == Kind.PTX else None,
        options,
    )


def _compression(flags: int) -> str:
    if flags & _ZSTD:
        return "unknown" if flags & _LZ4 else "zstd"
    return "lz4" if flags & _LZ4 else "unknown"


def _options(header: bytes, at: int, name: str, offset: int) -> str | None:
    """The options' text in an entry's header; None where it is empty."""
    if at < ENTRY.size or at + OPTIONS.size > len(header):
        raise Invalid(name, offset, f"options at {at} in a header of {len(header)} bytes")
    begin, length = OPTIONS.unpack_from(header, at)
    if length > MOST_OPTIONS or begin + length > len(header):
        reason = f"{length} bytes of options from {begin} in a header of {len(header)} bytes"
        raise Invalid(name, offset, reason)
    text: str = header[begin : begin + length].decode("ascii", "backslashreplace")
    return " ".join(text.rstrip("\0").split()) or None


def after_padding(source: Source, offset: int, end: int) -> int:
    """The first offset from which on not all is zero, in steps of eight; ``end`` where all is."""
    length = CONTAINER.size
    while offset < end:
        block = source.read(offset, min(end - offset, length))
        rest = block.lstrip(b"\0")
        if rest:
            return offset + (len(block) - len(rest)) // PADDING * PADDING
        offset += len(block)
        length = 1 << 16
    return end
