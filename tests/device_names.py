"""The units of a library, with images and kernel names, read with pyelftools.

A judge for what the facts say of real libraries; slow, and for well-formed files only.
"""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, NamedTuple

import lz4.block
import zstandard
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from sartor.artifact.fatbin import Container, Entry, Kind, containers
from sartor.artifact.source import FileSource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECTIONS = (".nv_fatbin", "__nv_relfatbin")
SYMBOL = struct.Struct("<IBBHQQ")
FUNCTION, ENTRY_POINT = 2, 0x10


class NamedUnit(NamedTuple):
    """One container: its images (``sm_90a``) and the mangled names of its cubins' kernels."""

    images: tuple[str, ...]
    kernels: frozenset[str]


def units(library: Path) -> list[NamedUnit]:
    """Every container of a library, in its order."""
    with library.open("rb") as file:
        where = sections(file, SECTIONS)
    with FileSource(library) as source:
        return [
            NamedUnit(
                tuple(entry.architecture for entry in container.entries),
                frozenset(k for entry in container.entries for k in kernels(source, entry)),
            )
            for offset, size in where
            for container in containers(source, offset, size)
            if isinstance(container, Container)
        ]


def sections(file: io.BufferedReader, names: tuple[str, ...]) -> list[tuple[int, int]]:
    """Where sections with these names begin, and their sizes; none where the file is no ELF."""
    if file.read(4) != b"\x7fELF":
        return []
    found = [s for s in ELFFile(file).iter_sections() if s.name in names]
    return [(int(s["sh_offset"]), int(s["sh_size"])) for s in found]


def kernels(source: FileSource, entry: Entry) -> Iterator[str]:
    """The names of the entry points in a cubin's symbol table."""
    if entry.kind != Kind.CUBIN:
        return
    stored = source.read(entry.payload, entry.stored)
    table = ELFFile(io.BytesIO(plain(entry, stored))).get_section_by_name(".symtab")
    if not isinstance(table, SymbolTableSection):
        return
    for name, info, other, *_ in SYMBOL.iter_unpack(table.data()):
        if info & 15 == FUNCTION and other & ENTRY_POINT:
            yield table.stringtable.get_string(name)


def plain(entry: Entry, stored: bytes) -> bytes:
    """The cubin, decompressed."""
    if entry.compression == "zstd":
        return zstandard.ZstdDecompressor().decompress(stored, max_output_size=entry.plain)
    if entry.compression == "lz4":
        return bytes(lz4.block.decompress(stored, uncompressed_size=entry.plain))
    return stored
