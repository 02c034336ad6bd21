"""Tiny shared libraries, put together part by part, so that a test can break any of them.

They are whole: `readelf` and pyelftools read them. Everything is loaded `BASE` higher than it
stands in the file, so that an address that is taken for an offset shows.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from sartor.artifact.elf import DYNAMIC, HEADER, SECTION, SEGMENT, Tag
from sartor.artifact.elf_symbols import SYMBOL, VERNAUX, VERNEED, gnu_hash, sysv_hash

BASE = 0x10000
SHARED, X86_64 = 3, 62
GLOBAL_FUNCTION, WEAK_FUNCTION = 0x12, 0x22
PROGBITS, STRTAB, NOBITS, DYNSYM = 1, 3, 8, 11


class Wanted(NamedTuple):
    """An undefined symbol; its version is one of the builder's ``versions``."""

    name: str
    version: str | None = None
    weak: bool = False


class Built(NamedTuple):
    """A library, and where its parts begin: ``dynsym``, ``dynstr``, ``dynamic``, ``verneed``, …"""

    data: bytes
    at: dict[str, int]

    def with_bytes(self, offset: int, new: bytes) -> bytes:
        """The library with some bytes replaced."""
        return self.data[:offset] + new + self.data[offset + len(new) :]

    def with_tag(self, tag: Tag, value: int) -> bytes:
        """The library with another value for a tag of the dynamic section."""
        offset = self.at["dynamic"]
        while DYNAMIC.unpack_from(self.data, offset)[0] != tag:
            offset += DYNAMIC.size
        return self.with_bytes(offset, DYNAMIC.pack(tag, value))


class Strings:
    """A table of strings that grows."""

    def __init__(self) -> None:
        self.data = b"\0"

    def add(self, text: str) -> int:
        """Where the string begins."""
        offset = len(self.data)
        self.data += text.encode() + b"\0"
        return offset


def shared_library(
    *,
    needed: tuple[str, ...] = (),
    named: dict[Tag, str] | None = None,
    wanted: tuple[Wanted, ...] = (),
    defined: tuple[str, ...] = (),
    versions: dict[str, tuple[str, ...]] | None = None,
    constants: bytes = b"",
    other_sections: tuple[str, ...] = (),
    hashes: tuple[Tag, ...] = (Tag.GNU_HASH,),
    sections: bool = True,
) -> Built:
    """A library for x86-64. ``named`` is its SONAME, RPATH, RUNPATH; ``hashes`` its hash tables."""
    strings = Strings()
    tags = [(Tag.NEEDED, strings.add(name)) for name in needed]
    tags += [(tag, strings.add(text)) for tag, text in (named or {}).items()]
    verneed, indices = needs(versions or {}, strings)
    defined = tuple(sorted(defined, key=lambda name: gnu_hash(name.encode()) % 2))
    parts = {
        "gnu_hash": gnu_table(len(wanted) + 1, defined),
        "hash": sysv_table(("", *(w.name for w in wanted), *defined)),
        "dynsym": symbols(wanted, defined, strings),
        "versym": b"".join(
            struct.pack("<H", i)
            for i in (0, *(indices.get(w.version or "", 1) for w in wanted), *(1 for _ in defined))
        ),
        "verneed": verneed,
        "dynstr": strings.data,
        "rodata": constants,
    }
    at, body = laid_out(parts, HEADER.size + 2 * SEGMENT.size)
    tags += [(Tag.STRTAB, BASE + at["dynstr"]), (Tag.STRSZ, len(strings.data))]
    tags += [(Tag.SYMTAB, BASE + at["dynsym"]), (Tag.SYMENT, SYMBOL.size)]
    tags += [(tag, BASE + at[tag.name.lower()]) for tag in hashes]
    if versions:
        tags += [(Tag.VERSYM, BASE + at["versym"]), (Tag.VERNEED, BASE + at["verneed"])]
        tags += [(Tag.VERNEEDNUM, len(versions))]
    at["dynamic"] = HEADER.size + 2 * SEGMENT.size + len(body)
    dynamic = b"".join(DYNAMIC.pack(*tag) for tag in [*tags, (Tag.NULL, 0)])
    body += dynamic
    table, names_at = b"", at["dynamic"] + len(dynamic)
    if sections:
        sizes = {part: len(parts[part]) for part in ("dynsym", "dynstr", "rodata")}
        names, table = section_headers(at, sizes, other_sections, names_at)
        body += names
    at["segments"], at["sections"] = HEADER.size, HEADER.size + 2 * SEGMENT.size + len(body)
    count = len(table) // SECTION.size
    head = header(at["sections"] if sections else 0, count) + segments(at, len(body), len(dynamic))
    return Built(head + body + table, at)


def laid_out(parts: dict[str, bytes], start: int) -> tuple[dict[str, int], bytes]:
    """Where each part begins, and all of them one after another, at multiples of 8."""
    at, body = {}, b""
    for part, data in parts.items():
        at[part] = start + len(body)
        body += data + bytes(-len(data) % 8)
    return at, body


def header(sections_at: int, sections: int) -> bytes:
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    return HEADER.pack(
        ident, SHARED, X86_64, 1, 0, HEADER.size, sections_at, 0,
        HEADER.size, SEGMENT.size, 2, SECTION.size, sections, max(sections - 1, 0),
    )  # fmt: skip


def segments(at: dict[str, int], body: int, dynamic: int) -> bytes:
    size = HEADER.size + 2 * SEGMENT.size + body
    load = SEGMENT.pack(1, 4, 0, BASE, BASE, size, size, 4096)
    where = at["dynamic"]
    return load + SEGMENT.pack(2, 4, where, BASE + where, BASE + where, dynamic, dynamic, 8)


def symbols(wanted: tuple[Wanted, ...], defined: tuple[str, ...], strings: Strings) -> bytes:
    """The first, which is none, then the undefined, then the defined ones."""
    table = bytes(SYMBOL.size)
    for want in wanted:
        info = WEAK_FUNCTION if want.weak else GLOBAL_FUNCTION
        table += SYMBOL.pack(strings.add(want.name), info, 0, 0, 0, 0)
    for name in defined:
        table += SYMBOL.pack(strings.add(name), GLOBAL_FUNCTION, 0, 1, BASE, 8)
    return table


def needs(versions: dict[str, tuple[str, ...]], strings: Strings) -> tuple[bytes, dict[str, int]]:
    """The table of needed versions, and the number that each version has."""
    indices: dict[str, int] = {}
    table = b""
    for place, (library, its) in enumerate(versions.items(), 1):
        size = VERNEED.size + len(its) * VERNAUX.size
        step = size if place < len(versions) else 0
        table += VERNEED.pack(1, len(its), strings.add(library), VERNEED.size, step)
        for number, version in enumerate(its, 1):
            indices[version] = len(indices) + 2
            step = VERNAUX.size if number < len(its) else 0
            hashed = sysv_hash(version.encode())
            table += VERNAUX.pack(hashed, 0, indices[version], strings.add(version), step)
    return table, indices


def gnu_table(first: int, defined: tuple[str, ...]) -> bytes:
    """Two buckets and a filter that lets all pass; ``defined`` are in the order of the buckets."""
    hashed = [gnu_hash(name.encode()) for name in defined]
    buckets = [
        next((first + i for i, value in enumerate(hashed) if value % 2 == bucket), 0)
        for bucket in (0, 1)
    ]
    last = [i + 1 == len(hashed) or hashed[i + 1] % 2 != hashed[i] % 2 for i in range(len(hashed))]
    chain = [value & ~1 | end for value, end in zip(hashed, last, strict=True)]
    return struct.pack(f"<IIIIQ2I{len(chain)}I", 2, first, 1, 6, (1 << 64) - 1, *buckets, *chain)


def sysv_table(names: tuple[str, ...]) -> bytes:
    """Two buckets; each symbol goes before those that its bucket has already."""
    buckets, chain = [0, 0], [0] * len(names)
    for index, name in enumerate(names):
        if index:
            bucket = sysv_hash(name.encode()) % 2
            chain[index], buckets[bucket] = buckets[bucket], index
    return struct.pack(f"<II2I{len(names)}I", 2, len(names), *buckets, *chain)


def section_headers(
    at: dict[str, int], sizes: dict[str, int], others: tuple[str, ...], names_at: int
) -> tuple[bytes, bytes]:
    """The names of sections, which stand at ``names_at``, and the headers."""
    names = Strings()
    rows = [bytes(SECTION.size)]
    kinds = {
        "dynsym": (DYNSYM, SYMBOL.size, 2),
        "dynstr": (STRTAB, 0, 0),
        "rodata": (PROGBITS, 0, 0),
    }
    for part, (kind, entry, link) in kinds.items():
        name, start = names.add(f".{part}"), at[part]
        rows.append(
            SECTION.pack(name, kind, 2, BASE + start, start, sizes[part], link, 1, 8, entry)
        )
    rows += [SECTION.pack(names.add(n), PROGBITS, 2, 0, 0, 0, 0, 0, 1, 0) for n in others]
    name = names.add(".shstrtab")
    data = names.data + bytes(-len(names.data) % 8)
    rows.append(SECTION.pack(name, STRTAB, 0, 0, names_at, len(data), 0, 0, 1, 0))
    return data, b"".join(rows)
