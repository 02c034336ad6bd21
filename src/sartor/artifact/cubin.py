"""A cubin: the names of its kernels, and what ptxas noted of how it was made."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

import msgspec

from sartor.artifact.elf import Elf, StringTable
from sartor.artifact.source import Invalid

if TYPE_CHECKING:
    from sartor.artifact.elf import Section
    from sartor.artifact.source import Source

SYMBOL = struct.Struct("<IBBHQQ")
SYMTAB = 2
"""``sh_type`` of a symbol table."""
FUNCTION = 2
"""The low four bits of ``st_info`` of code."""
KERNEL = 0x10
"""The bit of ``st_other`` that kernels have, with toolkits 11.8 to 13.2; other functions do not."""
MOST_SYMBOLS = 1 << 20
"""The largest cubin known, of cuBLAS, has some 20,000."""
MOST_NOTE = 64 << 10

RELEASE = re.compile(rb"release (\d{1,3}\.\d{1,3})")
ARCHITECTURE = re.compile(rb"-arch (sm_\d{2,4}[af]?)\b")


class Origin(msgspec.Struct, frozen=True):
    """What ptxas noted: the toolkit's release (``13.0``) and the architecture (``sm_100f``)."""

    release: str | None
    architecture: str | None


def kernel_names(source: Source) -> list[str]:
    """The mangled names of a cubin's kernels, in its order, each once; raises `Invalid`."""
    elf = _cubin(source)
    table = next((s for s in elf.sections if s.type == SYMTAB), None)
    if table is None:
        return []
    if table.size > MOST_SYMBOLS * SYMBOL.size:
        raise Invalid(source.name, table.offset, f"symbol table of {table.size} bytes")
    strings = _strings(source, elf.sections, table)
    symbols = source.read(table.offset, table.size // SYMBOL.size * SYMBOL.size)
    return list(
        dict.fromkeys(
            strings.get(name)
            for name, info, other, section, _, _ in SYMBOL.iter_unpack(symbols)
            if other & KERNEL and info & 0xF == FUNCTION and section
        )
    )


def origin(source: Source) -> Origin:
    """What ptxas noted of itself in ``.note.nv.tkinfo`` (from CUDA 13 on); raises `Invalid`."""
    note = _cubin(source).section(".note.nv.tkinfo")
    if note is None or note.size > MOST_NOTE:
        return Origin(None, None)
    text = source.read(note.offset, note.size)
    release, architecture = RELEASE.search(text), ARCHITECTURE.search(text)
    return Origin(
        release[1].decode() if release else None,
        architecture[1].decode() if architecture else None,
    )


def architecture(source: Source) -> str:
    """``sm_90``, from the ELF header, without a suffix; its place there depends on the ABI."""
    elf = _cubin(source)
    abi = source.read(7, 2)
    number = elf.flags >> 8 & 0xFFFF if abi == b"\x41\x08" else elf.flags & 0xFF
    return f"sm_{number}"


def _cubin(source: Source) -> Elf:
    elf = Elf(source)
    if elf.machine != "cuda":
        raise Invalid(source.name, 18, f"an ELF file for {elf.machine} and not for a GPU")
    return elf


def _strings(source: Source, sections: list[Section], table: Section) -> StringTable:
    if table.link >= len(sections):
        raise Invalid(source.name, table.offset, f"names in section {table.link}, which is none")
    return StringTable(source, sections[table.link].offset, sections[table.link].size)
