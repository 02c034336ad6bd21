"""The GGUF reader is total: a header or a `ModelInvalidError`, whatever the bytes."""

from __future__ import annotations

import io
import struct
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sartor.errors import ModelInvalidError
from sartor.models.demo import demo_metadata
from sartor.models.ggml import F32, Q8_0, TENSOR_TYPES
from sartor.models.gguf import (
    Array,
    GgufHeader,
    Scalar,
    Value,
    ValueType,
    check_complete,
    read_gguf,
    read_header,
)
from sartor.models.gguf_writer import Tensor, array, gguf_bytes, scalar, write_gguf

if TYPE_CHECKING:
    from pathlib import Path

DEMO_HEAD = gguf_bytes(
    demo_metadata(),
    [
        Tensor("one", (64, 2), Q8_0, bytes(range(136))),
        Tensor("two", (3,), F32, bytes(12)),
        Tensor("three", (), F32, bytes(4)),
    ],
)


def read(data: bytes, keep_items: int = 1024) -> GgufHeader:
    header = read_header(io.BytesIO(data), "x.gguf", keep_items)
    check_complete(header, "x.gguf")
    return header


def fault(data: bytes) -> ModelInvalidError:
    with pytest.raises(ModelInvalidError) as caught:
        read(data)
    assert caught.value.hint
    return caught.value


def start(tensors: int = 0, keys: int = 0, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, keys)


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def key(kind: int, value: bytes, name: bytes = b"k") -> bytes:
    return text(name) + struct.pack("<I", kind) + value


def tensor(shape: list[int], kind: int = 0, offset: int = 0, name: bytes = b"t") -> bytes:
    sizes = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
    return text(name) + sizes + struct.pack("<IQ", kind, offset)


_INTEGERS = {
    ValueType.UINT8: (0, 2**8), ValueType.INT8: (-(2**7), 2**7),
    ValueType.UINT16: (0, 2**16), ValueType.INT16: (-(2**15), 2**15),
    ValueType.UINT32: (0, 2**32), ValueType.INT32: (-(2**31), 2**31),
    ValueType.UINT64: (0, 2**64), ValueType.INT64: (-(2**63), 2**63),
}  # fmt: skip


def items(kind: ValueType) -> st.SearchStrategy[Scalar]:
    if kind in _INTEGERS:
        least, end = _INTEGERS[kind]
        return st.integers(least, end - 1)
    if kind is ValueType.STRING:
        return st.text(st.characters(codec="utf-8"), max_size=20)
    if kind is ValueType.BOOL:
        return st.booleans()
    return st.floats(width=32, allow_nan=False)


def values() -> st.SearchStrategy[Value]:
    kinds = st.sampled_from([kind for kind in ValueType if kind is not ValueType.ARRAY])
    one = kinds.flatmap(lambda kind: items(kind).map(lambda item: scalar(kind, item)))
    many = kinds.flatmap(
        lambda kind: st.lists(items(kind), max_size=5).map(lambda found: array(kind, found))
    )
    return st.one_of(one, many)


@st.composite
def tensors(draw: st.DrawFn) -> list[Tensor]:
    names = draw(st.lists(st.text(st.characters(codec="utf-8"), max_size=9), unique=True))
    made = []
    for name in names[:4]:
        number = draw(st.sampled_from(sorted(TENSOR_TYPES)))
        kind = TENSOR_TYPES[number]
        blocks, rows = draw(st.integers(0, 2)), draw(st.integers(1, 3))
        data = bytes(blocks * rows * kind.block_bytes)
        made.append(Tensor(name, (blocks * kind.block_items, rows), number, data))
    return made


KEYS = st.text(st.characters(codec="utf-8"), max_size=20).filter(lambda k: k != "general.alignment")


@given(st.dictionaries(KEYS, values(), max_size=6), tensors())
def test_what_is_written_is_read(metadata: dict[str, Value], written: list[Tensor]) -> None:
    data = gguf_bytes(metadata, written)
    header = read(data)
    assert header.metadata == metadata
    assert [(t.name, t.shape, t.type_number) for t in header.tensors] == [
        (t.name, t.shape, t.type_number) for t in written
    ]
    for info, original in zip(header.tensors, written, strict=True):
        at = header.data_offset + info.offset
        assert data[at : at + (info.size_bytes or 0)] == original.data
    assert header.demanded_bytes is not None
    assert 0 <= len(data) - header.demanded_bytes < 32


@pytest.mark.parametrize("alignment", [8, 64, 4096])
def test_the_alignment_is_respected(alignment: int) -> None:
    metadata = {"general.alignment": scalar(ValueType.UINT32, alignment)}
    header = read(gguf_bytes(metadata, [Tensor("a", (3,), F32, bytes(12))] * 1))
    assert header.data_offset % alignment == 0


@settings(max_examples=300)
@given(st.binary(max_size=400))
def test_any_bytes_after_the_magic_are_read_or_refused(data: bytes) -> None:
    for whole in (data, b"GGUF" + data, start() + data, start(1, 1) + data, start(2, 0) + data):
        try:
            read(whole)
        except ModelInvalidError as error:
            assert error.hint  # noqa: PT017 - either outcome is right


@settings(max_examples=200)
@given(st.integers(0, len(DEMO_HEAD) - 1))
def test_any_truncation_is_refused(length: int) -> None:
    demanded = read(DEMO_HEAD).demanded_bytes
    if demanded is None or length < demanded:
        says = "truncated" if length > 3 else "not a GGUF file" if length else "is empty"
        assert says in str(fault(DEMO_HEAD[:length]))


@settings(max_examples=300)
@given(st.integers(0, len(DEMO_HEAD) - 1), st.integers(0, 255), st.integers(1, 8))
def test_any_damage_is_read_or_refused(at: int, byte: int, width: int) -> None:
    damaged = DEMO_HEAD[:at] + bytes([byte]) * width + DEMO_HEAD[at + width :]
    try:
        read(damaged)
    except ModelInvalidError as error:
        assert error.message  # noqa: PT017 - either outcome is right


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (b"GGUF", "truncated"),
        (struct.pack("<4sI", b"GGUF", 1), "version 1"),
        (struct.pack("<4sI", b"GGUF", 9), "version 9"),
        (struct.pack(">4sI", b"GGUF", 3), "big-endian"),
        (start(tensors=2**60), "tensors"),
        (start(keys=2**60), "keys"),
        (start(keys=60_000), "truncated"),
        (start(keys=1) + struct.pack("<Q", 2**62) + bytes(99), "claims to be"),
        (start(keys=1) + key(8, struct.pack("<Q", 2**62)) + bytes(99), "claims to be"),
        (start(keys=1) + key(9, struct.pack("<IQ", 8, 2**62)) + bytes(99), "truncated"),
        (start(keys=1) + key(9, struct.pack("<IQ", 12, 2**61)) + bytes(99), "truncated"),
        (start(keys=1) + key(9, struct.pack("<IQ", 9, 1)) + bytes(99), "array of arrays"),
        (start(keys=1) + key(13, bytes(99)), "unknown type 13"),
        (start(keys=2) + key(0, b"1") * 2 + bytes(99), "there twice"),
        (start(keys=1) + key(4, bytes(4), b"general.alignment") + bytes(99), "power of two"),
        (start(keys=1) + key(8, text(b"x"), b"general.alignment") + bytes(99), "power of two"),
        (start(tensors=1) + tensor([1] * 5) + bytes(99), "5 dimensions"),
        (start(tensors=1) + tensor([2**32, 2**32]) + bytes(99), "larger than any file"),
        (start(tensors=1) + tensor([33], kind=8) + bytes(99), "whole number of Q8_0"),
        (start(tensors=1) + tensor([4], offset=7) + bytes(99), "does not begin on 32"),
        (start(tensors=2) + tensor([4]) * 2 + bytes(99), "same name"),
        (start(tensors=1) + tensor([4096]) + bytes(99), "header demands 16448"),
    ],
)
def test_what_is_wrong_is_said(data: bytes, says: str) -> None:
    assert says in str(fault(data))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"<!DOCTYPE html><html>login</html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "Git LFS"),
        (b"PK\x03\x04rest", "zip archive"),
        (b"\x80\x04\x95rest", "pickle"),
        (struct.pack("<Q", 20) + b'{"a":{}}            ', "safetensors"),
        (bytes(600), "zero bytes"),
        (b"tjgg\x01\0\0\0", "before GGUF"),
        (b'{"error": "no"}', "JSON"),
        (b"Not found\n", "plain text"),
        (b"\x7fELF\x02", "ELF"),
        (b"\x01\x02\x03\x04", "not recognised"),
    ],
)
def test_what_it_seems_to_be_is_said(data: bytes, says: str) -> None:
    assert says in str(fault(data))


def test_an_unknown_tensor_type_has_no_size() -> None:
    header = read(start(tensors=1) + tensor([32], kind=999) + bytes(99))
    assert header.tensors[0].type_name == "type 999"
    assert (header.tensors[0].size_bytes, header.demanded_bytes) == (None, None)


def test_large_arrays_are_counted_and_not_kept() -> None:
    words = array(ValueType.STRING, ["a"] * 2000)
    numbers = array(ValueType.INT32, [1] * 2000)
    data = gguf_bytes({"words": words, "numbers": numbers}, [])
    short = read(data)
    assert short.metadata["words"].data == Array(ValueType.STRING, 2000)
    assert short.metadata["numbers"].data == Array(ValueType.INT32, 2000)
    assert read(data, keep_items=2000).metadata == {"words": words, "numbers": numbers}


def test_texts_larger_than_the_window_are_passed() -> None:
    words = array(ValueType.STRING, ["a", "b" * (3 << 20), ""] * 3)
    after = scalar(ValueType.UINT32, 7)
    header = read(gguf_bytes({"words": words, "after": after}, []), keep_items=1)
    assert header.metadata["words"].data == Array(ValueType.STRING, 9)
    assert header.integer("after") == 7


def test_a_hostile_file_costs_little_memory() -> None:
    many = start(keys=1) + key(9, struct.pack("<IQ", 8, 100_000)) + bytes(100_000 * 8)
    texts = start(keys=40) + b"".join(
        key(8, text(bytes(1 << 19)), b"%d" % number) for number in range(40)
    )
    hostile = [many, texts, start(keys=60_000) + bytes(60_000 * 13)]
    streams = [io.BytesIO(data) for data in hostile]
    tracemalloc.start()
    for stream in streams:
        try:
            read_header(stream, "x", 1 << 40)
        except ModelInvalidError:
            continue
    assert tracemalloc.get_traced_memory()[1] < 64 << 20
    tracemalloc.stop()


class Sparse(io.BytesIO):
    """A stream that claims to be far longer than it is, as a sparse file can be."""

    def seek(self, offset: int, whence: int = 0) -> int:
        return 1 << 50 if whence == 2 else super().seek(offset, whence)


def test_a_stream_that_became_shorter_is_refused() -> None:
    with pytest.raises(ModelInvalidError, match="shorter"):
        read_header(Sparse(start(keys=9)), "x")


def test_too_many_texts_are_not_walked() -> None:
    stream = Sparse(start(keys=1) + key(9, struct.pack("<IQ", 8, 1 << 40)))
    with pytest.raises(ModelInvalidError, match="texts in arrays"):
        read_header(stream, "x")


def test_a_file_is_written_and_read(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.gguf"
    write_gguf(path, {"a": scalar(ValueType.STRING, "ü")}, [Tensor("t", (2,), F32, bytes(8))])
    header = read_gguf(path)
    assert header.text("a") == "ü"
    assert [entry.name for entry in path.parent.iterdir()] == ["x.gguf"]


def test_accessors_tell_types_apart() -> None:
    header = read(
        gguf_bytes(
            {
                "n": scalar(ValueType.INT32, -1),
                "b": scalar(ValueType.BOOL, True),
                "u": scalar(ValueType.UINT32, 7),
                "s": scalar(ValueType.STRING, "s"),
                "a": array(ValueType.UINT32, [1, 2]),
            },
            [],
        )
    )
    found = [header.integer(k) for k in ("n", "b", "u", "s", "a", "none")]
    assert found == [None, None, 7, None, None, None]
    assert (header.text("s"), header.text("u"), header.items("a")) == ("s", None, (1, 2))


@pytest.mark.parametrize(
    "value",
    [
        scalar(ValueType.UINT8, 300),
        scalar(ValueType.STRING, 1),
        scalar(ValueType.UINT8, "x"),
        Value(ValueType.ARRAY, Array(ValueType.UINT8, 3)),
    ],
)
def test_a_value_that_does_not_fit_is_not_written(value: Value) -> None:
    with pytest.raises(ValueError, match=r"cannot|fit"):
        gguf_bytes({"k": value}, [])


def test_a_tensor_of_the_wrong_size_is_not_written() -> None:
    with pytest.raises(ValueError, match="bytes of data"):
        gguf_bytes({}, [Tensor("t", (2,), F32, bytes(7))])
