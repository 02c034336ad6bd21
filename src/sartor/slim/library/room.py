"""Room for one more program header: behind the others, or where notes and hash tables stood.

Linkers leave none. The table stays where it is, behind the file's header, as GNU's binutils write
it there whatever the file says. What stands behind it is moved as one block to where device code
was: notes and a program's interpreter, which a program header points to, and hash tables, which
the dynamic section points to.
`docs/decisions/0025-room-for-a-program-header.md` says why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sartor.artifact.elf import DYNAMIC, SEGMENT, SegmentType, Tag
from sartor.slim.library.headers import (
    INTERPRETER,
    LOAD,
    NOBITS,
    NOTE,
    PROGRAM_HEADERS,
    NotUnderstood,
)
from sartor.slim.library.pieces import Edit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sartor.artifact.elf import Elf
    from sartor.slim.library.headers import Headers, ProgramHeader

INTERPRETER_SECTION = ".interp"
SECTION_NOTE, SECTION_HASH, SECTION_GNU_HASH = 7, 5, 0x6FFFFFF6
MOVABLE = {SECTION_NOTE: None, SECTION_HASH: Tag.HASH, SECTION_GNU_HASH: Tag.GNU_HASH}
"""By the kind of section, the tag that says where it is."""
GNU_PROPERTY = 0x6474E553
MOVABLE_SEGMENTS = {NOTE, INTERPRETER, GNU_PROPERTY}
BLOCK_ALIGNMENT = 64
MOST_BLOCK = 16 << 20
ADDRESS_TAGS = frozenset({3, 4, 5, 6, 7, 12, 13, 17, 23, 25, 26, 32, 36}) | frozenset(
    {*range(0x6FFFFE00, 0x6FFFFF00), Tag.VERSYM, 0x6FFFFFFC, Tag.VERNEED}
)
"""Tags whose value is an address: ``elf.h``'s, and the whole range ``DT_ADDRRNG``."""


class Block(msgspec.Struct, frozen=True):
    """The bytes of the file that make room: ``start`` to ``end``, and what stands in them."""

    start: int
    end: int
    sections: list[int]

    @property
    def size(self) -> int:
        """How many bytes are moved."""
        return self.end - self.start


NO_BLOCK = Block(0, 0, [])


def block_to_move(headers: Headers, elf: Elf, pointed: Iterable[int], more: int) -> Block:
    """What must go so that ``more`` program headers fit; `NO_BLOCK` where there is room.

    ``pointed`` are the addresses that the loader makes pointers to. Raises `NotUnderstood` where
    something else is in the way.
    """
    start, needed = headers.table_end, headers.table_end + more * SEGMENT.size
    first = _loaded_with_table(headers, needed)
    block = _closed(headers, start, needed)
    end = max(needed, block.end)
    low, high = first.address + start - first.offset, first.address + end - first.offset
    if any(low <= address < high for address in pointed):
        raise NotUnderstood("something points to what stands behind its program headers")
    tables = {
        headers.sections[i].address
        for i in block.sections
        if MOVABLE.get(headers.sections[i].type) is not None
    }
    for tag, value in elf.dynamic:
        if tag in ADDRESS_TAGS and low <= value < high and value not in tables:
            raise NotUnderstood("a table stands behind its program headers")
    return block


def _loaded_with_table(headers: Headers, needed: int) -> ProgramHeader:
    at = headers.segments_at
    for segment in headers.segments:
        if segment.type == LOAD and segment.offset <= at and needed <= segment.end:
            return segment
    raise NotUnderstood("its program headers are not loaded")


def _closed(headers: Headers, start: int, needed: int) -> Block:
    """The sections that begin before ``needed``, and those that a segment holds with them."""
    inside: list[int] = []
    end = needed
    while True:
        found = [
            i
            for i, section in enumerate(headers.sections)
            if section.offset < end and section.end > start
        ]
        ends = [headers.sections[i].end for i in found]
        for segment in headers.segments:
            if segment.type in {LOAD, PROGRAM_HEADERS} or not segment.file_size:
                continue
            if segment.offset < end and segment.end > start:
                ends.append(segment.end)
        if found == inside and max(ends, default=end) <= end:
            break
        inside, end = found, max(end, *ends)
    if not inside and end == needed:
        return NO_BLOCK
    _check(headers, inside, start, end)
    first = min(headers.sections[i].offset for i in inside)
    return Block(first, max(headers.sections[i].end for i in inside), inside)


def _check(headers: Headers, inside: list[int], start: int, end: int) -> None:
    for i in inside:
        section, name = headers.sections[i], headers.names[i]
        may = section.type in MOVABLE or name == INTERPRETER_SECTION
        if not may or section.type == NOBITS or section.offset < start:
            raise NotUnderstood(f"`{name}` is in the way of another program header")
    for segment in headers.segments:
        if segment.type in {LOAD, PROGRAM_HEADERS} or not segment.file_size:
            continue
        touches = segment.offset < end and segment.end > start
        if touches and segment.type not in MOVABLE_SEGMENTS:
            raise NotUnderstood(f"a segment of type {segment.type:#x} is in the way")
    if not inside or end - start > MOST_BLOCK:
        raise NotUnderstood("there is no room for another program header")


def dynamic_edits(headers: Headers, elf: Elf, block: Block, by: int) -> list[Edit]:
    """The dynamic section's pointers to the block, ``by`` bytes higher."""
    moved = {
        (MOVABLE.get(section.type), section.address)
        for section in (headers.sections[i] for i in block.sections)
    }
    segment = next((s for s in headers.segments if s.type == SegmentType.DYNAMIC), None)
    edits = []
    for i, (tag, value) in enumerate(elf.dynamic):
        if (tag, value) in moved and segment is not None:
            offset = segment.offset + i * DYNAMIC.size
            edits.append(Edit(offset, DYNAMIC.pack(tag, value + by)))
    return edits
