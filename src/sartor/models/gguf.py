"""GGUF: what a header holds, and a total reader of it.

The reader takes a seekable binary stream and gives a `GgufHeader` or raises `ModelInvalidError`;
there is no third outcome. It reads versions 2 and 3, little endian. Everything it keeps is
bounded by the limits below and those of `Cursor`, whatever counts and lengths the file claims, and
it never reads tensor data. Files are written by `models.gguf_writer`.

Layout: magic, version, tensor count, key count; keys with typed values; tensor infos (name,
dimensions, type, offset); padding to ``general.alignment``; data. All integers little endian.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from math import prod
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from sartor.models.ggml import TENSOR_TYPES, type_name
from sartor.models.gguf_cursor import MAX_KEPT_BYTES, Cursor
from sartor.models.sniff import HEAD_BYTES, truncated, wrong_format

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MAGIC = b"GGUF"
DEFAULT_ALIGNMENT = 32
ALIGNMENT_KEY = "general.alignment"

MAX_KEYS = 1 << 16
MAX_TENSORS = 1 << 17
MAX_NAME_BYTES = 1 << 16
MAX_TEXT_BYTES = 1 << 24
MAX_DIMENSIONS = 4
MAX_ALIGNMENT = 1 << 20
SMALL_ARRAY = 1024

_LEAST_KEY_BYTES = 8 + 4 + 1
_LEAST_TENSOR_BYTES = 8 + 4 + 4 + 8


class ValueType(IntEnum):
    """The types of metadata values, by the numbers that the file stores."""

    UINT8 = 0
    INT8 = 1
    UINT16 = 2
    INT16 = 3
    UINT32 = 4
    INT32 = 5
    FLOAT32 = 6
    BOOL = 7
    STRING = 8
    ARRAY = 9
    UINT64 = 10
    INT64 = 11
    FLOAT64 = 12


FORMATS: dict[ValueType, struct.Struct] = {
    ValueType.UINT8: struct.Struct("<B"),
    ValueType.INT8: struct.Struct("<b"),
    ValueType.UINT16: struct.Struct("<H"),
    ValueType.INT16: struct.Struct("<h"),
    ValueType.UINT32: struct.Struct("<I"),
    ValueType.INT32: struct.Struct("<i"),
    ValueType.FLOAT32: struct.Struct("<f"),
    ValueType.BOOL: struct.Struct("<?"),
    ValueType.UINT64: struct.Struct("<Q"),
    ValueType.INT64: struct.Struct("<q"),
    ValueType.FLOAT64: struct.Struct("<d"),
}

Scalar = int | float | bool | str


class Array(msgspec.Struct, frozen=True):
    """An array: ``count`` items of ``item_type``; ``items`` is None where they were not kept."""

    item_type: ValueType
    count: int
    items: tuple[Scalar, ...] | None = None


class Value(msgspec.Struct, frozen=True):
    """A metadata value with the type it has in the file."""

    type: ValueType
    data: Scalar | Array


class TensorInfo(msgspec.Struct, frozen=True):
    """What the header says of one tensor.

    ``shape`` is in the file's order, the contiguous dimension first. ``offset`` is in bytes from
    the start of the data section. ``type_number`` may be one that is not in `ggml.TENSOR_TYPES`.
    """

    name: str
    shape: tuple[int, ...]
    type_number: int
    offset: int

    @property
    def type_name(self) -> str:
        """The name of the type, such as ``Q8_0``."""
        return type_name(self.type_number)

    @property
    def size_bytes(self) -> int | None:
        """Bytes of data; None where the type is not known."""
        kind = TENSOR_TYPES.get(self.type_number)
        return prod(self.shape) // kind.block_items * kind.block_bytes if kind else None


class GgufHeader(msgspec.Struct, frozen=True):
    """The header of one GGUF file.

    ``data_offset`` is where tensor data begin, in bytes from the start of the file;
    ``file_bytes`` is how long the file is.
    """

    version: int
    metadata: dict[str, Value]
    tensors: list[TensorInfo]
    alignment: int
    data_offset: int
    file_bytes: int

    @property
    def demanded_bytes(self) -> int | None:
        """How long the header demands the file to be; None where a tensor's type is unknown."""
        end = 0
        for tensor in self.tensors:
            size = tensor.size_bytes
            if size is None:
                return None
            end = max(end, tensor.offset + size)
        return self.data_offset + end

    def text(self, key: str) -> str | None:
        """The string under ``key``; None where there is none."""
        value = self.metadata.get(key)
        return value.data if value and isinstance(value.data, str) else None

    def integer(self, key: str) -> int | None:
        """The non-negative integer under ``key``; None where there is none."""
        value = self.metadata.get(key)
        if value is None or isinstance(value.data, bool) or not isinstance(value.data, int):
            return None
        return value.data if value.data >= 0 else None

    def items(self, key: str) -> tuple[Scalar, ...] | None:
        """The items of the array under ``key``; None where there is none or it was not kept."""
        value = self.metadata.get(key)
        return value.data.items if value and isinstance(value.data, Array) else None


def read_gguf(path: Path, keep_items: int = SMALL_ARRAY) -> GgufHeader:
    """The header of the file at ``path``, whose data are checked to be all there.

    Arrays of up to ``keep_items`` items are kept. Raises `ModelInvalidError`; an `OSError` where
    the file cannot be opened.
    """
    with path.open("rb") as stream:
        header = read_header(stream, str(path), keep_items)
    check_complete(header, str(path))
    return header


def check_complete(header: GgufHeader, file: str) -> None:
    """Raise `ModelInvalidError` where ``file`` is shorter than its ``header`` demands."""
    demanded = header.demanded_bytes
    if demanded is not None and header.file_bytes < demanded:
        raise truncated(file, header.file_bytes, demanded)


def read_header(stream: BinaryIO, file: str, keep_items: int = SMALL_ARRAY) -> GgufHeader:
    """The header in ``stream``, which is read from its start; ``file`` is its name in errors.

    Does not ask whether the tensor data are all there (see `check_complete`).
    """
    cursor = Cursor(stream, file, keep_items)
    version = _read_version(cursor)
    tensor_count = _read_count(cursor, "tensors", MAX_TENSORS, _LEAST_TENSOR_BYTES)
    key_count = _read_count(cursor, "keys", MAX_KEYS, _LEAST_KEY_BYTES)
    metadata = _read_metadata(cursor, key_count)
    alignment = _alignment(cursor, metadata)
    tensors = _read_tensors(cursor, tensor_count, alignment)
    data_offset = cursor.offset + -cursor.offset % alignment if tensors else cursor.offset
    return GgufHeader(version, metadata, tensors, alignment, data_offset, cursor.size)


def _read_version(cursor: Cursor) -> int:
    head = cursor.stream.read(HEAD_BYTES)
    cursor.stream.seek(0)
    if head[:4] != MAGIC:
        raise wrong_format(cursor.file, head, "a GGUF file")
    cursor.take(4)
    version = cursor.u32()
    if version and version & 0xFFFF == 0:
        raise cursor.fault(
            "it is a big-endian GGUF file", "fetch the little-endian conversion of the model"
        )
    if version not in {2, 3}:
        raise cursor.fault(
            f"it is GGUF version {version}; versions 2 and 3 are read",
            "fetch a current conversion of the model",
        )
    return version


def _read_count(cursor: Cursor, what: str, most: int, least_bytes: int) -> int:
    count = cursor.u64()
    if count > most:
        raise cursor.fault(f"its header claims {count} {what}; {most} is the most")
    cursor.need(count * least_bytes)
    return count


def _read_metadata(cursor: Cursor, count: int) -> dict[str, Value]:
    metadata: dict[str, Value] = {}
    for _ in range(count):
        key = cursor.text(MAX_NAME_BYTES)
        if key in metadata:
            raise cursor.fault(f"the key `{key}` is there twice")
        metadata[key] = _read_value(cursor, key)
    return metadata


def _read_value_type(cursor: Cursor, key: str) -> ValueType:
    number = cursor.u32()
    if number > max(ValueType):
        raise cursor.fault(f"the key `{key}` has a value of the unknown type {number}")
    return ValueType(number)


def _read_value(cursor: Cursor, key: str) -> Value:
    kind = _read_value_type(cursor, key)
    if kind is ValueType.STRING:
        return Value(kind, cursor.text(MAX_TEXT_BYTES))
    if kind is ValueType.ARRAY:
        return Value(kind, _read_array(cursor, key))
    form = FORMATS[kind]
    return Value(kind, form.unpack(cursor.take(form.size))[0])


def _read_array(cursor: Cursor, key: str) -> Array:
    kind = _read_value_type(cursor, key)
    count = cursor.u64()
    if kind is ValueType.ARRAY:
        raise cursor.fault(f"the key `{key}` is an array of arrays, which engines do not read")
    if kind is ValueType.STRING:
        return Array(kind, count, _read_texts(cursor, count))
    return Array(kind, count, _read_numbers(cursor, kind, count))


def _read_numbers(cursor: Cursor, kind: ValueType, count: int) -> tuple[Scalar, ...] | None:
    form = FORMATS[kind]
    size = count * form.size
    if count > cursor.keep_items or cursor.kept_bytes + size > MAX_KEPT_BYTES:
        cursor.skip(size)
        return None
    cursor.kept_bytes += size
    return struct.unpack(f"<{count}{form.format[-1]}", cursor.take(size))


def _read_texts(cursor: Cursor, count: int) -> tuple[Scalar, ...] | None:
    cursor.count_texts(count)
    if count <= cursor.keep_items:
        return tuple(cursor.text(MAX_TEXT_BYTES) for _ in range(count))
    cursor.skip_texts(count)
    return None


def _alignment(cursor: Cursor, metadata: Mapping[str, Value]) -> int:
    value = metadata.get(ALIGNMENT_KEY)
    alignment = value.data if value else DEFAULT_ALIGNMENT
    if (
        not isinstance(alignment, int)
        or not 0 < alignment <= MAX_ALIGNMENT
        or alignment & (alignment - 1)
    ):
        raise cursor.fault(f"`{ALIGNMENT_KEY}` is not a power of two up to {MAX_ALIGNMENT}")
    return alignment


def _read_tensors(cursor: Cursor, count: int, alignment: int) -> list[TensorInfo]:
    tensors = [_read_tensor(cursor, alignment) for _ in range(count)]
    if len({tensor.name for tensor in tensors}) != count:
        raise cursor.fault("two tensors have the same name")
    return tensors


def _read_tensor(cursor: Cursor, alignment: int) -> TensorInfo:
    name = cursor.text(MAX_NAME_BYTES)
    dimensions = cursor.u32()
    if dimensions > MAX_DIMENSIONS:
        raise cursor.fault(
            f"the tensor `{name}` has {dimensions} dimensions; {MAX_DIMENSIONS} is the most"
        )
    shape = tuple(cursor.u64() for _ in range(dimensions))
    tensor = TensorInfo(name, shape, cursor.u32(), cursor.u64())
    _check_tensor(cursor, tensor, alignment)
    return tensor


def _check_tensor(cursor: Cursor, tensor: TensorInfo, alignment: int) -> None:
    if prod(tensor.shape) >= 1 << 63 or tensor.offset >= 1 << 63:
        raise cursor.fault(f"the tensor `{tensor.name}` is larger than any file can be")
    if tensor.offset % alignment:
        raise cursor.fault(f"the tensor `{tensor.name}` does not begin on {alignment} bytes")
    kind = TENSOR_TYPES.get(tensor.type_number)
    if kind and tensor.shape and tensor.shape[0] % kind.block_items:
        raise cursor.fault(
            f"the rows of the tensor `{tensor.name}` are no whole number of {kind.name} blocks"
        )
