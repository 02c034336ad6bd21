"""What points to containers: wrappers, relocations and symbols; and how that follows them.

A container is found through a pointer in ``.nvFatBinSegment``. In a shared library a relocation
says what the pointer is: in ``DT_RELA`` as its addend, in ``DT_RELR`` and ``DT_REL`` as what stands
in the place. A program that is loaded where it was linked has the pointer alone.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from sartor.artifact.elf import SectionType
from sartor.artifact.elf_symbols import SYMBOL
from sartor.slim.library.headers import EXECUTABLE_FILE, NotUnderstood
from sartor.slim.library.pieces import Edit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sartor.artifact.elf import Elf
    from sartor.artifact.source import Source
    from sartor.slim.library.headers import Headers
    from sartor.slim.library.regions import Packed, Region

WRAPPERS = ".nvFatBinSegment"
WRAPPER = struct.Struct("<IIQQ")
WRAPPER_MAGIC = 0x466243B1
WRAPPER_POINTER = 8
WORD = struct.Struct("<Q")
RELA, REL = struct.Struct("<QQQ"), struct.Struct("<QQ")
RELATIVE = {"x86_64": 8, "aarch64": 1027}
"""``R_X86_64_RELATIVE``, ``R_AARCH64_RELATIVE``."""
DT_RELA, DT_RELASZ, DT_RELAENT, DT_REL, DT_RELSZ = 7, 8, 9, 17, 18
DT_RELRSZ, DT_RELR = 35, 36
ANDROID = range(0x6000000F, 0x60000013)
MOST_RELOCATIONS = 256 << 20
"""Bytes of one table; libtorch_cuda.so has 1.1 MB."""
BITS = 63
SECTION_SYMBOL = 3
SYMBOL_SECTIONS = 18
"""``SHT_SYMTAB_SHNDX``"""
MOST_RENUMBERED = 0xF0
PAGE = 1 << 16


class Relative:
    """Every pointer into the library that the loader makes: where it stands, and what it is.

    ``addends`` has those of ``DT_RELA``, each with the offset in the file of its addend;
    ``in_place`` those whose value stands in the place itself.
    """

    def __init__(self, source: Source, elf: Elf) -> None:
        self._source = source
        self._elf = elf
        if elf.machine not in RELATIVE:
            raise NotUnderstood(f"it is for {elf.machine}")
        self._type = RELATIVE[elf.machine]
        if any(tag in ANDROID for tag, _ in elf.dynamic):
            raise NotUnderstood("its relocations are packed as Android's linker does")
        self._words = Words(source, elf)
        self.addends: dict[int, tuple[int, int]] = {}
        self.in_place: dict[int, int] = {}
        self._read_rela()
        for place in (*self._rel(), *self._relr()):
            self.in_place[place] = self._words.at(place)

    def _table(self, start: int, size: int, each: int) -> tuple[int, bytes]:
        tags = self._elf.by_tag
        if start not in tags:
            return 0, b""
        length = tags.get(size, 0)
        if length % each or length > MOST_RELOCATIONS:
            raise NotUnderstood(f"a table of relocations of {length} bytes")
        offset = self._elf.offset_of(tags[start])
        return offset, self._source.read(offset, length)

    def _read_rela(self) -> None:
        if self._elf.by_tag.get(DT_RELAENT, RELA.size) != RELA.size:
            raise NotUnderstood("its relocations are of another size")
        offset, table = self._table(DT_RELA, DT_RELASZ, RELA.size)
        words = memoryview(table).cast("Q").tolist()  # as `struct` gives them, three times as fast
        ats = range(offset + 16, offset + len(table), RELA.size)
        rows = zip(words[::3], words[1::3], words[2::3], ats, strict=True)
        kind = self._type
        self.addends = {place: (addend, at) for place, info, addend, at in rows if info == kind}

    def _rel(self) -> Iterator[int]:
        _, table = self._table(DT_REL, DT_RELSZ, REL.size)
        return (place for place, info in REL.iter_unpack(table) if info == self._type)

    def _relr(self) -> Iterator[int]:
        """The places of ``DT_RELR``: an address, or 63 bits for the words behind the last one."""
        _, table = self._table(DT_RELR, DT_RELRSZ, WORD.size)
        after = 0
        for (word,) in WORD.iter_unpack(table):
            if not word & 1:
                yield word
                after = word + WORD.size
                continue
            for bit in range(BITS):
                if word >> bit + 1 & 1:
                    yield after + bit * WORD.size
            after += BITS * WORD.size

    def word(self, place: int) -> int:
        """What stands in the file where the loader puts a pointer."""
        return self._words.at(place)

    def values(self) -> Iterator[int]:
        """All that is pointed to."""
        yield from (addend for addend, _ in self.addends.values())
        yield from self.in_place.values()


class Words:
    """Eight bytes by their address, read in blocks."""

    def __init__(self, source: Source, elf: Elf) -> None:
        self._source = source
        self._elf = elf
        self._start = 0
        self._block = b""

    def at(self, address: int) -> int:
        """The number there; raises `Invalid` where the file has none."""
        offset = self._elf.offset_of(address)
        inside = offset - self._start
        if not 0 <= inside <= len(self._block) - WORD.size:
            self._start = offset
            left = max(self._source.size - offset, WORD.size)
            self._block, inside = self._source.read(offset, min(PAGE, left)), 0
        (word,) = WORD.unpack_from(self._block, inside)
        return int(word)


def pointer_edits(
    source: Source, elf: Elf, headers: Headers, region: Region, packed: Packed, relative: Relative
) -> list[Edit]:
    """The pointers to containers, as they become.

    Raises `NotUnderstood` where a container has no wrapper, or something points elsewhere into the
    region: then there would be code that finds containers in another way.
    """
    start, end = region.address, region.address + region.end - region.start
    edits = []
    for place, (addend, at) in relative.addends.items():
        if start <= addend < end:
            new = WORD.pack(_moved(packed, addend))
            edits.append(Edit(at, new))
            if relative.word(place) == addend:
                edits.append(Edit(elf.offset_of(place), new))
    for place, value in relative.in_place.items():
        if start <= value < end:
            edits.append(Edit(elf.offset_of(place), WORD.pack(_moved(packed, value))))
    for place, value in wrappers(source, headers, relative).items():
        known = place in relative.addends or place in relative.in_place
        if not known and start <= value < end:
            edits.append(Edit(elf.offset_of(place), WORD.pack(_moved(packed, value))))
    lone = packed.places.keys() - set(wrappers(source, headers, relative).values())
    if lone:
        raise NotUnderstood(f"nothing points to the container at the address {min(lone):#x}")
    return edits


def _moved(packed: Packed, address: int) -> int:
    place = packed.places.get(address)
    if place is None:
        raise NotUnderstood(f"something points into a container, to {address:#x}")
    return place.address


def wrappers(source: Source, headers: Headers, relative: Relative) -> dict[int, int]:
    """The pointers in the wrappers, each by where it stands; raises `NotUnderstood`."""
    index = headers.index(WRAPPERS)
    if index is None:
        raise NotUnderstood(f"it has no `{WRAPPERS}`")
    section = headers.sections[index]
    if section.size % WRAPPER.size or section.end > source.size:
        raise NotUnderstood(f"its `{WRAPPERS}` has {section.size} bytes")
    rows = WRAPPER.iter_unpack(source.read(section.offset, section.end - section.offset))
    found = {}
    for i, (magic, version, pointer, _) in enumerate(rows):
        place = section.address + i * WRAPPER.size + WRAPPER_POINTER
        if magic != WRAPPER_MAGIC or version not in {1, 2}:
            raise NotUnderstood(f"wrapper {i} has the magic {magic:#x}, version {version}")
        if place in relative.addends:
            found[place] = relative.addends[place][0]
        elif place in relative.in_place or headers.type == EXECUTABLE_FILE:
            found[place] = pointer
        else:
            raise NotUnderstood(f"no relocation makes the pointer of the wrapper at {place:#x}")
    return found


def symbol_edits(
    source: Source,
    headers: Headers,
    region: Region,
    packed: Packed,
    moved: dict[int, int],
    numbers: list[int],
) -> list[Edit]:
    """The symbols of containers, and of the sections in ``moved``, each by so many bytes.

    ``numbers`` has for each section the number that it gets.
    """
    edits = []
    wanted = {region.index, *moved}
    for section in headers.sections:
        if section.type == SYMBOL_SECTIONS:
            raise NotUnderstood("the sections of its symbols stand in another table")
        if section.type not in {SectionType.SYMTAB, SectionType.DYNSYM}:
            continue
        if section.size % SYMBOL.size or section.end > source.size:
            raise NotUnderstood(f"a table of symbols has {section.size} bytes")
        table = bytearray(source.read(section.offset, section.size))
        for i in symbols_of(table, wanted):
            fields = list(SYMBOL.unpack_from(table, i * SYMBOL.size))
            if fields[3] in moved:
                fields[4] += moved[fields[3]]
            elif section.type == SectionType.DYNSYM:
                raise NotUnderstood("other libraries see symbols of its device code")
            else:
                fields[4], fields[5] = _symbol(region, packed, fields)
            data = SYMBOL.pack(*fields)
            table[i * SYMBOL.size : (i + 1) * SYMBOL.size] = data
            edits.append(Edit(section.offset + i * SYMBOL.size, data))
        if any(i != number for i, number in enumerate(numbers)):
            edits = [edit for edit in edits if not section.offset <= edit.offset < section.end]
            _renumber(table, numbers)
            edits.append(Edit(section.offset, bytes(table)))
    return edits


def _renumber(table: bytearray, numbers: list[int]) -> None:
    """Give each symbol its section's new number, by the low byte of the number.

    Special numbers (``SHN_ABS``: 0xfff1) have a low byte that no section has.
    """
    if len(numbers) > MOST_RENUMBERED:
        raise NotUnderstood(f"it has {len(numbers)} sections")
    low = bytes(numbers) + bytes(range(len(numbers), 256))
    table[6 :: SYMBOL.size] = table[6 :: SYMBOL.size].translate(low)


def _symbol(region: Region, packed: Packed, fields: list[int]) -> tuple[int, int]:
    """The value and size of a symbol in the region, as they become."""
    value, size = fields[4], fields[5]
    if fields[1] & 0xF == SECTION_SYMBOL and value == region.address and not size:
        first = min(packed.places.values(), default=None)
        return (first.address if first else value), 0
    place = packed.places.get(value)
    if place is None or size not in {0, packed.old_sizes[value]}:
        raise NotUnderstood(f"a symbol stands in its device code, at {value:#x}")
    return place.address, place.size if size else 0


def symbols_of(table: bytearray, sections: set[int]) -> list[int]:
    """Which symbols of a table are of these sections, by `bytes.find` on one byte of the index."""
    low, high = table[6 :: SYMBOL.size], table[7 :: SYMBOL.size]
    found = []
    for section in sections:
        wanted, other = bytes([section & 0xFF]), section >> 8
        at = low.find(wanted)
        while at >= 0:
            if high[at] == other:
                found.append(at)
            at = low.find(wanted, at + 1)
    return sorted(found)
