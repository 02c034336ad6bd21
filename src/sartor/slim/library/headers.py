"""An ELF file's headers as they are written: every field of each, to be changed and packed again.

`sartor.artifact.elf` reads what a library says; these hold also what only a writer needs. The
formats are those of the System V ABI.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import astuple, replace

from sartor.artifact.elf import EXTENDED, HEADER, SECTION, SEGMENT, Elf
from sartor.artifact.source import Invalid

if TYPE_CHECKING:
    from sartor.artifact.source import Source

LOAD, INTERPRETER, NOTE, PROGRAM_HEADERS = 1, 3, 4, 6
NOBITS = 8
ALLOCATED, EXECUTABLE_CODE, COMPRESSED = 0x2, 0x4, 0x800
EXECUTABLE_SEGMENT, WRITABLE_SEGMENT = 0x1, 0x2
INFO_LINK = 0x40
RELOCATIONS = {4, 9}
"""Kinds of sections whose ``sh_info`` is a section, and the flag that says so of others."""
EXECUTABLE_FILE, SHARED_FILE = 2, 3
MOST_INDEXED = 0xFF00
"""From here on section indices stand elsewhere (``SHN_LORESERVE``)."""


class NotUnderstood(Exception):  # noqa: N818 - said of a layout, which may be quite right
    """A library's layout is not one that is rewritten; the reason is a sentence's end."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ProgramHeader(msgspec.Struct, frozen=True):
    """One program header, in the order of its fields."""

    type: int
    flags: int
    offset: int
    address: int
    physical: int
    file_size: int
    memory_size: int
    alignment: int

    @property
    def end(self) -> int:
        """The first byte of the file behind it."""
        return self.offset + self.file_size

    def part(self, start: int, end: int) -> ProgramHeader:
        """The bytes of the file from ``start`` to ``end`` as a segment, where they are loaded."""
        size, by = end - start, start - self.offset
        address, physical = self.address + by, self.physical + by
        return replace(
            self,
            offset=start,
            address=address,
            physical=physical,
            file_size=size,
            memory_size=size,
        )


class SectionHeader(msgspec.Struct, frozen=True):
    """One section header, in the order of its fields; ``name_at`` counts in the table of names."""

    name_at: int
    type: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int
    entry_size: int

    @property
    def end(self) -> int:
        """The first byte of the file behind it."""
        return self.offset + (0 if self.type == NOBITS else self.size)

    @property
    def links_info(self) -> bool:
        """Whether ``info`` is the number of a section."""
        return self.type in RELOCATIONS or bool(self.flags & INFO_LINK)

    def renumbered(self, numbers: list[int]) -> SectionHeader:
        """The header with other sections' new numbers."""
        return replace(
            self,
            link=numbers[self.link],
            info=numbers[self.info] if self.links_info else self.info,
        )

    @property
    def is_loaded(self) -> bool:
        """Whether it is in memory when the program runs."""
        return bool(self.flags & ALLOCATED)


class Headers(msgspec.Struct, frozen=True):
    """All headers of one file. ``names`` has the name of each section."""

    fields: tuple[bytes | int, ...]
    segments: list[ProgramHeader]
    sections: list[SectionHeader]
    names: list[str]
    segments_at: int
    sections_at: int

    @property
    def type(self) -> int:
        """``e_type``."""
        return int(self.fields[1])

    @property
    def table_end(self) -> int:
        """The first byte behind the program headers."""
        return self.segments_at + len(self.segments) * SEGMENT.size

    def index(self, name: str) -> int | None:
        """Which section has that name; `NotUnderstood` where several do."""
        found = [i for i, own in enumerate(self.names) if own == name]
        if len(found) > 1:
            raise NotUnderstood(f"it has {len(found)} sections `{name}`")
        return found[0] if found else None

    def header(self, segments: int, sections_at: int, numbers: list[int]) -> bytes:
        """The file's own header, with other tables; ``numbers`` are the sections' new ones."""
        fields = list(self.fields)
        fields[6], fields[10], fields[13] = sections_at, segments, numbers[int(fields[13])]
        return HEADER.pack(*fields)


def read_headers(source: Source, elf: Elf) -> Headers:
    """The headers of a file that can be loaded; raises `Invalid` or `NotUnderstood`."""
    fields = HEADER.unpack(source.read(0, HEADER.size))
    segments_at, sections_at, segments = fields[5], fields[6], fields[10]
    if fields[1] not in {EXECUTABLE_FILE, SHARED_FILE}:
        raise NotUnderstood("it is no shared library and no program")
    if not elf.sections:
        raise NotUnderstood("it has no section headers")
    if segments == EXTENDED or len(elf.sections) >= MOST_INDEXED:
        raise NotUnderstood("its headers are counted in another place")
    if len(elf.segments) != segments or not segments:
        raise Invalid(source.name, 56, f"{segments} program headers")
    if fields[13] >= len(elf.sections):
        raise NotUnderstood("the names of its sections are in another place")
    rows = source.read(segments_at, segments * SEGMENT.size)
    table = source.read(sections_at, len(elf.sections) * SECTION.size)
    sections = [SectionHeader(*row) for row in SECTION.iter_unpack(table)]
    for section in sections:
        linked = [section.link, section.info] if section.links_info else [section.link]
        if max(linked) >= len(sections):
            raise NotUnderstood("one of its sections belongs to one that is not there")
    return Headers(
        fields=fields,
        segments=[ProgramHeader(*row) for row in SEGMENT.iter_unpack(rows)],
        sections=sections,
        names=[section.name for section in elf.sections],
        segments_at=segments_at,
        sections_at=sections_at,
    )


def packed_segments(segments: list[ProgramHeader]) -> bytes:
    """The table of program headers."""
    return b"".join(SEGMENT.pack(*astuple(segment)) for segment in segments)


def packed_sections(sections: list[SectionHeader]) -> bytes:
    """The table of section headers."""
    return b"".join(SECTION.pack(*astuple(section)) for section in sections)
