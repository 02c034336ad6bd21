"""Layers with a table of contents: eStargz, and zstd:chunked. The files that matter, by range.

After github.com/containerd/stargz-snapshotter `docs/estargz.md`, and containers/storage
`pkg/chunked`. The manifest states the table's digest, and the table each file's: what is read is
held against these. The layer's own digest is not checked so, and a file that the table leaves out
is not seen.
"""

from __future__ import annotations

import hashlib
import re
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from sartor.artifact.image import OpenLayer
from sartor.artifact.inflate import gunzip, pieces, unzstd
from sartor.artifact.members import GZIP_MAGIC, ZSTD_MAGIC, matters, shown
from sartor.artifact.oci import check_digest
from sartor.artifact.source import Invalid, SliceSource
from sartor.artifact.tar import TarMember, TarReader
from sartor.remote.view import View

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sartor.artifact.oci import Descriptor
    from sartor.artifact.tar import TarKind
    from sartor.remote.file import RemoteFile

CHUNKED = ("io.github.containers.zstd-chunked", "io.containers.zstd-chunked")
STARGZ = "containerd.io/snapshot/stargz/toc.digest"
POSITION = re.compile(r"(\d{1,18}):(\d{1,18}):(\d{1,18}):1", re.ASCII)
FOOTER = 51
FOOTER_OFFSET = re.compile(rb"SG\x16\x00([0-9a-f]{16})STARGZ")
INDEX = "stargz.index.json"
MOST_TABLE = 128 << 20
"""Plain; 600 KB were seen for a layer of 60 MB, most of it chunks."""
MOST_STORED = 32 << 20
MOST_ENTRIES = 1 << 21
GAP = 256 << 10
"""Files that lie together are one request."""
KINDS: dict[str, TarKind] = {
    "reg": "file",
    "dir": "folder",
    "symlink": "symlink",
    "hardlink": "hardlink",
}


class Entry(msgspec.Struct, frozen=True, rename="camel"):
    """One line of a table: a member, or a further chunk of one."""

    type: str
    name: str
    size: int = 0
    offset: int = 0
    end_offset: int = 0
    inner_offset: int = 0
    link_name: str = ""
    digest: str = ""


class _Table(msgspec.Struct, frozen=True):
    entries: list[Entry]


class Place(NamedTuple):
    """Where a file's compressed bytes are, and what is in the way before its own."""

    start: int
    end: int
    before: int
    digest: str


class Toc(NamedTuple):
    """The members of a layer, in their order, and where the files among them are.

    A member's ``offset`` is its number.
    """

    members: list[TarMember]
    places: dict[int, Place]

    def needed(self) -> int:
        """Bytes of all files that matter, as they are stored."""
        return sum(p.end - p.start for n, p in self.places.items() if matters(self.members[n].path))


def read_toc(file: RemoteFile, descriptor: Descriptor) -> Toc | None:
    """The table of a layer; None where it has none, or one that does not hold together.

    Raises what `RemoteFile.stream` raises.
    """
    said = descriptor.annotations or {}
    try:
        for prefix in CHUNKED:
            position = POSITION.fullmatch(said.get(f"{prefix}.manifest-position", ""))
            if position is not None:
                start, stored, plain = (int(number) for number in position.groups())
                digest = said.get(f"{prefix}.manifest-checksum", "")
                return _toc(_zstd_table(file, start, stored, plain, digest), start)
        if STARGZ in said:
            data, start = _gzip_table(file, said[STARGZ])
            return _toc(data, start)
    except (Invalid, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return None


def _zstd_table(file: RemoteFile, start: int, stored: int, plain: int, digest: str) -> bytes:
    data = _fetched(file, start, start + stored)
    check_digest(data, digest)
    return _bounded(unzstd(iter([data]), file.name), min(plain, MOST_TABLE), file.name)


def _gzip_table(file: RemoteFile, digest: str) -> tuple[bytes, int]:
    footer = _fetched(file, file.size - FOOTER, file.size)
    match = FOOTER_OFFSET.search(footer)
    if match is None:
        raise Invalid(file.name, file.size - FOOTER, "no footer of an eStargz layer")
    start = int(match[1], 16)
    stored = _fetched(file, start, file.size - FOOTER)
    reader = TarReader(gunzip(iter([stored]), file.name), file.name)
    for member in reader.members():
        if member.path == INDEX:
            data = _bounded(reader.data(member), MOST_TABLE, file.name)
            check_digest(data, digest)
            return data, start
    raise Invalid(file.name, start, "no table of contents is there")


def _fetched(file: RemoteFile, start: int, end: int) -> bytes:
    if not 0 <= start < end <= file.size or end - start > MOST_STORED:
        raise Invalid(file.name, start, "no place of a table of contents")
    return b"".join(file.stream(start, end))


def _bounded(plain: Iterator[bytes], most: int, name: str) -> bytes:
    found = bytearray()
    for piece in plain:
        found += piece
        if len(found) > most:
            raise Invalid(name, 0, f"a table of contents of more than {most} bytes")
    return bytes(found)


def _toc(data: bytes, end: int) -> Toc:
    """The table; the files lie before ``end``, each up to the next one where it does not say."""
    entries = msgspec.json.decode(data, type=_Table).entries
    if len(entries) > MOST_ENTRIES:
        raise Invalid(INDEX, 0, f"{len(entries)} entries: more than is read")
    starts = sorted({entry.offset for entry in entries if entry.offset > 0} | {end})
    after = dict(pairwise(starts))
    last: dict[str, int] = {}
    for entry in entries:
        if entry.type in {"reg", "chunk"} and entry.offset > 0:
            last[entry.name] = after.get(entry.offset, end)
    members: list[TarMember] = []
    places: dict[int, Place] = {}
    for entry in entries:
        if entry.type == "chunk" or entry.name == INDEX:
            continue
        number = len(members)
        kind = KINDS.get(entry.type, "other")
        size = entry.size if kind == "file" else 0
        members.append(TarMember(entry.name, kind, size, entry.link_name, number))
        if size:
            stop = entry.end_offset or last.get(entry.name, 0)
            sound = size > 0 and entry.inner_offset >= 0 and entry.digest
            if not (sound and 0 < entry.offset < stop <= end):
                raise Invalid(INDEX, 0, f"no place of `{entry.name[:100]}` in the layer")
            places[number] = Place(entry.offset, stop, entry.inner_offset, entry.digest)
    return Toc(members, places)


def toc_layer(file: RemoteFile, toc: Toc) -> OpenLayer:
    """The layer, gone over by its table. A file of another digest raises `UntrustedBytesError`."""
    stretches = _stretches(toc)
    return OpenLayer(file.name, lambda: _TocPass(file, toc, stretches))


def _stretches(toc: Toc) -> dict[int, int]:
    """Where a request ends that begins at each file that matters: those that lie together."""
    wanted = sorted(p for n, p in toc.places.items() if matters(toc.members[n].path))
    ends: dict[int, int] = {}
    begin = end = 0
    for place in reversed(wanted):
        end = end if end and begin - place.end <= GAP else place.end
        begin = place.start
        ends[begin] = end
    return ends


class _TocPass:
    """One pass; see `sartor.artifact.image.LayerPass`."""

    def __init__(self, file: RemoteFile, toc: Toc, stretches: dict[int, int]) -> None:
        self._file = file
        self._toc = toc
        self._stretches = stretches
        self._view: View | None = None
        self._end = 0

    def members(self) -> Iterator[TarMember]:
        """Each member."""
        yield from self._toc.members
        self._leave()

    def data(self, member: TarMember) -> Iterator[bytes]:
        """The bytes of a file; raises `Invalid` where they cannot be decompressed."""
        place = self._toc.places.get(member.offset)
        if place is None:
            return
        digest = hashlib.sha256()
        left = member.size
        for piece in self._plain(place):
            part = piece[:left]
            digest.update(part)
            left -= len(part)
            yield part
            if not left:
                break
        if f"sha256:{digest.hexdigest()}" != place.digest:
            raise self._file.untrusted(
                f"`{shown(member.path)}` has another sha256 than the layer's table of contents says"
            )

    def skip(self, to: int) -> None:
        """Read one file alone from here on."""
        place = self._toc.places.get(to)
        self._stretches = {} if place is None else {place.start: place.end}

    def check(self) -> None:
        """Nothing is known of the layer as a whole."""

    def _plain(self, place: Place) -> Iterator[bytes]:
        if self._view is None or place.end > self._end:
            self._leave()
            self._end = max(self._stretches.get(place.start, 0), place.end)
            self._view = View(self._file, place.start, self._end)
        stored = SliceSource(self._view, place.start, place.end - place.start, self._file.name)
        magic = stored.read(0, min(4, stored.size))
        name = self._file.name
        if magic.startswith(GZIP_MAGIC):
            plain = gunzip(pieces(stored), name)
        elif magic == ZSTD_MAGIC:
            plain = unzstd(pieces(stored), name)
        else:
            plain = pieces(stored)
        before = place.before
        for piece in plain:
            if before < len(piece):
                yield piece[before:]
            before -= min(before, len(piece))

    def _leave(self) -> None:
        if self._view is not None:
            self._view.close()
            self._view = None
