"""ZIP archives, by their directory: bounded, strict, over any source.

The standard library's reader holds whatever a directory claims, and takes the word of each member's
size. Here the directory is bounded, each member's own header must agree with it, and no two
members may share bytes. After PKWARE's APPNOTE 6.3.10, of which wheels use stored and deflated.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import msgspec

from sartor.artifact.inflate import inflate, pieces
from sartor.artifact.members import MOST_PLAIN, most_bytes, path_fault, shown
from sartor.artifact.model import NotRead
from sartor.artifact.source import Invalid, SliceSource
from sartor.artifact.stream import StreamedSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sartor.artifact.source import Source
    from sartor.artifact.stream import Digest

END = struct.Struct("<4s4H2LH")
END_MAGIC = b"PK\5\6"
LOCATOR = struct.Struct("<4sLQL")
LOCATOR_MAGIC = b"PK\6\7"
END_64 = struct.Struct("<4sQ2H2L4Q")
END_64_MAGIC = b"PK\6\6"
ENTRY = struct.Struct("<4s6H3L5H2L")
ENTRY_MAGIC = b"PK\1\2"
LOCAL = struct.Struct("<4s5H3L2H")
LOCAL_MAGIC = b"PK\3\4"

MOST_COMMENT = 0xFFFF
MOST_MEMBERS = 1 << 17
MOST_DIRECTORY = 64 << 20
"""Wheels have up to some 15,000 members; the two bounds keep a directory under 100 MB of memory."""

STORED, DEFLATED = 0, 8
METHODS = {1: "shrink", 9: "deflate64", 12: "bzip2", 14: "lzma", 93: "zstd", 95: "xz", 99: "AES"}
ENCRYPTED, SIZES_FOLLOW, UTF_8, MASKED = 1 << 0, 1 << 3, 1 << 11, 1 << 13
ZIP64_FIELD = 1
FULL_16, FULL_32 = 0xFFFF, 0xFFFFFFFF
"""In place of a number that stands in the ZIP64 field."""
SYMLINK, TYPE_MASK = 0o120000, 0o170000


class ZipMember(msgspec.Struct, frozen=True, gc=False):
    """One member as the directory has it. ``offset`` is of its local header, in the file."""

    name: str
    raw_name: bytes
    method: int
    flags: int
    crc: int
    compressed: int
    size: int
    offset: int
    mode: int

    @property
    def least_end(self) -> int:
        """The member's bytes reach at least up to here."""
        return self.offset + LOCAL.size + len(self.raw_name) + self.compressed


class _End(msgspec.Struct, frozen=True):
    """Where the directory is. ``shift`` is what was put before the archive."""

    start: int
    size: int
    count: int
    shift: int


class ZipMembers:
    """The members of a ZIP archive. Raises `Invalid` where there is no directory to trust."""

    def __init__(self, source: Source, close: Callable[[], None] = lambda: None) -> None:
        self.not_read: list[NotRead] = []
        self.close = close
        self._source = source
        self.directory_at, self.members = read_directory(source)
        self._ends = _check_overlaps(self.members, self.directory_at, source.name)
        self._twice = _twice(self.members)
        self._plain_left = MOST_PLAIN
        self._starts: dict[int, int] = {}

    def names(self) -> list[str]:
        """The names of all files, in the directory's order."""
        return [m.name for m in self.members if not m.name.endswith("/")]

    def walk(self, wanted: Callable[[str], bool]) -> Iterator[tuple[str, Source]]:
        """Each wanted file in the order of the archive's bytes."""
        for member in self.chosen(wanted):
            try:
                source = self.member_source(member)
            except Invalid as fault:
                self.not_read.append(NotRead(member.name, fault.reason, fault.offset))
                continue
            yield member.name, source

    def chosen(self, wanted: Callable[[str], bool]) -> Iterator[ZipMember]:
        """Each wanted file that may be read, by the directory, in the order of the bytes."""
        for member in sorted(self.members, key=lambda m: m.offset):
            if member.name.endswith("/") or not wanted(member.name):
                continue
            why = self.fault(member)
            if why:
                self.not_read.append(NotRead(shown(member.name), why, member.offset))
                continue
            self._plain_left -= member.size
            yield member

    def fault(self, member: ZipMember) -> str | None:
        """Why the member is not read, by what the directory says of it."""
        return next(self._faults(member), None)

    def _faults(self, member: ZipMember) -> Iterator[str]:
        if why := path_fault(member.name):
            yield why
        if member.name in self._twice:
            yield "several members have this name: which one is meant?"
        if member.flags & (ENCRYPTED | MASKED):
            yield "it is encrypted"
        if member.mode & TYPE_MASK == SYMLINK:
            yield "it is a symbolic link"
        if member.method not in (STORED, DEFLATED):
            method = METHODS.get(member.method, str(member.method))
            yield f"it is compressed with a method that wheels do not use ({method})"
        if member.method == STORED and member.size != member.compressed:
            yield f"it is stored, and has two sizes: {member.compressed} and {member.size}"
        if member.size > most_bytes(member.name):
            yield f"it would be {member.size} bytes, more than is read of such a file"
        if member.size > self._plain_left:
            yield f"the files of one archive may have {MOST_PLAIN} bytes together"

    def data_at(self, member: ZipMember) -> int:
        """Where a member's data begin; raises `Invalid` where its header is not as listed."""
        start = self._starts.get(member.offset)
        if start is None:
            start = _data_start(self._source, member, self._ends[member.offset])
            self._starts[member.offset] = start
        return start

    def end_of(self, member: ZipMember) -> int:
        """Where what follows a member begins."""
        return self._ends[member.offset]

    def streamed(
        self, member: ZipMember, through: Source, digest: Digest | None = None
    ) -> StreamedSource:
        """The member's bytes as a stream, read ``through`` another view of the archive.

        Its CRC-32 is checked, stored or not, and ``digest`` is fed with its bytes. Raises
        `Invalid` where its header is not as the directory says.
        """
        start = _data_start(through, member, self._ends[member.offset])

        def plain() -> Iterator[bytes]:
            compressed = pieces(through, start, member.compressed)
            return compressed if member.method == STORED else inflate(compressed, member.name)

        return StreamedSource(plain, member.size, member.name, member.crc, digest)

    def member_source(self, member: ZipMember) -> Source:
        """The member's bytes; raises `Invalid` where its header is not as the directory says."""
        start = _data_start(self._source, member, self._ends[member.offset])
        if member.method == STORED:
            return SliceSource(self._source, start, member.size, member.name)

        def plain() -> Iterator[bytes]:
            return inflate(pieces(self._source, start, member.compressed), member.name)

        return StreamedSource(plain, member.size, member.name, member.crc)


def read_directory(source: Source) -> tuple[int, list[ZipMember]]:
    """Where the directory begins, and its members in its order; raises `Invalid`."""
    end = _find_end(source)
    if end.count > MOST_MEMBERS or end.size > MOST_DIRECTORY:
        reason = f"the directory claims {end.count} members in {end.size} bytes: more than is read"
        raise Invalid(source.name, end.start, reason)
    data = source.read(end.start, end.size)
    members: list[ZipMember] = []
    at = 0
    while at < len(data):
        if len(members) == end.count:
            raise Invalid(source.name, end.start + at, f"more than {end.count} members are listed")
        member, at = _read_entry(data, at, end, source.name)
        members.append(member)
    if len(members) != end.count:
        reason = f"{len(members)} members are listed of {end.count}"
        raise Invalid(source.name, end.start + at, reason)
    return end.start, members


def _find_end(source: Source) -> _End:
    """The end record; the last one whose comment reaches the end of the file."""
    start = max(source.size - END.size - MOST_COMMENT, 0)
    tail = source.read(start, source.size - start)
    at = tail.rfind(END_MAGIC)
    while at >= 0:
        if at + END.size <= len(tail):
            fields = END.unpack_from(tail, at)
            if at + END.size + fields[-1] == len(tail):
                return _read_end(source, start + at, fields)
        at = tail.rfind(END_MAGIC, 0, at + len(END_MAGIC) - 1)
    raise Invalid(source.name, source.size, "no ZIP archive ends here: cut off, or not a ZIP")


def _read_end(
    source: Source, at: int, fields: tuple[bytes, int, int, int, int, int, int, int]
) -> _End:
    _, disk, first_disk, here, count, size, start, _ = fields
    record_at = at
    locator_at = at - LOCATOR.size
    if locator_at >= 0 and source.read(locator_at, 4) == LOCATOR_MAGIC:
        record_at, disk, first_disk, here, count, size, start = _read_end_64(source, locator_at)
    if disk or first_disk or here != count:
        raise Invalid(source.name, at, "the archive is one part of several")
    begin = record_at - size
    if begin < 0 or start > begin:
        reason = f"a directory of {size} bytes at {start:#x} is claimed: it is not in the file"
        raise Invalid(source.name, at, reason)
    return _End(begin, size, count, begin - start)


def _read_end_64(source: Source, locator_at: int) -> tuple[int, int, int, int, int, int, int]:
    """Where the ZIP64 end record is, and its numbers from the disk on."""
    _, _, stated, _ = LOCATOR.unpack(source.read(locator_at, LOCATOR.size))
    for at in (locator_at - END_64.size, stated):
        if 0 <= at <= locator_at - END_64.size and source.read(at, 4) == END_64_MAGIC:
            break
    else:
        raise Invalid(source.name, locator_at, "the ZIP64 end record is not where it should be")
    fields = END_64.unpack(source.read(at, END_64.size))
    if at + 12 + fields[1] != locator_at:
        raise Invalid(source.name, at, f"the ZIP64 end record claims {fields[1]} bytes")
    _, _, _, _, disk, first_disk, here, count, size, start = fields
    return at, disk, first_disk, here, count, size, start


def _read_entry(data: bytes, at: int, end: _End, name: str) -> tuple[ZipMember, int]:
    """The directory's entry at ``at``, and where the next one begins."""
    if len(data) - at < ENTRY.size or not data.startswith(ENTRY_MAGIC, at):
        raise Invalid(name, end.start + at, "no member of the directory begins here")
    fields = ENTRY.unpack_from(data, at)
    flags, method, crc, compressed, size = fields[3], fields[4], *fields[7:10]
    name_length, extra_length, comment_length, disk = fields[10:14]
    mode, offset = fields[15] >> 16, fields[16]
    name_at = at + ENTRY.size
    extra_at = name_at + name_length
    after = extra_at + extra_length + comment_length
    if after > len(data):
        raise Invalid(name, end.start + at, "a member's name reaches out of the directory")
    raw = data[name_at:extra_at]
    extra = data[extra_at : extra_at + extra_length]
    size, compressed, offset, disk = _wide(
        extra, (size, compressed, offset, disk), name, end.start + extra_at
    )
    if disk or offset + end.shift >= end.start:
        reason = f"member `{shown(_decode(raw, flags))}` is claimed to be at {offset:#x}"
        raise Invalid(name, end.start + at, f"{reason}: that is not before the directory")
    member = ZipMember(
        name=_decode(raw, flags),
        raw_name=raw,
        method=method,
        flags=flags,
        crc=crc,
        compressed=compressed,
        size=size,
        offset=offset + end.shift,
        mode=mode,
    )
    return member, after


def _wide(
    extra: bytes, values: tuple[int, int, int, int], name: str, at: int
) -> tuple[int, int, int, int]:
    """Size, compressed size, offset and disk, those that are full taken from the ZIP64 field."""
    size, compressed, offset, disk = values
    full = (size == FULL_32, compressed == FULL_32, offset == FULL_32, disk == FULL_16)
    if not any(full):
        return values
    field = _zip64_field(extra)
    numbers, used = [], 0
    for value, is_full, form in zip(values, full, "QQQL", strict=True):
        if not is_full:
            numbers.append(value)
            continue
        width = struct.calcsize(f"<{form}")
        if field is None or used + width > len(field):
            raise Invalid(name, at, "a member's sizes stand in a ZIP64 field that is not there")
        numbers += struct.unpack_from(f"<{form}", field, used)
        used += width
    return numbers[0], numbers[1], numbers[2], numbers[3]


def _zip64_field(extra: bytes) -> bytes | None:
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == ZIP64_FIELD and at + 4 + length <= len(extra):
            return extra[at + 4 : at + 4 + length]
        at += 4 + length
    return None


def _decode(raw: bytes, flags: int) -> str:
    """The name as text; bytes that are not what they should be show as escapes, and are refused."""
    if not flags & UTF_8:
        return raw.decode("cp437")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("utf-8", "surrogateescape")


def _check_overlaps(members: list[ZipMember], directory: int, name: str) -> dict[int, int]:
    """Where each member must have ended, by its offset; raises `Invalid` where two share bytes."""
    ordered = sorted(members, key=lambda m: m.offset)
    ends: dict[int, int] = {}
    for index, member in enumerate(ordered):
        end = ordered[index + 1].offset if index + 1 < len(ordered) else directory
        if member.least_end > end:
            reason = f"member `{shown(member.name)}` claims bytes of what follows it"
            raise Invalid(name, member.offset, reason)
        ends[member.offset] = end
    return ends


def _twice(members: list[ZipMember]) -> set[str]:
    seen: set[str] = set()
    twice: set[str] = set()
    for member in members:
        (twice if member.name in seen else seen).add(member.name)
    return twice


def _data_start(source: Source, member: ZipMember, end: int) -> int:
    """Where the member's data begin, its local header having been compared with the directory."""
    at = member.offset
    if end - at < LOCAL.size:
        raise Invalid(source.name, at, "too short for the header of a member")
    fields = LOCAL.unpack(source.read(at, LOCAL.size))
    magic, _, flags, method, _, _, crc, compressed, size, name_length, extra_length = fields
    if magic != LOCAL_MAGIC:
        raise Invalid(source.name, at, "no member begins here")
    start: int = at + LOCAL.size + name_length + extra_length
    if start + member.compressed > end:
        raise Invalid(source.name, at, "the member reaches into what follows it")
    rest = source.read(at + LOCAL.size, name_length + extra_length)
    if rest[:name_length] != member.raw_name:
        raise Invalid(source.name, at, "its own header has another name than the directory")
    if (method, flags & (ENCRYPTED | MASKED)) != (member.method, 0):
        raise Invalid(source.name, at, "its own header has another method than the directory")
    if not flags & SIZES_FOLLOW:
        size, compressed, _, _ = _wide(
            rest[name_length:], (size, compressed, 0, 0), source.name, at
        )
        if (crc, compressed, size) != (member.crc, member.compressed, member.size):
            raise Invalid(source.name, at, "its own header has other sizes than the directory")
    return start
