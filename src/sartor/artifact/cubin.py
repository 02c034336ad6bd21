"""A cubin: the names of its kernels, and what ptxas noted of how it was made."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from sartor.artifact.elf import Elf, SectionType, StringTable
from sartor.artifact.elf_symbols import SYMBOL
from sartor.artifact.source import Invalid

if TYPE_CHECKING:
    from sartor.artifact.elf import Section
    from sartor.artifact.source import Source

FUNCTION = 2
"""The low four bits of ``st_info`` of code."""
KERNEL = 0x10
"""The bit of ``st_other`` that kernels have, with toolkits 11.8 to 13.2; other functions do not."""
MOST_SYMBOLS = 1 << 20
"""The largest cubin known, of cuBLAS, has some 20,000."""
MOST_NOTE = 64 << 10

RELEASE = re.compile(rb"release (\d{1,3}\.\d{1,3})")
API_VERSION = re.compile(rb"\x04\x37\x04\x00(.{4})", re.DOTALL)
"""An attribute of a kernel: its format, its number, its size, its value."""
ARCHITECTURE = re.compile(rb"-arch (sm_\d{2,4}[af]?)\b")


class Origin(msgspec.Struct, frozen=True):
    """What ptxas noted: the toolkit's release (``13.0``) and the architecture (``sm_100f``)."""

    release: str | None
    architecture: str | None


def kernel_names(source: Source) -> list[str]:
    """The mangled names of a cubin's kernels, in its order, each once; raises `Invalid`."""
    elf = _cubin(source)
    table = next((s for s in elf.sections if s.type == SectionType.SYMTAB), None)
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
    """What ptxas noted of itself; raises `Invalid`.

    ``.note.nv.tkinfo`` is there from CUDA 13 on, and from 12.8 on for 10.x and 12.x; before that
    only the release stands in a kernel's attributes.
    """
    elf = _cubin(source)
    note = elf.section(".note.nv.tkinfo")
    if note is None or note.size > MOST_NOTE:
        return Origin(_release_of_kernel(source, elf), None)
    text = source.read(note.offset, note.size)
    release, architecture = RELEASE.search(text), ARCHITECTURE.search(text)
    return Origin(
        release[1].decode() if release else None,
        architecture[1].decode() if architecture else None,
    )


def _release_of_kernel(source: Source, elf: Elf) -> str | None:
    """The release that the attributes of the first kernel name, times ten: ``128`` is 12.8."""
    first = next((s for s in elf.sections if s.name.startswith(".nv.info.")), None)
    if first is None or first.size > MOST_NOTE:
        return None
    found = API_VERSION.search(source.read(first.offset, first.size))
    number = int.from_bytes(found[1], "little") if found else 0
    return f"{number // 10}.{number % 10}" if 100 <= number < 1000 else None


def architecture(source: Source) -> str:
    """``sm_90``, from the ELF header, without a suffix; the ABI says where its number stands."""
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
