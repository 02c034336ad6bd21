"""ELF files: header, sections, segments, and what the dynamic section says.

64-bit little-endian ones for the machines of `Machine`; the format is that of the System V ABI and
of ``elf.h``. What the loader uses is read the way the loader finds it, through the segments, so
that a library whose section headers were stripped gives the same facts (and has no sections).

Each part is read when it is asked for and raises `Invalid` by itself: where one is broken, the
others are still there.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from sartor.artifact.source import Invalid

if TYPE_CHECKING:
    from sartor.artifact.source import Source

MAGIC = b"\x7fELF"
CLASS_64 = 2
LITTLE_ENDIAN = 1
HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
SECTION = struct.Struct("<IIQQQQIIQQ")
SEGMENT = struct.Struct("<IIQQQQQQ")
DYNAMIC = struct.Struct("<qQ")

MOST_SECTIONS = 1 << 18
"""A cubin has a few per kernel; past 65,279 their number is kept elsewhere. 16 MiB are read."""
MOST_SEGMENTS = 1 << 10
"""Shared libraries have some ten; a core dump would have more."""
MOST_DYNAMIC = 1 << 14
"""One entry per needed library and some thirty more."""
MOST_TABLE = 64 << 20
"""A string table is read whole. The largest known is libtorch_cpu.so's, of 5.3 MiB."""
MOST_STRING = 1 << 20
"""Names of C++ templates of over 50,000 characters exist."""
MOST_TEXT = 64 << 20
"""All strings taken from one table: symbols that share one long name must not fill the memory."""
EXTENDED = 0xFFFF


class Machine(IntEnum):
    """``e_machine`` of the files that are read."""

    X86_64 = 62
    AARCH64 = 183
    CUDA = 190


MACHINES = {Machine.X86_64: "x86_64", Machine.AARCH64: "aarch64", Machine.CUDA: "cuda"}
OTHER_MACHINES = {
    2: "sparc",
    3: "x86",
    8: "mips",
    20: "ppc",
    21: "ppc64",
    22: "s390",
    40: "arm",
    43: "sparc64",
    224: "amdgpu",
    243: "riscv",
    258: "loongarch",
}


class SegmentType(IntEnum):
    """``p_type``, as far as it matters here."""

    LOAD = 1
    DYNAMIC = 2


class Tag(IntEnum):
    """``d_tag``, as far as it matters here."""

    NULL = 0
    NEEDED = 1
    HASH = 4
    STRTAB = 5
    SYMTAB = 6
    STRSZ = 10
    SYMENT = 11
    SONAME = 14
    RPATH = 15
    RUNPATH = 29
    GNU_HASH = 0x6FFFFEF5
    VERSYM = 0x6FFFFFF0
    VERNEED = 0x6FFFFFFE
    VERNEEDNUM = 0x6FFFFFFF


class SectionType(IntEnum):
    """``sh_type``, as far as it matters here."""

    SYMTAB = 2
    NOBITS = 8
    DYNSYM = 11


class Section(msgspec.Struct, frozen=True):
    """One section header. ``type`` may be any number; its range need not be in the file."""

    name: str
    type: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    entry_size: int


class Segment(msgspec.Struct, frozen=True):
    """One program header."""

    type: int
    flags: int
    offset: int
    address: int
    file_size: int
    memory_size: int


class StringTable:
    """Strings that end in a zero byte, by their offset in a table that is read once, whole.

    Raises `Invalid` for one outside, without an end, or past what one table may give in all.
    """

    def __init__(self, source: Source, offset: int, size: int) -> None:
        if size > MOST_TABLE:
            raise Invalid(source.name, offset, f"string table of {size} bytes")
        self._data = source.read(offset, size)
        self._name = source.name
        self._offset = offset
        self._left = MOST_TEXT

    def get(self, index: int) -> str:
        """The string; bytes that are no UTF-8 are written as ``\\xff``."""
        end = self._data.find(b"\0", index, index + MOST_STRING)
        if end < 0:
            reason = f"no string at {index:#x} of a table of {len(self._data):#x} bytes"
            raise Invalid(self._name, self._offset, reason)
        self._left -= end - index
        if self._left < 0:
            raise Invalid(self._name, self._offset, f"strings of over {MOST_TEXT} bytes in all")
        return self._data[index:end].decode("utf-8", "backslashreplace")


class Elf:
    """One ELF file; the header is read at once. Raises `Invalid` where it is none that is read."""

    def __init__(self, source: Source) -> None:
        self.source = source
        ident = source.read(0, min(source.size, 16))
        refusal = refused(ident)
        if refusal:
            raise Invalid(source.name, 0, refusal)
        (
            _,
            self.type,
            machine,
            _version,
            _entry,
            self._segments_at,
            self._sections_at,
            self.flags,
            _header_size,
            self._segment_size,
            self._segment_count,
            self._section_size,
            self._section_count,
            self._names_index,
        ) = HEADER.unpack(source.read(0, HEADER.size))
        if machine not in MACHINES:
            other = OTHER_MACHINES.get(machine, f"machine {machine}")
            raise Invalid(source.name, 18, f"an ELF file for {other}")
        self.machine = MACHINES[machine]

    @cached_property
    def _first_section(self) -> tuple[int, ...]:
        """Section 0, which holds what does not fit into the header."""
        if self._section_size != SECTION.size:
            raise self._invalid(58, f"section headers of {self._section_size} bytes")
        return SECTION.unpack(self.source.read(self._sections_at, SECTION.size))

    @cached_property
    def sections(self) -> list[Section]:
        """Every section, the empty one at index 0 too; none where the headers were stripped."""
        if not self._sections_at:
            return []
        count = self._section_count or self._first_section[5]
        if count > MOST_SECTIONS:
            raise self._invalid(60, f"{count} section headers")
        if self._section_size != SECTION.size:
            raise self._invalid(58, f"section headers of {self._section_size} bytes")
        table = self.source.read(self._sections_at, count * SECTION.size)
        rows = list(SECTION.iter_unpack(table))
        names = self._section_names(rows)
        return [
            Section(
                names.get(name) if names else "", kind, flags, address, at, size, link, info, each
            )
            for name, kind, flags, address, at, size, link, info, _alignment, each in rows
        ]

    def _section_names(self, rows: list[tuple[int, ...]]) -> StringTable | None:
        index = self._names_index
        if index == EXTENDED and rows:
            index = rows[0][6]
        if not index:
            return None
        if index >= len(rows):
            reason = f"the names of sections are in section {index} of {len(rows)}"
            raise self._invalid(62, reason)
        return StringTable(self.source, rows[index][4], rows[index][5])

    def section(self, name: str) -> Section | None:
        """The first section of that name."""
        return next((s for s in self.sections if s.name == name), None)

    @cached_property
    def segments(self) -> list[Segment]:
        """Every program header."""
        if not self._segments_at:
            return []
        count = self._segment_count
        if count == EXTENDED and self._sections_at:
            count = self._first_section[7]
        if count > MOST_SEGMENTS:
            raise self._invalid(56, f"{count} program headers")
        if count and self._segment_size != SEGMENT.size:
            raise self._invalid(54, f"program headers of {self._segment_size} bytes")
        table = self.source.read(self._segments_at, count * SEGMENT.size)
        return [
            Segment(kind, flags, at, address, size, memory)
            for kind, flags, at, address, _physical, size, memory, _ in SEGMENT.iter_unpack(table)
        ]

    def offset_of(self, address: int) -> int:
        """Where in the file the byte stands that is loaded to ``address``; raises `Invalid`."""
        for segment in self.segments:
            inside = address - segment.address
            if segment.type == SegmentType.LOAD and 0 <= inside < segment.file_size:
                return segment.offset + inside
        raise self._invalid(self._segments_at, f"nothing of the file is loaded to {address:#x}")

    @cached_property
    def dynamic(self) -> list[tuple[int, int]]:
        """Tags and values of the dynamic section, without its end; none where there is no such."""
        segment = next((s for s in self.segments if s.type == SegmentType.DYNAMIC), None)
        if segment is None:
            return []
        if segment.file_size > MOST_DYNAMIC * DYNAMIC.size:
            reason = f"dynamic section of {segment.file_size} bytes"
            raise self._invalid(segment.offset, reason)
        size = segment.file_size // DYNAMIC.size * DYNAMIC.size
        found: list[tuple[int, int]] = []
        for tag, value in DYNAMIC.iter_unpack(self.source.read(segment.offset, size)):
            if tag == Tag.NULL:
                break
            found.append((tag, value))
        return found

    @cached_property
    def by_tag(self) -> dict[int, int]:
        """The dynamic section by tag; of several values the last, which the loader would use."""
        return dict(self.dynamic)

    @cached_property
    def strings(self) -> StringTable:
        """The strings of the dynamic section and its symbols; raises `Invalid` without one."""
        address, size = self.by_tag.get(Tag.STRTAB), self.by_tag.get(Tag.STRSZ)
        if address is None or size is None:
            raise self._invalid(0, "the dynamic section names no string table")
        return StringTable(self.source, self.offset_of(address), size)

    @cached_property
    def needed(self) -> list[str]:
        """The libraries that it needs (``DT_NEEDED``), in their order."""
        return [self.strings.get(value) for tag, value in self.dynamic if tag == Tag.NEEDED]

    def named(self, tag: Tag) -> str | None:
        """What ``SONAME``, ``RPATH`` or ``RUNPATH`` says."""
        index = self.by_tag.get(tag)
        return None if index is None else self.strings.get(index)

    def _invalid(self, offset: int, reason: str) -> Invalid:
        return Invalid(self.source.name, offset, reason)


def refused(ident: bytes) -> str | None:
    """Why a file that begins so is none that is read; None where it is one."""
    if not ident.startswith(MAGIC):
        return "no ELF file"
    if len(ident) < 16:
        return "an ELF file shorter than its header"
    if ident[4] != CLASS_64:
        return "a 32-bit ELF file" if ident[4] == 1 else f"an ELF file of class {ident[4]}"
    if ident[5] != LITTLE_ENDIAN:
        return "a big-endian ELF file" if ident[5] == 2 else f"an ELF file of data {ident[5]}"
    if ident[6] != 1:
        return f"an ELF file of version {ident[6]}"
    return None
