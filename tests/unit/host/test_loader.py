from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sartor.host.loader import ENTRY, HEADER, MAGIC, parse_cache, standard_folders


def cache_of(*entries: tuple[int, str, str], prefix: bytes = b"") -> bytes:
    """An ``ld.so.cache``; offsets count from the header of the new format, as glibc writes them."""
    strings = b""
    table = b""
    start = HEADER.size + len(entries) * ENTRY.size
    for flags, soname, path in entries:
        where = start + len(strings)
        table += ENTRY.pack(flags, where, where + len(soname) + 1, 0, 0)
        strings += soname.encode() + b"\0" + path.encode() + b"\0"
    return prefix + HEADER.pack(MAGIC, len(entries), len(strings), 2, 0, 0, 0, 0) + table + strings


ENTRIES = (
    (0x0303, "libgomp.so.1", "/lib/x86_64-linux-gnu/libgomp.so.1"),
    (0x0003, "libnuma.so.1", "/lib/i386-linux-gnu/libnuma.so.1"),
    (0x0303, "libgomp.so.1", "/opt/other/libgomp.so.1"),
    (0x0A03, "libm.so.6", "/lib/aarch64-linux-gnu/libm.so.6"),
)


def test_first_entry_of_the_right_architecture() -> None:
    assert parse_cache(cache_of(*ENTRIES), "x86_64") == {
        "libgomp.so.1": "/lib/x86_64-linux-gnu/libgomp.so.1"
    }
    assert parse_cache(cache_of(*ENTRIES), "aarch64") == {
        "libm.so.6": "/lib/aarch64-linux-gnu/libm.so.6"
    }


def test_new_format_behind_the_old_one() -> None:
    assert "libgomp.so.1" in parse_cache(cache_of(*ENTRIES, prefix=b"ld.so-1.7.0\0" * 9), "x86_64")


@pytest.mark.parametrize("size", range(0, len(cache_of(*ENTRIES)), 7))
def test_a_short_cache_gives_what_is_whole(size: int) -> None:
    whole = parse_cache(cache_of(*ENTRIES), "x86_64")
    assert set(parse_cache(cache_of(*ENTRIES)[:size], "x86_64")) <= {*whole, ""}


@given(st.binary(max_size=200), st.integers(0, 2**32 - 1))
def test_any_bytes_are_read_without_an_error(data: bytes, count: int) -> None:
    parse_cache(data, "x86_64")
    parse_cache(MAGIC + struct.pack("<I", count) + data, "x86_64")


def test_folders_are_those_of_the_architecture() -> None:
    assert "/usr/lib/aarch64-linux-gnu" in standard_folders("aarch64")
