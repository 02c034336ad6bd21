"""Fatbins: what nvcc and a builder made is read as made, and any bytes give only `Invalid`."""

from __future__ import annotations

import struct
import time
import tomllib
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fatbin_maker import Made, around, container
from sartor.artifact import fatbin
from sartor.artifact.fatbin import Container, Entry, containers
from sartor.artifact.source import BytesSource, Invalid

DATA = Path(__file__).parents[2] / "data" / "fatbin"
EXPECTED: dict[str, list[str]] = tomllib.loads((DATA / "expected.toml").read_text("utf-8"))[
    "images"
]
FATBINS = sorted(name for name in EXPECTED if name.endswith(".fatbin"))
PTX = Made("ptx", "80", b".version 9.0\n\0", "9.0", "")
CUBIN = Made("cubin", "90a", b"\x7fELF and so on")

WORDS = st.lists(st.from_regex(r"-[a-zA-Z][a-z0-9=_-]{0,12}", fullmatch=True), max_size=5)
SUFFIX = st.sampled_from(["", "a", "f"])
IMAGES = st.builds(
    Made,
    st.sampled_from(["ptx", "cubin", "ltoir", 4, 16, 64]),
    st.builds("{}{}".format, st.integers(30, 999), SUFFIX),
    st.binary(min_size=1, max_size=200),
    st.builds("{}.{}".format, st.integers(1, 15), st.integers(0, 9)),
    st.none() | WORDS.map(" ".join),
    st.sampled_from([None, "lz4", "zstd"]),
)
UNITS = st.lists(st.lists(IMAGES, max_size=4), max_size=5)


def read(data: bytes) -> list[Container | Invalid]:
    return list(containers(BytesSource(data, "x"), 0, len(data)))


def good(data: bytes) -> list[Container]:
    found = []
    for one in read(data):
        assert isinstance(one, Container), one
        found.append(one)
    return found


def entries(data: bytes) -> list[Entry]:
    return [entry for one in good(data) for entry in one.entries]


def said(entry: Entry) -> str:
    fields = (
        entry.image_kind,
        entry.architecture,
        entry.ptx_isa,
        entry.compression,
        entry.options,
    )
    return " ".join(field or "-" for field in fields)


@pytest.mark.parametrize("name", FATBINS)
def test_what_nvcc_made_is_read_as_it_was_asked_for(name: str) -> None:
    assert [said(entry) for entry in entries((DATA / name).read_bytes())] == EXPECTED[name]


def test_the_debug_flag_is_set_by_device_debugging_alone() -> None:
    flags = {name: entries((DATA / name).read_bytes())[0].flags for name in FATBINS}
    assert [name for name in FATBINS if flags[name] & fatbin.Flag.DEBUG] == ["debug.fatbin"]


@given(UNITS, st.integers(0, 5))
def test_a_round_trip_gives_what_was_packed(units: list[list[Made]], padding: int) -> None:
    data = b"".join(container(images) + b"\0" * 8 * padding for images in units)
    found = good(data)
    assert len(found) == len(units)
    for one, images in zip(found, units, strict=True):
        assert [entry.arch for entry in one.entries] == [image.arch for image in images]
        for entry, image in zip(one.entries, images, strict=True):
            assert entry.image_kind == (image.kind if isinstance(image.kind, str) else "unknown")
            assert entry.compression == image.compression
            assert entry.options == (image.options or None)
            assert entry.ptx_isa == (image.isa if image.kind == "ptx" else None)
            assert entry.plain - len(image.payload) in range(8 if not image.compression else 1)
            if image.compression is None:
                assert data[entry.payload :].startswith(image.payload)


@given(UNITS.filter(any), st.data())
def test_whatever_is_changed_only_invalid_comes_out(
    units: list[list[Made]], data: st.DataObject
) -> None:
    changed = bytearray(b"".join(map(container, units)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(changed) - 1))
        new = data.draw(st.binary(min_size=1, max_size=8))
        changed[at : at + len(new)] = new
    bounded(bytes(changed))


@given(st.binary(max_size=400), st.sampled_from([b"", container([PTX, CUBIN])]))
def test_any_bytes_only_invalid_comes_out(data: bytes, before: bytes) -> None:
    bounded(before + data)


@given(UNITS.filter(any), st.data())
def test_wherever_it_is_cut_what_came_before_is_read(
    units: list[list[Made]], data: st.DataObject
) -> None:
    whole = b"".join(map(container, units))
    cut = data.draw(st.integers(0, len(whole) - 1))
    expected = [one for one in good(whole) if one.end <= cut]
    found = read(whole[:cut])
    assert found[: len(expected)] == expected
    assert all(isinstance(one, Invalid) for one in found[len(expected) :])


def bounded(data: bytes) -> None:
    """Everything lies inside, in order, and the reader ends."""
    last = 0
    for one in read(data):
        if isinstance(one, Invalid):
            assert 0 <= one.offset <= len(data)
            continue
        assert last <= one.offset < one.end <= len(data)
        last = one.end
        for entry in one.entries:
            assert one.offset < entry.offset < entry.payload <= entry.payload + entry.size <= last
            assert entry.stored <= entry.size


def broken(at: int, form: str, value: int) -> bytes:
    """Three containers, in the second of which a number of the first entry's header lies."""
    middle = bytearray(container([PTX, CUBIN]))
    struct.pack_into(form, middle, 16 + at, value)
    return container([CUBIN]) + bytes(middle) + container([PTX])


@pytest.mark.parametrize(
    ("at", "form", "value", "reason"),
    [
        (4, "<I", 63, "header of 63 bytes"),
        (4, "<I", 1 << 31, "header of 2147483648 bytes"),
        (8, "<Q", 1 << 63, "claims 9223372036854775808 bytes"),
        (16, "<I", 4096, "4096 compressed bytes in an image of 16"),
        (20, "<I", 63, "options at 63"),
        (20, "<I", 79, "options at 79"),
        (64, "<I", 1 << 20, "bytes of options from 1048576"),
        (68, "<I", 1 << 30, "1073741824 bytes of options"),
    ],
)
def test_an_entry_that_lies_costs_its_own_container(
    at: int, form: str, value: int, reason: str
) -> None:
    first, fault, third = read(broken(at, form, value))
    assert isinstance(first, Container)
    assert isinstance(third, Container)
    assert isinstance(fault, Invalid)
    assert reason in fault.reason


def test_a_container_whose_end_leads_nowhere_ends_the_walk() -> None:
    lying = bytearray(container([PTX]))
    struct.pack_into("<Q", lying, 8, len(lying) - 16 + 24)  # into the next one
    found = read(container([CUBIN]) + bytes(lying) + container([PTX]))
    assert [type(one) for one in found] == [Container, Invalid]


@pytest.mark.parametrize(
    ("at", "form", "value", "reason"),
    [
        (0, "<I", 0xBA55ED51, "no fatbin container"),
        (4, "<H", 2, "version 2"),
        (6, "<H", 8, "header of 8 bytes"),
        (8, "<Q", 1 << 40, "claims 1099511627776 bytes"),
    ],
)
def test_what_is_no_container_is_said(at: int, form: str, value: int, reason: str) -> None:
    data = bytearray(container([PTX]))
    struct.pack_into(form, data, at, value)
    (fault,) = read(bytes(data))
    assert isinstance(fault, Invalid)
    assert reason in fault.reason


@pytest.mark.parametrize("kind", [0, 4, 16, 64, 0xFFFF])
def test_kinds_that_are_not_known_are_counted_and_called_so(kind: int) -> None:
    (entry,) = entries(container([Made(kind, "90", b"12345678")]))
    assert (entry.image_kind, entry.architecture, entry.ptx_isa) == ("unknown", "90", None)


def test_both_compressions_at_once_are_unknown() -> None:
    data = bytearray(container([Made("cubin", "90", b"x" * 64, compression="zstd")]))
    data[16 + 41] |= 0x20
    assert entries(bytes(data))[0].compression == "unknown"


def test_empty_containers_and_nothing_are_no_fault() -> None:
    assert read(b"") == []
    assert read(b"\0" * 4096) == []
    assert [one.entries for one in good(container([]) + b"\0" * 40 + container([]))] == [[], []]


def test_many_headers_end_in_bounded_time_and_memory() -> None:
    entry = Made("cubin", "90", b"").header(0, 0)
    data = around(entry * (fatbin.MOST_IN_CONTAINER + 1))
    began = time.perf_counter()
    tracemalloc.start()
    found = read(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert all(isinstance(one, Invalid) for one in found)
    assert peak < 32 << 20
    assert time.perf_counter() - began < 10


def test_scattered_containers_are_found_among_other_data_and_false_beginnings_are_data() -> None:
    one, two = container([CUBIN]), container([PTX, CUBIN])
    false = fatbin.BEGINNING + b"\xff" * 8
    noise = b"some words. " * 9
    data = noise + one + noise + false + noise + two + false[:5]
    found = list(fatbin.scattered(BytesSource(data, "x"), 0, len(data)))
    assert all(isinstance(each, Container) for each in found)
    assert [len(each.entries) for each in found if isinstance(each, Container)] == [1, 2]
    assert [data[e.offset : e.end] for e in found if isinstance(e, Container)] == [one, two]


@given(st.integers(-20, 20))
def test_a_scattered_container_is_found_wherever_a_block_ends(shift: int) -> None:
    before = b"\1" * (fatbin.SEARCHED + shift)
    data = before + container([CUBIN])
    (found,) = fatbin.scattered(BytesSource(data, "x"), 0, len(data))
    assert isinstance(found, Container)
    assert found.offset == len(before)


def test_data_made_of_beginnings_comes_to_an_end() -> None:
    data = fatbin.BEGINNING * 1000
    found = list(fatbin.scattered(BytesSource(data, "x"), 0, len(data), most=100))
    assert len(found) == 1
    assert isinstance(found[0], Invalid)
