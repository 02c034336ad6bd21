"""The segment that holds a region of device code, and whether it is one that can be cut in two."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from sartor.artifact.elf import SECTION
from sartor.slim.library.headers import LOAD, WRITABLE_SEGMENT, NotUnderstood

if TYPE_CHECKING:
    from sartor.artifact.source import Source
    from sartor.slim.library.headers import Headers, ProgramHeader
    from sartor.slim.library.regions import Region

LEAST_PAGE = 4096
MOST_PAGE = 16 << 20
"""The largest alignment of a segment that is believed."""


def holder_of(headers: Headers, region: Region) -> ProgramHeader:
    """The one segment that has the region; raises `NotUnderstood` where anything else overlaps."""
    loads = [segment for segment in headers.segments if segment.type == LOAD]
    touching = [segment for segment in loads if _overlaps(segment.offset, segment.end, region)]
    if len(touching) != 1:
        raise NotUnderstood(f"{len(touching)} segments load its device code")
    holder = touching[0]
    inside = holder.offset <= region.start and region.end <= holder.end
    as_in_file = holder.file_size == holder.memory_size
    address = holder.address + region.start - holder.offset
    if not inside or not as_in_file or holder.flags & WRITABLE_SEGMENT or address != region.address:
        raise NotUnderstood("its device code is not in one segment that is only read")
    for before, after in pairwise(loads):
        if before.address + before.memory_size > after.address:
            raise NotUnderstood("its segments overlap, or are not in the order of their addresses")
    _check_nothing_inside(headers, region)
    return holder


def _check_nothing_inside(headers: Headers, region: Region) -> None:
    for segment in headers.segments:
        holds_no_code = segment.type != LOAD and segment.file_size
        if holds_no_code and _overlaps(segment.offset, segment.end, region):
            raise NotUnderstood(f"a segment of type {segment.type:#x} is in its device code")
    for i, (name, section) in enumerate(zip(headers.names, headers.sections, strict=True)):
        within = region.start < section.offset < region.end
        if i != region.index and (within or _overlaps(section.offset, section.end, region)):
            raise NotUnderstood(f"`{name}` is in its device code")
    tables = [
        (headers.sections_at, headers.sections_at + len(headers.sections) * SECTION.size),
        (headers.segments_at, headers.table_end),
    ]
    if any(_overlaps(start, end, region) for start, end in tables):
        raise NotUnderstood("its headers are in its device code")


def _overlaps(start: int, end: int, region: Region) -> bool:
    return max(start, region.start) < min(end, region.end)


def after_region(source: Source, headers: Headers, region: Region, holder: ProgramHeader) -> int:
    """Where in the file goes on what is not the region's: behind its zeros, if it has some.

    A region that was made smaller before ends its segment, and has zeros up to the next page.
    """
    if region.end < holder.end:
        return region.end
    used = [segment.offset for segment in headers.segments if segment.file_size]
    used += [section.offset for section in headers.sections if section.offset]
    used += [headers.sections_at, source.size]
    end = min(offset for offset in used if offset >= region.end)
    size = end - region.end
    return end if size <= MOST_PAGE and not any(source.read(region.end, size)) else region.end


def page_of(headers: Headers) -> int:
    """By how much a part of the file may move: the largest alignment of what is loaded."""
    page = LEAST_PAGE
    for segment in headers.segments:
        if segment.type != LOAD:
            continue
        size = segment.alignment or 1
        if size & (size - 1) or size > MOST_PAGE or (segment.address - segment.offset) % size:
            raise NotUnderstood(f"a segment is aligned to {size:#x}, and does not stand so")
        page = max(page, size)
    return page
