"""Tar archives, read once and forward: ustar, GNU long names, pax paths and sizes.

The standard library's reader follows pax records and long names of any length, and holds every
member that it has seen. Here nothing is held but the member at hand. Sparse files are named and
not read: container layers have none.
"""

from __future__ import annotations

import re
import struct
from posixpath import dirname, join, normpath
from typing import TYPE_CHECKING, Literal, NamedTuple

from sartor.artifact.source import Invalid, SliceSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sartor.artifact.source import Source

BLOCK = 512
HEADER = struct.Struct("100s8s8s8s12s12s8sc100s6s2s32s32s8s8s155s12x")
CHECKSUM = slice(148, 156)
MOST_EXTENDED = 1 << 20
"""A pax header or a GNU long name: paths of 4 KiB, and attributes of 64 KiB at most."""
MOST_EXTENSIONS = 16
"""Such headers before one member; two or three are usual."""
MOST_MEMBERS = 1 << 21
"""The largest images known have some 400,000 files."""
MOST_SPARSE = 1 << 12
MOST_INDEXED = 1 << 14
"""Of the tar around an image: some three for each layer, of which there may be 127."""
INDEX_STEP = 4 << 10

TarKind = Literal["file", "folder", "hardlink", "symlink", "sparse", "other"]
KINDS: dict[bytes, TarKind] = {
    b"0": "file",
    b"\0": "file",
    b"7": "file",
    b"1": "hardlink",
    b"2": "symlink",
    b"5": "folder",
    b"S": "sparse",
}
GNU_NAME, GNU_LINK, PAX, PAX_GLOBAL = b"L", b"K", b"x", b"g"
EXTENSIONS = (GNU_NAME, GNU_LINK, PAX, PAX_GLOBAL)


class TarMember(NamedTuple):
    """One member. ``offset`` is where its ``size`` bytes begin in the plain stream."""

    path: str
    kind: TarKind
    size: int
    link: str
    offset: int


class _Extended(NamedTuple):
    """What the headers before a member say in place of its own."""

    path: str | None = None
    link: str | None = None
    size: int | None = None
    sparse: bool = False

    def over(self, other: _Extended) -> _Extended:
        """These, and those of ``other`` that these do not say."""
        return _Extended(
            other.path if self.path is None else self.path,
            other.link if self.link is None else self.link,
            other.size if self.size is None else self.size,
            self.sparse or other.sparse,
        )


class TarReader:
    """Members in their order; between two steps the bytes of the one at hand can be had once.

    Raises `Invalid`, also where the stream ends without the block of zeros that ends an archive:
    a stream that was cut off between two members would else look whole.
    """

    def __init__(self, stream: Iterator[bytes], name: str) -> None:
        self._stream = stream
        self._name = name
        self._piece = b""
        self._at = 0
        self._member_end = 0
        self.offset = 0

    def members(self) -> Iterator[TarMember]:
        """Each member; what was not read of it is skipped at the next step."""
        everywhere = _Extended()
        for _ in range(MOST_MEMBERS):
            header = self._header()
            own, count = _Extended(), 0
            while header is not None and header[7] in EXTENSIONS:
                count += 1
                if count > MOST_EXTENSIONS:
                    raise Invalid(self._name, self.offset, "too many headers before one member")
                if header[7] == PAX_GLOBAL:
                    everywhere = self._extend(everywhere, header)
                else:
                    own = self._extend(own, header)
                header = self._header()
            if header is None:
                return
            yield self._member(header, own.over(everywhere))
        raise Invalid(self._name, self.offset, f"more than {MOST_MEMBERS} members")

    def data(self, member: TarMember) -> Iterator[bytes]:
        """The bytes of the member at hand, in pieces; raises `Invalid` where they are cut off."""
        end = member.offset + member.size
        while self.offset < end:
            yield self._some(end - self.offset)

    def skip(self, to: int) -> None:
        """Go on to an offset of the stream."""
        while self.offset < to:
            self._some(to - self.offset)

    def _header(self) -> tuple[bytes, ...] | None:
        """The fields of the next header; None at the end of the archive."""
        self.skip(self._member_end)
        block = self._exactly(BLOCK)
        if not any(block):
            return None
        fields: tuple[bytes, ...] = HEADER.unpack(block)
        plain = block[: CHECKSUM.start] + b" " * 8 + block[CHECKSUM.stop :]
        noted = self._number(fields[6])
        if noted != sum(plain) and noted != sum(struct.unpack(f"{BLOCK}b", plain)):
            raise Invalid(self._name, self.offset - BLOCK, "no tar member begins here")
        self._member_end = self.offset
        return fields

    def _member(self, header: tuple[bytes, ...], extended: _Extended) -> TarMember:
        kind = KINDS.get(header[7], "other")
        size = self._number(header[4]) if extended.size is None else extended.size
        path, prefix = _text(header[0]), _text(header[15]) if header[9] == b"ustar\0" else ""
        path = f"{prefix}/{path}" if prefix else path
        path = path if extended.path is None else extended.path
        if kind == "file" and path.endswith("/"):  # as tar did before it knew folders
            kind = "folder"
        if kind == "sparse":
            self._skip_sparse_table(header)
        if kind in ("hardlink", "symlink", "folder"):
            size = 0
        self._member_end = self._after(size)
        link = extended.link if extended.link is not None else _text(header[8])
        return TarMember(path, "sparse" if extended.sparse else kind, size, link, self.offset)

    def _extend(self, extended: _Extended, header: tuple[bytes, ...]) -> _Extended:
        size = self._number(header[4])
        if size > MOST_EXTENDED:
            raise Invalid(self._name, self.offset, f"an extended header of {size} bytes")
        at = self.offset
        self._member_end = self._after(size)
        data = self._exactly(size)
        if header[7] == GNU_NAME:
            return extended._replace(path=_text(data))
        if header[7] == GNU_LINK:
            return extended._replace(link=_text(data))
        for key, value in _pax_records(data, self._name, at):
            if key == b"path":
                extended = extended._replace(path=_text(value))
            elif key == b"linkpath":
                extended = extended._replace(link=_text(value))
            elif key == b"size":
                extended = extended._replace(size=_decimal(value, self._name, at))
            elif key.startswith(b"GNU.sparse."):
                extended = extended._replace(sparse=True)
        return extended

    def _skip_sparse_table(self, header: tuple[bytes, ...]) -> None:
        """An old GNU sparse member may have blocks of its table before its data."""
        more = header[15][137:138] != b"\0"  # byte 482 of the header
        for _ in range(MOST_SPARSE):
            if not more:
                return
            more = self._exactly(BLOCK)[504:505] != b"\0"
        raise Invalid(self._name, self.offset, "the table of a sparse member does not end")

    def _after(self, size: int) -> int:
        return self.offset + -(-size // BLOCK) * BLOCK

    def _number(self, field: bytes) -> int:
        """An octal number, or a binary one where the first bit is set."""
        if field[0] & 0x80:
            number = int.from_bytes(field, "big") & ((1 << (8 * len(field) - 1)) - 1)
        else:
            digits = field.split(b"\0")[0].strip()
            if not re.fullmatch(rb"[0-7]*", digits):
                raise Invalid(self._name, self.offset - BLOCK, f"{digits!r} is no octal number")
            number = int(digits or b"0", 8)
        if number >> 62:
            raise Invalid(self._name, self.offset - BLOCK, "a size below zero, or beyond all files")
        return number

    def _some(self, most: int) -> bytes:
        """The next bytes, at least one and at most so many."""
        while self._at == len(self._piece):
            piece = next(self._stream, None)
            if piece is None:
                raise Invalid(self._name, self.offset, "the archive is cut off here")
            self._piece, self._at = piece, 0
        end = min(self._at + most, len(self._piece))
        whole = self._at == 0 and end == len(self._piece)
        data = self._piece if whole else self._piece[self._at : end]
        self._at = end
        self.offset += len(data)
        return data

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += self._some(size - len(data))
        return data


class _SourceReader(TarReader):
    """Over a source, where skipping costs nothing."""

    def __init__(self, source: Source) -> None:
        super().__init__(_blocks(source, 0), source.name)
        self._source = source

    def skip(self, to: int) -> None:
        """Go on to an offset of the source."""
        if to > self.offset:
            self.offset, self._piece, self._at = to, b"", 0
            self._stream = _blocks(self._source, to)


def _blocks(source: Source, start: int) -> Iterator[bytes]:
    for at in range(start, source.size, INDEX_STEP):
        yield source.read(at, min(INDEX_STEP, source.size - at))


def tar_files(source: Source) -> dict[str, Source]:
    """The regular files of a plain tar, by path, each a piece of it; links lead to theirs.

    For the tar around an image, which has few members, each of which may be large. The first of
    two with one path counts. Raises `Invalid`.
    """
    found: dict[str, Source] = {}
    links: dict[str, str] = {}
    for count, member in enumerate(_SourceReader(source).members()):
        if count == MOST_INDEXED:
            raise Invalid(source.name, member.offset, f"more than {MOST_INDEXED} members")
        path = normpath(member.path)
        if path in found or path in links:
            continue
        if member.kind == "file":
            found[path] = SliceSource(source, member.offset, member.size, path)
        elif member.kind == "symlink":
            links[path] = normpath(join(dirname(path), member.link))
        elif member.kind == "hardlink":
            links[path] = normpath(member.link)
    return found | {path: found[to] for path, to in links.items() if to in found}


def _pax_records(data: bytes, name: str, at: int) -> Iterator[tuple[bytes, bytes]]:
    """The ``length key=value`` records of a pax header."""
    position = 0
    while position < len(data) and data[position]:
        head = re.match(rb"(\d{1,10}) ", data[position : position + 12])
        end = position + int(head[1]) if head else 0
        if head is None or end > len(data) or end <= position + len(head[0]):
            raise Invalid(name, at + position, "no pax record begins here")
        key, equals, value = data[position + len(head[0]) : end - 1].partition(b"=")
        if not equals or data[end - 1 : end] != b"\n":
            raise Invalid(name, at + position, "a pax record without `=`, or without its end")
        yield key, value
        position = end


def _text(field: bytes) -> str:
    return field.split(b"\0")[0].decode("utf-8", "surrogateescape")


def _decimal(value: bytes, name: str, at: int) -> int:
    if not re.fullmatch(rb"\d{1,18}", value):
        raise Invalid(name, at, f"a pax size of {value[:20]!r}")
    return int(value)
