"""Dynamic symbols of an ELF file: those it wants, those it defines, and the versions it needs.

Found through the dynamic section, as the loader does; a section header is asked for one thing
alone, the number of symbols, which no tag of the dynamic section says.
"""

from __future__ import annotations

import re
import struct
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from sartor.artifact.elf import SectionType, Tag
from sartor.artifact.source import Invalid
from sartor.facts.versions import numbers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sartor.artifact.elf import Elf

SYMBOL = struct.Struct("<IBBHQQ")
NAME_AND_KIND = struct.Struct("<IB")
"""How a symbol begins."""
VERSION_OF = struct.Struct("<H")
VERNEED = struct.Struct("<HHIII")
VERNAUX = struct.Struct("<IHHII")
GNU_HASH = struct.Struct("<IIII")
HASH = struct.Struct("<II")
WORD = struct.Struct("<I")
BLOOM = struct.Struct("<Q")

WEAK = 2
VERSION_INDEX = 0x7FFF
"""The highest bit of a symbol's version says that it is hidden."""
MOST_SYMBOLS = 1 << 22
"""The largest known table, libtorch_cpu.so's, has 79,000."""
MOST_UNDEFINED = 1 << 18
"""libtorch_python.so wants 8,700."""
MOST_VERSIONS = 1 << 12
"""One for each library and version: some twenty."""
MOST_BUCKETS = 1 << 22
MOST_CHAINED = 1 << 16
"""Names in one bucket; where the table was made as it should be, a few."""
BLOCK = 1 << 16
"""Symbols read at a time: 1.5 MiB."""
CHAIN_BLOCK = 64

VERSION = re.compile(r"(?P<kind>GLIBC|GLIBCXX|CXXABI)_(?P<number>[0-9]{1,6}(\.[0-9]{1,6}){0,5})")


class Undefined(msgspec.Struct, frozen=True):
    """A symbol that another library must define; ``version`` is the one it must have there."""

    name: str
    weak: bool
    version: str | None = None


class VersionNeed(msgspec.Struct, frozen=True):
    """A symbol version (``GLIBC_2.34``) that ``library`` must have."""

    library: str
    version: str
    index: int


def version_needs(elf: Elf) -> list[VersionNeed]:
    """What ``DT_VERNEED`` lists, in its order."""
    address = elf.by_tag.get(Tag.VERNEED)
    if address is None:
        return []
    found: list[VersionNeed] = []
    offset = elf.offset_of(address)
    for _ in range(min(elf.by_tag.get(Tag.VERNEEDNUM, 0), MOST_VERSIONS)):
        _version, count, library, first, step = VERNEED.unpack(
            elf.source.read(offset, VERNEED.size)
        )
        if len(found) + count > MOST_VERSIONS:
            raise Invalid(elf.source.name, offset, f"over {MOST_VERSIONS} needed versions")
        found += _versions_of(elf, elf.strings.get(library), offset + first, count)
        if step == 0:
            break
        offset += step
    return found


def _versions_of(elf: Elf, library: str, offset: int, count: int) -> Iterator[VersionNeed]:
    for _ in range(count):
        _hash, _flags, index, name, step = VERNAUX.unpack(elf.source.read(offset, VERNAUX.size))
        yield VersionNeed(library, elf.strings.get(name), index)
        if step == 0:
            return
        offset += step


def highest(versions: list[str], kind: str) -> str | None:
    """The highest number of a kind: ``2.34`` of ``GLIBC``. Names that are no number say nothing."""
    found = [VERSION.fullmatch(version) for version in versions]
    of_kind = [match["number"] for match in found if match and match["kind"] == kind]
    return max(of_kind, key=numbers, default=None)


class SymbolTable:
    """The dynamic symbols of a file. Raises `Invalid` where it has none, or they are not whole."""

    def __init__(self, elf: Elf) -> None:
        self._elf = elf
        self._source = elf.source
        self._offset = elf.offset_of(self._address(Tag.SYMTAB))
        if elf.by_tag.get(Tag.SYMENT, SYMBOL.size) != SYMBOL.size:
            raise self._invalid(f"symbols of {elf.by_tag[Tag.SYMENT]} bytes")

    def undefined(self, needs: Iterable[VersionNeed] = ()) -> list[Undefined]:
        """What other libraries must define, in the table's order.

        Their versions are those of ``needs`` (`version_needs`); without it they have none.
        """
        versions = {need.index: need.version for need in needs}
        string = self._elf.strings.get
        found: list[Undefined] = []
        for start, symbols, of_version in self._blocks():
            for index in undefined_in(symbols):
                name, info = NAME_AND_KIND.unpack_from(symbols, index * SYMBOL.size)
                if start + index == 0:
                    continue  # the first is no symbol
                needed = None
                if of_version:
                    (version,) = VERSION_OF.unpack_from(of_version, 2 * index)
                    needed = versions.get(version & VERSION_INDEX)
                found.append(Undefined(string(name), info >> 4 == WEAK, needed))
            if len(found) > MOST_UNDEFINED:
                raise self._invalid(f"over {MOST_UNDEFINED} undefined symbols")
        return found

    def defines(self, name: str) -> bool:
        """Whether the library defines a symbol, of any version, that others can use."""
        wanted = name.encode()
        tags = self._elf.by_tag
        if Tag.GNU_HASH in tags:
            candidates = self._gnu_chain(wanted)
        elif Tag.HASH in tags:
            candidates = self._hash_chain(wanted)
        else:
            raise self._invalid("no hash table to look a symbol up in")
        return any(self._is(index, name) for index in candidates)

    @cached_property
    def count(self) -> int:
        """How many symbols there are, the first, which is none, included."""
        count = self._count_by_section()
        if count is None:
            count = self._count_by_hash()
        if count > MOST_SYMBOLS:
            raise self._invalid(f"{count} symbols")
        return count

    def _count_by_section(self) -> int | None:
        address = self._elf.by_tag[Tag.SYMTAB]
        try:
            sections = self._elf.sections
        except Invalid:
            return None
        sizes = [s.size for s in sections if s.type == SectionType.DYNSYM and s.address == address]
        return sizes[0] // SYMBOL.size if sizes else None

    def _count_by_hash(self) -> int:
        tags = self._elf.by_tag
        if Tag.HASH in tags:
            at = self._elf.offset_of(tags[Tag.HASH])
            return int(HASH.unpack(self._source.read(at, HASH.size))[1])
        return self._count_by_gnu_hash() if Tag.GNU_HASH in tags else self._count_by_room()

    def _count_by_gnu_hash(self) -> int:
        table = self._gnu_hash
        if table.buckets > MOST_BUCKETS:
            raise self._invalid(f"{table.buckets} buckets")
        words = self._source.read(table.buckets_at, table.buckets * WORD.size)
        last = max((word for (word,) in WORD.iter_unpack(words)), default=0)
        if last < table.first:
            return self._count_by_room()
        return last + 1 + sum(1 for word in self._chain(table, last) if not word & 1)

    def _count_by_room(self) -> int:
        """Linkers put something right after the symbols: their strings, or the versions."""
        start = self._elf.by_tag[Tag.SYMTAB]
        tables = (Tag.STRTAB, Tag.VERSYM, Tag.GNU_HASH, Tag.HASH, Tag.VERNEED)
        after = [a for t in tables if (a := self._elf.by_tag.get(t, 0)) > start]
        if not after:
            raise self._invalid("nothing says how many symbols there are")
        return (min(after) - start) // SYMBOL.size

    def _blocks(self) -> Iterator[tuple[int, bytes, bytes]]:
        """The index of the first symbol, symbols, and their versions (empty: there are none)."""
        versions = self._elf.by_tag.get(Tag.VERSYM)
        versions_at = None if versions is None else self._elf.offset_of(versions)
        for start in range(0, self.count, BLOCK):
            some = min(BLOCK, self.count - start)
            symbols = self._source.read(self._offset + start * SYMBOL.size, some * SYMBOL.size)
            of_version = b""
            if versions_at is not None:
                of_version = self._source.read(versions_at + 2 * start, 2 * some)
            yield start, symbols, of_version

    def _is(self, index: int, name: str) -> bool:
        at = self._offset + index * SYMBOL.size
        string, _info, _other, section, *_ = SYMBOL.unpack(self._source.read(at, SYMBOL.size))
        return section != 0 and self._elf.strings.get(string) == name

    @cached_property
    def _gnu_hash(self) -> _GnuHash:
        at = self._elf.offset_of(self._address(Tag.GNU_HASH))
        buckets, first, bloom, shift = GNU_HASH.unpack(self._source.read(at, GNU_HASH.size))
        bloom_at = at + GNU_HASH.size
        buckets_at = bloom_at + bloom * BLOOM.size
        chains_at = buckets_at + buckets * WORD.size
        return _GnuHash(buckets, first, bloom, shift, bloom_at, buckets_at, chains_at)

    def _gnu_chain(self, name: bytes) -> Iterator[int]:
        """Symbols whose name has the hash of ``name``."""
        table = self._gnu_hash
        if not table.buckets or not table.bloom:
            return
        wanted = gnu_hash(name)
        at = table.bloom_at + wanted // 64 % table.bloom * BLOOM.size
        (filter_,) = BLOOM.unpack(self._source.read(at, BLOOM.size))
        if not filter_ >> wanted % 64 & filter_ >> (wanted >> table.shift % 32) % 64 & 1:
            return
        at = table.buckets_at + wanted % table.buckets * WORD.size
        (index,) = WORD.unpack(self._source.read(at, WORD.size))
        if index < table.first:
            return
        for number, word in enumerate(self._chain(table, index)):
            if word | 1 == wanted | 1:
                yield index + number

    def _chain(self, table: _GnuHash, index: int) -> Iterator[int]:
        """The words of a bucket's chain from a symbol on, the last (odd) one included."""
        at = table.chains_at + (index - table.first) * WORD.size
        for start in range(at, at + MOST_CHAINED * WORD.size, CHAIN_BLOCK * WORD.size):
            left = (self._source.size - start) // WORD.size
            block = self._source.read(start, max(min(CHAIN_BLOCK, left), 1) * WORD.size)
            for (word,) in WORD.iter_unpack(block):
                yield word
                if word & 1:
                    return
        raise self._invalid(f"over {MOST_CHAINED} names in one bucket")

    def _hash_chain(self, name: bytes) -> Iterator[int]:
        at = self._elf.offset_of(self._address(Tag.HASH))
        buckets, chains = HASH.unpack(self._source.read(at, HASH.size))
        if not buckets:
            return
        words = at + HASH.size
        place = sysv_hash(name) % buckets
        for _ in range(MOST_CHAINED):
            (index,) = WORD.unpack(self._source.read(words + place * WORD.size, WORD.size))
            if not index:
                return
            if index >= chains:
                raise self._invalid(f"symbol {index} of {chains} in a bucket")
            yield index
            place = buckets + index
        raise self._invalid(f"over {MOST_CHAINED} names in one bucket")

    def _address(self, tag: Tag) -> int:
        address = self._elf.by_tag.get(tag)
        if address is None:
            raise Invalid(self._source.name, 0, f"the dynamic section has no {tag.name}")
        return address

    def _invalid(self, reason: str) -> Invalid:
        return Invalid(self._source.name, self._offset, reason)


class _GnuHash(msgspec.Struct, frozen=True):
    """The header of a ``DT_GNU_HASH`` table, and where its three parts begin."""

    buckets: int
    first: int
    bloom: int
    shift: int
    bloom_at: int
    buckets_at: int
    chains_at: int


def undefined_in(symbols: bytes) -> Iterator[int]:
    """Which symbols of a table are of no section.

    Finds by one byte of ``st_shndx`` before it looks at the other: most symbols are passed over by
    `bytes.find`, and not one by one.
    """
    low, high = symbols[6 :: SYMBOL.size], symbols[7 :: SYMBOL.size]
    index = low.find(0)
    while index >= 0:
        if not high[index]:
            yield index
        index = low.find(0, index + 1)


def gnu_hash(name: bytes) -> int:
    """The hash of ``DT_GNU_HASH``."""
    value = 5381
    for byte in name:
        value = (value * 33 + byte) & 0xFFFFFFFF
    return value


def sysv_hash(name: bytes) -> int:
    """The hash of ``DT_HASH``."""
    value = 0
    for byte in name:
        value = (value << 4) + byte
        high = value & 0xF0000000
        value = (value ^ high >> 24) & ~high & 0xFFFFFFFF
    return value
