"""Payloads: decompressed to what they were, in bounded memory, whatever their headers claim."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from fatbin_maker import Made, container
from sartor.artifact.fatbin import Container, containers
from sartor.artifact.payload import plain_payload
from sartor.artifact.source import BytesSource, Invalid

DATA = Path(__file__).parents[2] / "data" / "fatbin"
COMPRESSION = st.sampled_from([None, "lz4", "zstd"])
COMPRESSED_AT, PLAIN_AT = 16 + 16, 16 + 56
"""In a container of one image."""


def payloads(data: bytes, most: int = 1 << 28) -> list[bytes]:
    source = BytesSource(data, "x")
    found = []
    for one in containers(source, 0, len(data)):
        assert isinstance(one, Container)
        found += [plain_payload(source, entry, most) for entry in one.entries]
    return found


def test_lz4_and_zstd_hold_the_same_images() -> None:
    both = [payloads((DATA / name).read_bytes()) for name in ("lz4.fatbin", "zstd.fatbin")]
    assert both[0] == both[1]
    text, cubin = both[0]
    assert cubin.startswith(b"\x7fELF")
    assert text.rstrip().endswith(b"}")


@given(st.binary(min_size=8, max_size=4000), COMPRESSION)
def test_what_was_packed_comes_back(payload: bytes, compression: str | None) -> None:
    (found,) = payloads(container([Made("cubin", "90", payload, compression=compression)]))
    assert found.startswith(payload)
    assert len(found) - len(payload) in range(1 if compression else 8)


@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
def test_a_ptx_text_comes_without_its_nul(compression: str | None) -> None:
    made = Made("ptx", "90", b".version 9.0\n" + b"// text" * 50 + b"\0", "9.0", "", compression)
    assert payloads(container([made])) == [made.payload[:-1]]


@given(st.binary(max_size=300), st.sampled_from(["lz4", "zstd"]), st.data())
def test_a_changed_payload_is_invalid_or_of_its_size(
    payload: bytes, compression: str, data: st.DataObject
) -> None:
    changed = bytearray(container([Made("cubin", "90", payload, compression=compression)]))
    at = data.draw(st.integers(80, len(changed) - 1)) if len(changed) > 80 else 79
    changed[at] = data.draw(st.integers(0, 255))
    try:
        (found,) = payloads(bytes(changed))
    except Invalid:
        return
    assert len(found) == len(payload)


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
@pytest.mark.parametrize("claim", [0, 1, 4095, 4097, 1 << 27, 1 << 40, (1 << 64) - 1])
def test_a_size_that_lies_is_refused_without_taking_it(compression: str, claim: int) -> None:
    data = bytearray(container([Made("cubin", "90", bytes(4096), compression=compression)]))
    struct.pack_into("<Q", data, PLAIN_AT, claim)
    tracemalloc.start()
    with pytest.raises(Invalid):
        payloads(bytes(data))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20


def test_an_image_larger_than_asked_for_is_not_begun() -> None:
    data = container([Made("cubin", "90", bytes(4096), compression="zstd")])
    with pytest.raises(Invalid, match="more than 4095"):
        payloads(data, most=4095)
    assert payloads(data, most=4096) == [bytes(4096)]


def test_a_frame_with_more_behind_it_is_refused() -> None:
    made = Made("cubin", "90", bytes(4096), compression="zstd")
    data = bytearray(container([made]))
    (stored,) = struct.unpack_from("<I", data, COMPRESSED_AT)
    assert stored % 8
    struct.pack_into("<I", data, COMPRESSED_AT, stored + 1)
    with pytest.raises(Invalid):
        payloads(bytes(data))


def test_a_frame_that_wants_a_large_window_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=30, write_content_size=0)
    stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    frame = stream.compress(b"x" * 100) + stream.flush()
    made = Made("cubin", "90", b"y" * 100, compression="zstd")
    header = bytearray(made.header(len(frame) + -len(frame) % 8, len(frame)))
    body = bytes(header) + frame + b"\0" * (-len(frame) % 8)
    data = struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(body)) + body
    with pytest.raises(Invalid, match="window of 1073741824"):
        payloads(data)


def test_an_unknown_compression_is_said() -> None:
    data = bytearray(container([Made("cubin", "90", bytes(64), compression="zstd")]))
    struct.pack_into("<Q", data, 16 + 40, 0x11)
    with pytest.raises(Invalid, match="unknown compression"):
        payloads(bytes(data))
