"""Streams: what is read of one equals what is read of the bytes, whatever the pieces."""

from __future__ import annotations

import contextlib
import gzip
import struct
import tracemalloc
import zlib
from typing import TYPE_CHECKING

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from sartor.artifact import elf, fatbin, inflate, speculate, stream
from sartor.artifact.source import BytesSource, Invalid
from sartor.artifact.stream import StreamedSource

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sartor.artifact.source import Source

MEBI = 1 << 20


def entry(payload: bytes, header: int = 64, kind: int = 2, arch: int = 90) -> bytes:
    fixed = fatbin.ENTRY.pack(kind, 0x101, header, len(payload), 0, 0, 0, 0, arch, 0, 0, 0x11, 0, 0)
    return fixed.ljust(header, b"o") + payload


def container(*entries: bytes) -> bytes:
    body = b"".join(entries)
    return fatbin.CONTAINER.pack(fatbin.MAGIC, 1, 16, len(body)) + body


def cut(data: bytes, sizes: Iterable[int]) -> Iterator[bytes]:
    """The data in pieces of these sizes, over and over."""
    at, steps = 0, list(sizes)
    while at < len(data):
        for size in steps:
            if at < len(data):
                yield data[at : at + size]
            at += size


def small_bounds(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(stream, "HEAD", 64)
    patch.setattr(stream, "TAIL", 96)
    patch.setattr(stream, "WHOLE", 128)
    patch.setattr(stream, "RECENT", 32)
    patch.setattr(stream, "MOST_PASSES", 1000)
    patch.setattr(inflate, "PIECE", 100)


fragments = st.one_of(
    st.binary(max_size=100),
    st.integers(1, 200).map(bytes),
    st.just(fatbin.BEGINNING),
    st.just(container()),
    st.builds(
        lambda bodies, header: container(*(entry(b, header) for b in bodies)),
        st.lists(st.binary(max_size=60), max_size=4),
        st.sampled_from([64, 72, 112, 128]),
    ),
    st.just(container(entry(bytes(64)))[:-40]),
)
streams = st.lists(fragments, max_size=14).map(b"".join)
piece_sizes = st.lists(st.integers(1, 90), min_size=1, max_size=8)


@settings(max_examples=300)
@given(streams, piece_sizes, st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 300))))
def test_reads_equal_slices_whatever_the_pieces(
    data: bytes, sizes: list[int], reads: list[tuple[int, int]]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        small_bounds(patch)
        source = StreamedSource(lambda: cut(data, sizes), len(data), "x", zlib.crc32(data))
        for offset, length in reads:
            start = min(offset, len(data))
            size = min(length, len(data) - start)
            assert source.read(start, size) == data[start : start + size]


def walked(source: Source, start: int, size: int) -> list[fatbin.Container]:
    found = []
    for unit in fatbin.containers(source, start, size):
        assert isinstance(unit, fatbin.Container)
        found.append(unit)
    return found


@settings(max_examples=300)
@given(
    st.lists(st.lists(st.integers(0, 9), max_size=4), min_size=1, max_size=6),
    st.integers(0, 30),
    piece_sizes,
)
def test_device_code_is_read_in_one_pass(
    units: list[list[int]], before: int, sizes: list[int]
) -> None:
    code = b"".join(container(*(entry(bytes(8 * n), 72) for n in unit)) for unit in units)
    start = 400 + 8 * before
    data = b"\x7fELF".ljust(start, b"\x90") + code + b"\xff" * 500
    with pytest.MonkeyPatch.context() as patch:
        small_bounds(patch)
        source = StreamedSource(lambda: cut(data, sizes), len(data), "x")
        found = walked(source, start, len(code))
    assert found == walked(BytesSource(data, "x"), start, len(code))
    assert len(found) == len(units)
    assert source.passes == 1


@settings(max_examples=200)
@given(
    st.lists(
        st.lists(st.tuples(st.integers(1, 9), st.sampled_from([1, 2, 8])), max_size=4), min_size=1
    ),
    piece_sizes,
)
def test_names_are_read_in_the_same_pass(
    units: list[list[tuple[int, int]]], sizes: list[int]
) -> None:
    code = b"".join(
        container(*(entry(bytes([n]) * 8 * n, 72, kind) for n, kind in unit)) for unit in units
    )
    data = b"\x7fELF".ljust(400, b"\x90") + code + b"\xff" * 500
    with pytest.MonkeyPatch.context() as patch:
        small_bounds(patch)
        source = StreamedSource(lambda: cut(data, sizes), len(data), "x")
        source.expect_names()
        for unit in walked(source, 400, len(code)):
            with_kernels = [e for e in unit.entries if e.image_kind in {"cubin", "ptx"}]
            if with_kernels:
                cheapest = min(with_kernels, key=lambda e: (e.image_kind != "cubin", e.stored))
                read = source.read(cheapest.payload, cheapest.stored)
                assert read == data[cheapest.payload : cheapest.payload + cheapest.stored]
    assert source.passes == 1


@pytest.mark.parametrize("gap", [8, 16, 24, 4096, 60_000])
def test_paddings_are_kept(gap: int) -> None:
    first, second = container(entry(b"one....."), entry(b"")), container(entry(b"two....."))
    data = b"\xff" * 400 + first + bytes(gap) + second + b"\xff" * 70_000
    end = 400 + len(first)
    with pytest.MonkeyPatch.context() as patch:
        small_bounds(patch)
        source = StreamedSource(lambda: cut(data, [500]), len(data), "x")
        assert source.read(end, 16) == data[end : end + 16]
        if gap >= 16:
            assert source.read(end + 16, 64 << 10) == data[end + 16 :][: 64 << 10]
        found = walked(source, 400, len(data) - 70_400)[1]
    assert found.offset == end + gap
    assert source.read(end + gap + 16, 64) == second[16:80]


def test_a_false_magic_does_not_hide_what_follows() -> None:
    false = fatbin.CONTAINER.pack(fatbin.MAGIC, 1, 16, 5000) + b"\xff" * 80
    code = container(entry(b"payload.", 80), entry(bytes(32)))
    data = bytes(200) + false + code + b"\xff" * 8000
    with pytest.MonkeyPatch.context() as patch:
        small_bounds(patch)
        source = StreamedSource(lambda: cut(data, [1000]), len(data), "x")
        (found,) = walked(source, 200 + len(false), len(code))
    assert [e.header_size for e in found.entries] == [80, 64]
    assert source.passes == 1


def test_the_processors_own_code_is_not_searched() -> None:
    """A magic in an executable segment is no container; it is still read where it is asked for."""
    segment = elf.SEGMENT.pack(1, 5, 512, 0, 0, 4096, 4096, 4096)
    head = (b"\x7fELF\2\1".ljust(32, b"\0") + struct.pack("<Q", 64)).ljust(54, b"\0")
    head = (head + struct.pack("<HH", 56, 1)).ljust(64, b"\0") + segment
    code = container(entry(b"in .text"))
    data = head.ljust(512, b"\0") + bytes(1024) + code + bytes(8000)
    with pytest.MonkeyPatch.context() as patch:
        small_bounds(patch)
        source = StreamedSource(lambda: cut(data, [64]), len(data), "x")
        assert len(walked(source, 1536, len(code))) == 1
    assert source.passes == 2


def test_reads_in_increasing_order_share_one_further_pass() -> None:
    data = bytes(range(256)) * 64
    with pytest.MonkeyPatch.context() as patch:
        small_bounds(patch)
        source = StreamedSource(lambda: cut(data, [100]), len(data), "x")
        for offset in range(1000, 12000, 700):
            assert source.read(offset, 300) == data[offset : offset + 300]
        assert source.passes == 2
        source.read(500, 10)
        assert source.passes == 3


def test_passes_are_bounded() -> None:
    data = bytes(10_000)
    with pytest.MonkeyPatch.context() as patch:
        small_bounds(patch)
        patch.setattr(stream, "MOST_PASSES", 3)
        source = StreamedSource(lambda: cut(data, [100]), len(data), "x")
        source.read(5000, 1)
        source.read(3000, 1)
        with pytest.raises(Invalid, match="more than 3 passes"):
            source.read(1000, 1)


@pytest.mark.parametrize("size", [9, 11, 0])
def test_a_size_that_lies_is_invalid(size: int) -> None:
    source = StreamedSource(lambda: iter([b"0123456789"]), size, "liar")
    with pytest.raises(Invalid) as found:
        source.finish()
    assert found.value.name == "liar"
    with pytest.raises(Invalid):  # and stays so
        source.read(0, size)


def test_another_checksum_is_invalid_and_stays_so() -> None:
    source = StreamedSource(lambda: iter([b"0123456789"]), 10, "x", zlib.crc32(b"others"))
    for _ in range(2):
        with pytest.raises(Invalid, match="CRC-32"):
            source.read(0, 4)


def test_a_range_outside_is_invalid() -> None:
    source = StreamedSource(lambda: iter([b"0123"]), 4, "x")
    for offset, length in ((0, 5), (4, 1), (-1, 2), (2, -1), (1 << 70, 1)):
        with pytest.raises(Invalid):
            source.read(offset, length)


def test_a_bomb_stays_small() -> None:
    machine = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = b"".join(machine.compress(bytes(MEBI)) for _ in range(256)) + machine.flush()

    def plain() -> Iterator[bytes]:
        return inflate.inflate(inflate.pieces(BytesSource(bomb, "x")), "x")

    tracemalloc.start()
    source = StreamedSource(plain, 256 * MEBI, "x", crc=None)
    assert source.read(256 * MEBI - 4, 4) == bytes(4)
    liar = StreamedSource(plain, 50 * MEBI, "x")
    with pytest.raises(Invalid, match="more bytes"):
        liar.finish()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 80 * MEBI


@pytest.mark.parametrize(
    "unit",
    [
        fatbin.BEGINNING,
        b"\0" + fatbin.BEGINNING,
        fatbin.CONTAINER.pack(fatbin.MAGIC, 1, 16, 64) + entry(b""),
        fatbin.CONTAINER.pack(fatbin.MAGIC, 1, 16, 1 << 30) + entry(b"") * 8,
    ],
    ids=["magics", "misaligned", "empty images", "one endless container"],
)
@pytest.mark.parametrize("names", [False, True])
def test_streams_made_of_magics_are_bounded_in_memory(unit: bytes, names: bool) -> None:
    block = unit * (MEBI // len(unit))
    tracemalloc.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "HEAD", 2 * MEBI)
        patch.setattr(stream, "TAIL", 4 * MEBI)
        patch.setattr(stream, "WHOLE", 6 * MEBI)
        patch.setattr(speculate, "MOST_KEPT", MEBI)
        patch.setattr(speculate, "MOST_PAYLOADS", MEBI)
        patch.setattr(speculate, "MOST_FALSE", 1 << 14)
        source = StreamedSource(lambda: iter([block] * 12), 12 * len(block), "x")
        if names:
            source.expect_names()
        source.finish()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < stream.HEAD + stream.TAIL + 3 * MEBI
    offset = 6 * len(block)
    assert source.read(offset, 100) == block[:100]


def deflated(data: bytes) -> bytes:
    machine = zlib.compressobj(6, zlib.DEFLATED, -15)
    return machine.compress(data) + machine.flush()


@given(st.binary(max_size=3000), st.integers(1, 50), piece_sizes)
def test_inflating_equals_zlib(part: bytes, times: int, sizes: list[int]) -> None:
    data = part * times
    packed = {
        inflate.inflate: deflated(data),
        inflate.gunzip: gzip.compress(data) + gzip.compress(part) + bytes(len(part) % 3),
        inflate.unzstd: zstandard.compress(data) + zstandard.compress(part),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inflate, "PIECE", 1000)
        for function, compressed in packed.items():
            found = list(function(cut(compressed, sizes), "x"))
            assert all(len(piece) <= 1000 for piece in found)
            expected = data if function is inflate.inflate else data + part
            assert b"".join(found) == expected


@given(st.binary(min_size=1, max_size=300), st.data())
def test_what_is_cut_off_is_invalid(part: bytes, draw: st.DataObject) -> None:
    for function, compressed in (
        (inflate.inflate, deflated(part * 9)),
        (inflate.gunzip, gzip.compress(part * 9)),
    ):
        end = draw.draw(st.integers(1, len(compressed) - 1))
        with pytest.raises(Invalid, match=r"end in the middle|cannot be inflated"):
            list(function(iter([compressed[:end]]), "x"))


@given(st.binary(max_size=500), piece_sizes)
def test_noise_is_invalid_or_ends(noise: bytes, sizes: list[int]) -> None:
    for function in (inflate.inflate, inflate.gunzip, inflate.unzstd):
        with contextlib.suppress(Invalid):
            for _ in function(cut(noise, sizes), "x"):
                pass


def test_bytes_after_a_deflate_stream_are_invalid() -> None:
    with pytest.raises(Invalid, match="follow the end"):
        list(inflate.inflate(iter([deflated(b"text") + b"more"]), "x"))


def test_a_zstd_frame_may_not_want_a_gibibyte_of_memory() -> None:
    frame = b"\x28\xb5\x2f\xfd" + bytes([0, (30 - 10) << 3]) + b"\1\0\0"
    assert list(inflate.unzstd(iter([frame.replace(b"\xa0", b"\x50")]), "x")) == []
    with pytest.raises(Invalid, match="cannot be decompressed"):
        list(inflate.unzstd(iter([frame]), "x"))
