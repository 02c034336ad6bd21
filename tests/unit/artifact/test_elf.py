"""ELF files: what whole ones say, by pyelftools too, and that broken ones say `Invalid`, soon."""

from __future__ import annotations

import contextlib
import io
import struct
import time

import pytest
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection
from hypothesis import example, given, settings
from hypothesis import strategies as st

from elf_builder import BASE, Built, Wanted, shared_library
from sartor.artifact import elf as elfs
from sartor.artifact import elf_symbols
from sartor.artifact.elf import SECTION, Elf, Tag
from sartor.artifact.elf_library import elf_library
from sartor.artifact.elf_symbols import (
    SYMBOL,
    VERNEED,
    SymbolTable,
    highest,
    version_needs,
)
from sartor.artifact.source import BytesSource, Invalid

WANTED = (
    Wanted("memcpy", "GLIBC_2.14"),
    Wanted("_ZNSt7__cxx1112basic_stringIcE", "GLIBCXX_3.4.21"),
    Wanted("__gmon_start__", weak=True),
    Wanted("cuLaunchKernel"),
)
DEFINED = ("PyInit__C", "one", "two", "three", "four", "__cudaRegister")
LIBRARY = shared_library(
    needed=("libc.so.6", "libstdc++.so.6"),
    named={Tag.SONAME: "lib_C.so", Tag.RPATH: "$ORIGIN/../lib", Tag.RUNPATH: "$ORIGIN"},
    wanted=WANTED,
    defined=DEFINED,
    versions={
        "libc.so.6": ("GLIBC_2.14", "GLIBC_2.2.5", "GLIBC_PRIVATE"),
        "libstdc++.so.6": ("GLIBCXX_3.4.21", "GLIBCXX_3.4.9", "CXXABI_1.3"),
    },
    constants=b"text\0",
    other_sections=(".hip_fatbin",),
)


def elf(data: bytes) -> Elf:
    return Elf(BytesSource(data, "x.so"))


def table(data: bytes) -> SymbolTable:
    return SymbolTable(elf(data))


def everything(data: bytes) -> None:
    """Ask for all there is; each part may be `Invalid`, and nothing else."""
    with contextlib.suppress(Invalid):
        read = elf(data)
        for ask in (
            lambda: read.sections,
            lambda: read.segments,
            lambda: read.needed,
            lambda: read.named(Tag.SONAME),
            lambda: version_needs(read),
            lambda: SymbolTable(read).undefined(version_needs(read)),
            lambda: SymbolTable(read).defines("PyInit__C"),
            lambda: SymbolTable(read).defines("absent"),
            lambda: elf_library(read.source, "x.so"),
        ):
            with contextlib.suppress(Invalid):
                ask()


def test_what_a_library_says() -> None:
    read = elf(LIBRARY.data)
    assert read.machine == "x86_64"
    assert read.needed == ["libc.so.6", "libstdc++.so.6"]
    assert read.named(Tag.SONAME) == "lib_C.so"
    assert (read.named(Tag.RPATH), read.named(Tag.RUNPATH)) == ("$ORIGIN/../lib", "$ORIGIN")
    versions = [need.version for need in version_needs(read)]
    assert [highest(versions, k) for k in ("GLIBC", "GLIBCXX", "CXXABI")] == [
        "2.14",
        "3.4.21",
        "1.3",
    ]
    found = SymbolTable(read).undefined(version_needs(read))
    assert [(u.name, u.version, u.weak) for u in found] == list(WANTED)


def test_pyelftools_reads_the_same() -> None:
    judge = ELFFile(io.BytesIO(LIBRARY.data))
    read = elf(LIBRARY.data)
    assert [s.name for s in judge.iter_sections()] == [s.name for s in read.sections]
    assert [s["p_offset"] for s in judge.iter_segments()] == [s.offset for s in read.segments]
    symbols = judge.get_section_by_name(".dynsym")
    assert isinstance(symbols, SymbolTableSection)
    undefined = [s.name for s in symbols.iter_symbols() if s["st_shndx"] == "SHN_UNDEF"][1:]
    assert [u.name for u in SymbolTable(read).undefined()] == undefined
    dynamic = next(s for s in judge.iter_segments() if isinstance(s, DynamicSegment))
    tags = [(t.entry["d_tag"], t.entry["d_val"]) for t in dynamic.iter_tags()]
    assert [value for _, value in tags] == [value for _, value in [*read.dynamic, (0, 0)]]
    assert [tag for tag, _ in tags].count("DT_NEEDED") == len(read.needed)


@pytest.mark.parametrize("hashes", [(Tag.GNU_HASH,), (Tag.HASH,), (Tag.GNU_HASH, Tag.HASH)])
@pytest.mark.parametrize("sections", [True, False])
def test_a_symbol_is_looked_up(hashes: tuple[Tag, ...], sections: bool) -> None:
    built = shared_library(wanted=WANTED, defined=DEFINED, hashes=hashes, sections=sections)
    symbols = table(built.data)
    assert symbols.count == 1 + len(WANTED) + len(DEFINED)
    assert all(symbols.defines(name) for name in DEFINED)
    assert not any(symbols.defines(name) for name in (*(w.name for w in WANTED), "absent", ""))


@pytest.mark.parametrize("hashes", [(Tag.GNU_HASH,), (Tag.HASH,), ()])
def test_without_section_headers_the_symbols_are_the_same(hashes: tuple[Tag, ...]) -> None:
    built = shared_library(
        wanted=WANTED, versions={"libc.so.6": ("GLIBC_2.14",)}, hashes=hashes, sections=False
    )
    read = elf(built.data)
    assert read.sections == []
    assert [u.name for u in SymbolTable(read).undefined()] == [w.name for w in WANTED]


REFUSED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "no ELF file"),
    "text": (b"#!/bin/sh\n" * 20, "no ELF file"),
    "ident only": (LIBRARY.data[:10], "shorter than its header"),
    "half a header": (LIBRARY.data[:40], "bytes are wanted"),
    "32-bit": (LIBRARY.with_bytes(4, b"\1"), "32-bit"),
    "class 7": (LIBRARY.with_bytes(4, b"\7"), "class 7"),
    "big-endian": (LIBRARY.with_bytes(5, b"\2"), "big-endian"),
    "version 9": (LIBRARY.with_bytes(6, b"\x09"), "version 9"),
    "RISC-V": (LIBRARY.with_bytes(18, b"\xf3\0"), "riscv"),
    "no known machine": (LIBRARY.with_bytes(18, b"\xff\xfe"), "machine 65279"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_elf_file_that_is_read(name: str) -> None:
    data, reason = REFUSED[name]
    with pytest.raises(Invalid, match=reason):
        elf(data)


def broken(name: str) -> bytes:
    """The library with one lie."""
    at, put = LIBRARY.at, LIBRARY.with_bytes
    huge = struct.pack("<Q", 1 << 62)
    aux = at["verneed"] + VERNEED.size
    return {
        "section count": put(60, b"\xff\xff"),
        "section size": put(58, b"\0\0"),
        "section offset": put(40, huge),
        "names of sections": put(62, b"\x20\x03"),
        "name outside": put(at["sections"] + SECTION.size, b"\xff\xff\xff\x7f"),
        "segment count": put(56, b"\xff\x03"),
        "segment size": put(54, b"\0\0"),
        "dynamic size": put(at["segments"] + 56 + 32, huge),
        "dynamic offset": put(at["segments"] + 56 + 8, huge),
        "string table size": LIBRARY.with_tag(Tag.STRSZ, 1 << 40),
        "string table address": LIBRARY.with_tag(Tag.STRTAB, 5),
        "needed outside": LIBRARY.with_tag(Tag.NEEDED, 1 << 30),
        "soname outside": LIBRARY.with_tag(Tag.SONAME, 1 << 62),
        "symbol size": LIBRARY.with_tag(Tag.SYMENT, 0),
        "symbols outside": LIBRARY.with_tag(Tag.SYMTAB, 1 << 50),
        "symbol's name outside": put(at["dynsym"] + SYMBOL.size, b"\xff\xff\xff\xff"),
        "versions outside": LIBRARY.with_tag(Tag.VERNEED, 1 << 50),
        "version steps out": put(at["verneed"] + 12, b"\xff\xff\xff\x7f"),
        "version's name outside": put(aux + 8, b"\xff\xff\xff\x7f"),
        "first version outside": put(at["verneed"] + 8, b"\xff\xff\xff\x7f"),
        "versions of symbols outside": LIBRARY.with_tag(Tag.VERSYM, 1 << 50),
    }[name]


FAULTS: dict[str, tuple[set[str], str]] = {
    "section count": ({"other_device_code"}, "bytes are wanted"),
    "section size": ({"other_device_code"}, "section headers of 0 bytes"),
    "section offset": ({"other_device_code"}, "bytes are wanted"),
    "names of sections": ({"other_device_code"}, "in section 800"),
    "name outside": ({"other_device_code"}, "no string at"),
    "needed outside": ({"needed"}, "no string at"),
    "soname outside": ({"soname"}, "no string at"),
    "symbol size": ({"torch_abi", "torch_symbols"}, "symbols of 0 bytes"),
    "symbols outside": ({"torch_abi", "torch_symbols"}, "nothing of the file is loaded"),
    "symbol's name outside": ({"torch_abi", "torch_symbols"}, "no string at"),
    "versions outside": ({"glibc", "glibcxx", "cxxabi"}, "nothing of the file is loaded"),
    "version steps out": ({"glibc", "glibcxx", "cxxabi"}, "bytes are wanted"),
    "version's name outside": ({"glibc", "glibcxx", "cxxabi"}, "no string at"),
    "first version outside": ({"glibc", "glibcxx", "cxxabi"}, "bytes are wanted"),
    "versions of symbols outside": ({"torch_abi", "torch_symbols"}, "nothing of the file"),
}
ALL_FAULTS = (
    "segment count",
    "segment size",
    "dynamic size",
    "dynamic offset",
    "string table size",
    "string table address",
)


@pytest.mark.parametrize("name", FAULTS)
def test_a_broken_part_is_named_and_the_others_are_read(name: str) -> None:
    lost, reason = FAULTS[name]
    whole, _ = elf_library(BytesSource(LIBRARY.data, "x.so"), "x.so")
    read, _ = elf_library(BytesSource(broken(name), "x.so"), "x.so")
    assert len(read.not_read) == 1
    assert reason in read.not_read[0].why
    for field in ("needed", "soname", "rpath", "glibc", "glibcxx", "cxxabi", "other_device_code"):
        if field not in lost:
            assert getattr(read, field) == getattr(whole, field), field
        else:
            assert not getattr(read, field), field


@pytest.mark.parametrize("name", ALL_FAULTS)
def test_without_a_dynamic_section_or_strings_the_sections_are_read(name: str) -> None:
    read, _ = elf_library(BytesSource(broken(name), "x.so"), "x.so")
    assert read.other_device_code == [".hip_fatbin"]
    assert read.not_read
    assert (read.needed, read.glibc, read.soname) == ([], None, None)


def test_chains_of_versions_that_return_to_themselves_end() -> None:
    """Steps are not signed, so that the worst are small ones, over the same bytes."""
    many = LIBRARY.with_tag(Tag.VERNEEDNUM, 1 << 40)
    start = LIBRARY.at["verneed"]
    overlapping = bytearray(many)
    struct.pack_into("<HHIII", overlapping, start, 1, 0xFFFF, 1, 16, 1)
    with pytest.raises(Invalid, match="over 4096 needed versions"):
        version_needs(elf(bytes(overlapping)))
    assert len(version_needs(elf(many))) == 6


def test_a_chain_of_hashes_that_returns_to_itself_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elf_symbols, "MOST_CHAINED", 100)
    built = shared_library(defined=("a", "c", "e"), hashes=(Tag.HASH,), sections=False)
    words = built.at["hash"] + 8
    looped = bytearray(built.data)
    struct.pack_into("<2I4I", looped, words, 1, 1, 0, 2, 1, 2)
    with pytest.raises(Invalid, match="over 100 names in one bucket"):
        table(bytes(looped)).defines("absent")


def test_a_chain_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elf_symbols, "MOST_CHAINED", 128)
    endless = struct.pack("<IIIIQI", 1, 1, 1, 6, (1 << 64) - 1, 1) + bytes(4096)
    built = shared_library(defined=("a", "c"), constants=endless)
    data = built.with_tag(Tag.GNU_HASH, BASE + built.at["rodata"])
    with pytest.raises(Invalid, match="over 128 names in one bucket"):
        table(data).defines("a")


def test_symbols_that_share_one_long_name_do_not_fill_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(elfs, "MOST_TEXT", 10_000)
    built = shared_library(wanted=tuple(Wanted("f" * 400) for _ in range(50)))
    with pytest.raises(Invalid, match="strings of over 10000 bytes in all"):
        table(built.data).undefined()


def test_more_symbols_and_sections_than_any_file_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elf_symbols, "MOST_SYMBOLS", 3)
    monkeypatch.setattr(elf_symbols, "MOST_UNDEFINED", 2)
    monkeypatch.setattr(elfs, "MOST_SECTIONS", 2)
    with pytest.raises(Invalid, match="11 symbols"):
        table(LIBRARY.data).undefined()
    with pytest.raises(Invalid, match="section headers"):
        _ = elf(LIBRARY.data).sections
    monkeypatch.setattr(elf_symbols, "MOST_SYMBOLS", 30)
    with pytest.raises(Invalid, match="over 2 undefined"):
        table(LIBRARY.data).undefined()


def test_a_name_that_is_no_text() -> None:
    built = shared_library(needed=("libx.so",))
    data = built.with_bytes(built.data.index(b"libx"), b"l\xffbx")
    assert elf(data).needed == ["l\\xffbx.so"]


def test_the_number_of_sections_that_do_not_fit_the_header() -> None:
    read = elf(LIBRARY.data)
    count = len(read.sections)
    first = bytearray(SECTION.pack(0, 0, 0, 0, 0, count, count - 1, 0, 0, 0))
    many = bytearray(LIBRARY.with_bytes(LIBRARY.at["sections"], bytes(first)))
    struct.pack_into("<HH", many, 60, 0, 0xFFFF)
    assert [s.name for s in elf(bytes(many)).sections][1:] == [s.name for s in read.sections][1:]


def test_a_version_is_compared_by_its_numbers() -> None:
    names = [
        "GLIBC_2.9",
        "GLIBC_2.34",
        "GLIBC_PRIVATE",
        "GLIBC_ABI_DT_RELR",
        "XGLIBC_9.9",
        "GLIBC_3.",
    ]
    assert highest(names, "GLIBC") == "2.34"
    assert highest(names, "CXXABI") is None


def library_with(built: Built, cuts: list[tuple[int, bytes]], end: int) -> bytes:
    data = bytearray(built.data)
    for offset, new in cuts:
        data[offset : offset + len(new)] = new
    return bytes(data[:end])


WORDS = st.sampled_from([bytes(4), b"\xff" * 4, b"\1\0\0\0", bytes(8), b"\xff" * 8, b"\0\0\1\0"])
CUT = st.tuples(st.integers(0, len(LIBRARY.data) - 1), WORDS | st.binary(min_size=1, max_size=8))


@settings(max_examples=400)
@given(
    cuts=st.lists(CUT, max_size=6),
    end=st.just(len(LIBRARY.data)) | st.integers(0, len(LIBRARY.data)),
)
@example(cuts=[(40, bytes(8))], end=len(LIBRARY.data))
def test_a_damaged_library_is_invalid_or_read(cuts: list[tuple[int, bytes]], end: int) -> None:
    everything(library_with(LIBRARY, cuts, end))


@settings(max_examples=200)
@given(st.binary(max_size=600))
def test_any_bytes_behind_a_header_are_invalid_or_read(rest: bytes) -> None:
    everything(LIBRARY.data[:64] + rest)


def test_every_truncation_and_every_byte_ends_soon() -> None:
    began = time.monotonic()
    size = len(LIBRARY.data)
    for end in range(0, size, 7):
        everything(LIBRARY.data[:end])
    for at in range(0, size, 3):
        everything(LIBRARY.with_bytes(at, b"\xff"))
    assert time.monotonic() - began < 60
