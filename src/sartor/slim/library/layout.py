"""A library's new layout: which bytes go where, computed before any is written.

Containers are packed. Of the gap that this leaves, whole pages are cut out of the file: what lies
behind it moves down in the file, and stays where it is in memory. The segment that held the gap
becomes two, with unmapped memory between them.

New code may need more than was there. Where the region ends its segment it may grow up to the next
one in memory, and what lies behind it moves up in the file; else what is new must fit where the old
was, and PTX whose machine code does not stays (`sartor.slim.library.fitted`).

What `Planned` says is the same however a library got there: for fewer GPUs, the layout of an
already reduced library is that of the whole one.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from sartor.artifact.elf import SEGMENT, Elf
from sartor.artifact.source import Source
from sartor.slim.library.headers import (
    EXECUTABLE_CODE,
    EXECUTABLE_SEGMENT,
    LOAD,
    PROGRAM_HEADERS,
    Headers,
    NotUnderstood,
    ProgramHeader,
    packed_sections,
    packed_segments,
    read_headers,
)
from sartor.slim.library.holder import after_region, holder_of, page_of
from sartor.slim.library.pieces import Copied, Edit, Made, Piece, PiecesSource, edited, on_top
from sartor.slim.library.references import Relative, pointer_edits, symbol_edits
from sartor.slim.library.regions import Packed, Region, pack, same_region, with_all
from sartor.slim.library.room import BLOCK_ALIGNMENT, NO_BLOCK, Block, block_to_move, dynamic_edits

if TYPE_CHECKING:
    from sartor.slim.library.headers import SectionHeader


class Planned(msgspec.Struct, frozen=True):
    """What a library becomes.

    ``regions`` are its sections of device code, with what stays of each, and ``pieces`` the new
    file: None where nothing is changed. ``small`` says that something would go, if it were more.
    """

    regions: list[Region]
    pieces: list[Piece] | None = None
    small: bool = False


class TooLarge(Exception):  # noqa: N818 - for `sartor.slim.library.fitted`, which leaves something out
    """What a region becomes is larger than its place, by so many bytes."""

    def __init__(self, by: int) -> None:
        super().__init__(by)
        self.by = by


def plan_layout(source: Source, regions: list[Region]) -> Planned:
    """The plan for one library; touches nothing. Raises `Invalid`, `NotUnderstood`, `TooLarge`.

    One section after another is made smaller; the second as it stands in what the first gave.
    Relocatable code is not touched before the linked code was: the room for program headers would
    be taken in another order.
    """
    planned: list[Piece] | None = None
    done: list[Region] = []
    for region in regions:
        below = source if planned is None else PiecesSource(planned, source)
        may = region is regions[0] or _ends_its_segment(below, regions[0])
        pieces = _smaller(below, region) if region.changes and may else None
        if pieces is not None:
            planned = on_top(pieces, below) if isinstance(below, PiecesSource) else pieces
        done.append(with_all(region) if pieces is None else region)
    small = planned is None and any(region.changes for region in regions)
    return Planned(done, planned, small)


def _ends_its_segment(source: Source, region: Region) -> bool:
    """Whether nothing is loaded behind a region with it: then it needs no program header."""
    headers = read_headers(source, Elf(source))
    now = same_region(source, headers, region)
    return holder_of(headers, now).end == now.end


def _smaller(source: Source, region: Region) -> list[Piece] | None:
    """A file with one of its regions packed; None where less than a page would go, unless there is
    compiled code in it."""
    elf = Elf(source)
    headers = read_headers(source, elf)
    region = same_region(source, headers, region)
    layout = _laid_out(source, elf, headers, region)
    if layout.is_whole:
        if layout.cut <= 0 and not region.has_compiled:
            return None
        if layout.cut <= 0:
            layout = _in_place(source, elf, headers, region)
    try:
        return layout.pieces()
    except (ValueError, struct.error) as fault:  # edits of one place, or a field that overflows
        raise NotUnderstood(f"its tables are at odds with one another: {fault}") from fault


def _in_place(source: Source, elf: Elf, headers: Headers, region: Region) -> Layout:
    """What is new where the old was, with zeros behind it: no segment is cut."""
    start = region.start + -region.address % region.alignment
    packed = pack(region, region.address + start - region.start)
    room = region.end - start
    if packed.size > room:
        raise TooLarge(packed.size - room)
    filled = Packed(
        [*packed.pieces, Made(bytes(room - packed.size))], room, packed.places, packed.old_sizes
    )
    return Layout(
        source=source,
        elf=elf,
        headers=headers,
        region=region,
        relative=Relative(source, elf),
        block=NO_BLOCK,
        packed=filled,
        holder=holder_of(headers, region),
        block_at=region.start,
        packed_at=start,
        tail=region.end,
        cut=0,
    )


def _laid_out(source: Source, elf: Elf, headers: Headers, region: Region) -> Layout:
    holder = holder_of(headers, region)
    page = page_of(headers)
    relative = Relative(source, elf)
    block, block_at, start = NO_BLOCK, region.start, region.start
    if region.end < holder.end:
        block = block_to_move(headers, elf, relative.values(), 1)
    if block.size:
        first = headers.sections[block.sections[0]]
        block_at += -(region.address - first.address) % BLOCK_ALIGNMENT
        block_at += (block.start - first.offset) % BLOCK_ALIGNMENT
        start = block_at + block.size
    by = region.address - region.start
    packed_at = start + -(start + by) % region.alignment
    packed = pack(region, packed_at + by)
    tail = after_region(source, headers, region, holder)
    cut = (tail - packed_at - packed.size) // page * page
    if region.end == holder.end:
        _check_room(headers, holder, packed_at + by + packed.size, page)
    return Layout(
        source=source,
        elf=elf,
        headers=headers,
        region=region,
        relative=relative,
        block=block,
        packed=packed,
        holder=holder,
        block_at=block_at,
        packed_at=packed_at,
        tail=tail,
        cut=cut,
    )


def _check_room(headers: Headers, holder: ProgramHeader, end: int, page: int) -> None:
    """Whether a segment may go on up to the address ``end``; raises `TooLarge`."""
    behind = [s.address for s in headers.segments if s.type == LOAD and s.address > holder.address]
    most = min(behind, default=1 << 62) // page * page
    if end > most:
        raise TooLarge(end - most)


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """One library's old and new layout.

    ``holder`` is the segment that has the region. ``block_at`` and ``packed_at`` are where the
    block and the packed containers go in the file; ``cut`` is by how much what is behind them,
    from ``tail`` on, moves down.
    """

    source: Source
    elf: Elf
    headers: Headers
    region: Region
    relative: Relative
    block: Block
    packed: Packed
    holder: ProgramHeader
    block_at: int
    packed_at: int
    tail: int
    cut: int

    @property
    def is_whole(self) -> bool:
        """Whether more is loaded behind the region with it."""
        return self.holder.end > self.region.end

    @property
    def packed_end(self) -> int:
        """The first byte behind the packed containers."""
        return self.packed_at + self.packed.size

    @property
    def by(self) -> int:
        """What the offset of a byte of the region's segment lacks to its address."""
        return self.holder.address - self.holder.offset

    @property
    def block_by(self) -> int:
        """By how much the block is higher in memory than it was."""
        if not self.block.sections:
            return 0
        first = self.headers.sections[self.block.sections[0]]
        return self.block_at + first.offset - self.block.start + self.by - first.address

    def after(self, offset: int) -> int:
        """Where the byte stands that was at ``offset``, outside the region and the block."""
        return offset - self.cut if offset >= self.tail else offset

    def order(self) -> list[int]:
        """The sections as they become, by their old numbers: in the order of their offsets.

        `patchelf` looks for what stands behind the program headers in that order alone.
        """
        block, region = self.block.sections, self.region.index
        rest = [i for i in range(len(self.headers.sections)) if i not in block]
        at = rest.index(region)
        return [*rest[:at], *block, *rest[at:]]

    def pieces(self) -> list[Piece]:
        """The new file."""
        source, region, block = self.source, self.region, self.block
        moved = self.source.read(block.start, block.size)
        head = bytes(self.block_at - region.start) + moved
        head += bytes(self.packed_at - region.start - len(head))
        gap = bytes(self.tail - self.cut - self.packed_end)
        tail = Copied(self.tail, source.size - self.tail)
        base = [Copied(0, region.start), Made(head), *self.packed.pieces, Made(gap), tail]
        return edited(base, self._edits())

    def _edits(self) -> list[Edit]:
        headers, block = self.headers, self.block
        segments = [new for old in headers.segments for new in self._segments(old)]
        segments = [self._table(segment, len(segments)) for segment in segments]
        table = packed_segments(segments)
        room = max(block.end - headers.segments_at, 0)
        shift = dict.fromkeys(block.sections, self.block_by)
        args = self.source, headers, self.region, self.packed
        order = self.order()
        numbers = sorted(range(len(order)), key=order.__getitem__)
        sections_at = self.after(headers.sections_at)
        edits = [
            Edit(0, headers.header(len(segments), sections_at, numbers)),
            Edit(headers.segments_at, table + bytes(max(room - len(table), 0))),
            Edit(headers.sections_at, packed_sections(self._sections(order, numbers))),
            *pointer_edits(self.source, self.elf, *args[1:], self.relative),
            *symbol_edits(*args, shift, numbers),
        ]
        if block.size:
            edits += dynamic_edits(headers, self.elf, block, self.block_by)
        return edits

    def _segments(self, old: ProgramHeader) -> list[ProgramHeader]:
        region, block = self.region, self.block
        if old is self.holder:
            head = self._fewer_rights(old.part(old.offset, self.packed_end), old)
            if region.end == old.end:
                return [head]
            if not self.cut:
                return [old]
            tail = self._fewer_rights(old.part(region.end, old.end), old)
            return [head, replace(tail, offset=self.after(tail.offset))]
        if old.type != LOAD and old.file_size and block.start <= old.offset < block.end:
            at = old.offset - block.start + self.block_at
            by = self.block_by
            return [replace(old, offset=at, address=old.address + by, physical=old.physical + by)]
        return [replace(old, offset=self.after(old.offset))]

    def _fewer_rights(self, part: ProgramHeader, old: ProgramHeader) -> ProgramHeader:
        """A part of a segment; not executable where none of the sections there is."""
        code = (s for s in self.headers.sections if s.flags & EXECUTABLE_CODE and s.size)
        if any(max(s.offset, part.offset) < min(s.end, part.end, old.end) for s in code):
            return part
        return replace(part, flags=part.flags & ~EXECUTABLE_SEGMENT)

    @staticmethod
    def _table(segment: ProgramHeader, count: int) -> ProgramHeader:
        if segment.type != PROGRAM_HEADERS:
            return segment
        return replace(segment, file_size=count * SEGMENT.size, memory_size=count * SEGMENT.size)

    def _sections(self, order: list[int], numbers: list[int]) -> list[SectionHeader]:
        found = []
        for i in order:
            old = self.headers.sections[i]
            if i == self.region.index:
                at = self.packed_at
                new = replace(old, offset=at, address=at + self.by, size=self.packed.size)
            elif i in self.block.sections:
                at = old.offset - self.block.start + self.block_at
                new = replace(old, offset=at, address=old.address + self.block_by)
            else:
                new = replace(old, offset=self.after(old.offset))
            found.append(new.renumbered(numbers))
        return found
