"""Writing a ZIP archive out of another: members copied as they are compressed, others made anew.

What is kept of a member is all that its headers say: times, attributes, names, comments and extra
fields. Sizes and checksums stand in each member's own header, and the ZIP64 forms only where a
number needs them. After PKWARE's APPNOTE 6.3.10.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Protocol

import msgspec

from sartor.artifact.inflate import pieces
from sartor.artifact.source import Invalid
from sartor.artifact.zip import (
    DEFLATED,
    END,
    END_64,
    END_64_MAGIC,
    END_MAGIC,
    ENTRY,
    ENTRY_MAGIC,
    FULL_16,
    FULL_32,
    LOCAL,
    LOCAL_MAGIC,
    LOCATOR,
    LOCATOR_MAGIC,
    STORED,
    UTF_8,
    ZIP64_FIELD,
    ZipMember,
    ZipMembers,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sartor.artifact.source import Source

NEEDS_DEFLATE, NEEDS_ZIP64 = 20, 45
"""The version of the format that a reader must know, times ten."""
MADE_ON_UNIX = 3 << 8 | NEEDS_DEFLATE
REGULAR_FILE = 0o100644 << 16
KEPT_FLAGS = UTF_8 | 1 << 1 | 1 << 2
"""How a name is written, and what a method says of itself; no sizes that follow."""


class Sink(Protocol):
    """Where an archive is written: bytes at the end, and again over what was written."""

    size: int

    def write(self, data: bytes) -> None:
        """The next bytes."""

    def patch(self, offset: int, data: bytes) -> None:
        """Other bytes over those at ``offset``."""


class Entry(msgspec.Struct, frozen=True):
    """A member, with all that the directory says of it besides. ``extra`` is without ZIP64's."""

    member: ZipMember
    made_by: int
    needed: int
    time: int
    date: int
    internal: int
    external: int
    extra: bytes = b""
    comment: bytes = b""


def entries(source: Source, members: ZipMembers) -> list[Entry]:
    """The members in the order of their bytes; raises `Invalid`."""
    start = members.directory_at
    data, at, found = source.read(start, source.size - start), 0, []
    for member in members.members:
        if len(data) - at < ENTRY.size:
            raise Invalid(source.name, start + at, "the directory ends in the middle")
        fields = ENTRY.unpack_from(data, at)
        made_by, needed, _, _, time, date = fields[1:7]
        name, extra, comment, _, internal, external = fields[10:16]
        at += ENTRY.size + name
        found.append(
            Entry(
                member=member,
                made_by=made_by,
                needed=needed,
                time=time,
                date=date,
                internal=internal,
                external=external,
                extra=without_zip64(data[at : at + extra]),
                comment=data[at + extra : at + extra + comment],
            )
        )
        at += extra + comment
    return sorted(found, key=lambda entry: entry.member.offset)


def new_entry(name: str, like: Entry) -> Entry:
    """A text that was not there, with the times of ``like``."""
    raw = name.encode()
    flags = 0 if raw.isascii() else UTF_8
    member = ZipMember(
        name=name,
        raw_name=raw,
        method=DEFLATED,
        flags=flags,
        crc=0,
        compressed=0,
        size=0,
        offset=0,
        mode=REGULAR_FILE >> 16,
    )
    return Entry(member, MADE_ON_UNIX, NEEDS_DEFLATE, like.time, like.date, 0, REGULAR_FILE)


def without_zip64(extra: bytes) -> bytes:
    """The extra fields but for the one that holds large numbers; what is no field stays."""
    kept, at = b"", 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<HH", extra, at)
        if kind != ZIP64_FIELD:
            kept += extra[at : at + 4 + size]
        at += 4 + size
    return kept + extra[at:]


class Writer:
    """Writes members one after another, then the directory."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._written: list[tuple[Entry, bytes]] = []

    def copy(self, entry: Entry, source: Source, members: ZipMembers) -> None:
        """A member of another archive, its data as they are; raises `Invalid`."""
        start = members.data_at(entry.member)
        header = LOCAL.unpack(source.read(entry.member.offset, LOCAL.size))
        extra = without_zip64(source.read(start - header[-1], header[-1]))
        with_sizes = msgspec.structs.replace(
            entry.member, offset=self._sink.size, flags=entry.member.flags & KEPT_FLAGS
        )
        entry = msgspec.structs.replace(entry, member=with_sizes)
        self._sink.write(_local(entry, extra, wide=_is_wide(with_sizes)))
        for data in pieces(source, start, entry.member.compressed):
            self._sink.write(data)
        self._written.append((entry, extra))

    def add(
        self, entry: Entry, size: int, compressed: Iterable[bytes], crc: Callable[[], int]
    ) -> None:
        """A member of ``size`` bytes, deflated; ``crc`` gives their CRC-32 after the last piece."""
        at = self._sink.size
        flags = entry.member.flags & UTF_8
        wide = size >= FULL_32 >> 1  # what is deflated may be a little longer
        member = msgspec.structs.replace(
            entry.member, method=DEFLATED, flags=flags, size=size, offset=at
        )
        blank = msgspec.structs.replace(entry, member=member)
        self._sink.write(_local(blank, b"", wide=wide))
        start = self._sink.size
        for data in compressed:
            self._sink.write(data)
        member = msgspec.structs.replace(member, crc=crc(), compressed=self._sink.size - start)
        whole = msgspec.structs.replace(entry, member=member)
        self._sink.patch(at, _local(whole, b"", wide=wide))
        self._written.append((whole, b""))

    def finish(self) -> None:
        """The directory, and where it is."""
        start = self._sink.size
        for entry, _ in self._written:
            self._sink.write(_listed(entry))
        self._sink.write(_end(len(self._written), self._sink.size - start, start))


def _is_wide(member: ZipMember) -> bool:
    return max(member.size, member.compressed) >= FULL_32


def _needed(entry: Entry, *, wide: bool) -> int:
    """What a reader must know; of other methods than deflate, what the member's maker said."""
    own = NEEDS_DEFLATE if entry.member.method in {STORED, DEFLATED} else entry.needed
    return max(own, NEEDS_ZIP64) if wide else own


def _local(entry: Entry, extra: bytes, *, wide: bool) -> bytes:
    member = entry.member
    sizes = (FULL_32, FULL_32) if wide else (member.compressed, member.size)
    if wide:
        extra = struct.pack("<HHQQ", ZIP64_FIELD, 16, member.size, member.compressed) + extra
    fields = (member.flags, member.method, entry.time, entry.date, member.crc, *sizes)
    lengths = len(member.raw_name), len(extra)
    header = LOCAL.pack(LOCAL_MAGIC, _needed(entry, wide=wide), *fields, *lengths)
    return header + member.raw_name + extra


def _listed(entry: Entry) -> bytes:
    member = entry.member
    numbers = (member.size, member.compressed, member.offset)
    large = [number for number in numbers if number >= FULL_32]
    size, compressed, offset = (min(number, FULL_32) for number in numbers)
    extra = entry.extra
    if large:
        extra = struct.pack(f"<HH{len(large)}Q", ZIP64_FIELD, 8 * len(large), *large) + extra
    lengths = len(member.raw_name), len(extra), len(entry.comment), 0
    header = ENTRY.pack(
        ENTRY_MAGIC,
        entry.made_by,
        _needed(entry, wide=bool(large)),
        member.flags,
        member.method,
        entry.time,
        entry.date,
        member.crc,
        compressed,
        size,
        *lengths,
        entry.internal,
        entry.external,
        offset,
    )
    return header + member.raw_name + extra + entry.comment


def _end(count: int, size: int, start: int) -> bytes:
    wide = count >= FULL_16 or max(size, start) >= FULL_32
    narrow = min(count, FULL_16), min(size, FULL_32), min(start, FULL_32)
    end = END.pack(END_MAGIC, 0, 0, narrow[0], narrow[0], narrow[1], narrow[2], 0)
    if not wide:
        return end
    versions = NEEDS_ZIP64, NEEDS_ZIP64
    record = END_64.pack(END_64_MAGIC, END_64.size - 12, *versions, 0, 0, count, count, size, start)
    return record + LOCATOR.pack(LOCATOR_MAGIC, 0, start + size, 1) + end
