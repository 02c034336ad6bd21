"""GGUF: a writer of whole files (version 3, little endian), for models made on this machine."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import msgspec

from sartor.models.gguf import (
    ALIGNMENT_KEY,
    DEFAULT_ALIGNMENT,
    FORMATS,
    MAGIC,
    Array,
    Scalar,
    TensorInfo,
    Value,
    ValueType,
)
from sartor.paths import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

_U32 = FORMATS[ValueType.UINT32]
_U64 = FORMATS[ValueType.UINT64]


class Tensor(msgspec.Struct, frozen=True):
    """A tensor to write: ``data`` is as long as ``shape`` and ``type_number`` demand."""

    name: str
    shape: tuple[int, ...]
    type_number: int
    data: bytes


def scalar(kind: ValueType, data: Scalar) -> Value:
    """A metadata value that is no array."""
    return Value(kind, data)


def array(kind: ValueType, items: Sequence[Scalar]) -> Value:
    """A metadata array of ``items``."""
    return Value(ValueType.ARRAY, Array(kind, len(items), tuple(items)))


def write_gguf(path: Path, metadata: Mapping[str, Value], tensors: Iterable[Tensor]) -> None:
    """Write a GGUF file (version 3) beside ``path`` and rename it there.

    Every array in ``metadata`` must have its items. ``ValueError`` where a value or a tensor does
    not fit its type; `DiskFullError` and `FolderNotWritableError` as for any file.
    """
    write_atomically(path, gguf_bytes(metadata, list(tensors)))


def gguf_bytes(metadata: Mapping[str, Value], tensors: Sequence[Tensor]) -> bytes:
    """The whole file as bytes; pure, and the same bytes for the same arguments."""
    declared = metadata.get(ALIGNMENT_KEY)
    stated = declared.data if declared else None
    alignment = stated if isinstance(stated, int) else DEFAULT_ALIGNMENT
    parts = [MAGIC, _U32.pack(3), _U64.pack(len(tensors)), _U64.pack(len(metadata))]
    for key, value in metadata.items():
        parts += [_pack_text(key), _U32.pack(value.type), _pack_value(value)]
    offset = 0
    for tensor in tensors:
        parts.append(_pack_info(tensor, offset))
        offset += len(tensor.data) + -len(tensor.data) % alignment
    header = b"".join(parts)
    body = [header, bytes(-len(header) % alignment)]
    for tensor in tensors:
        body += [tensor.data, bytes(-len(tensor.data) % alignment)]
    return b"".join(body)


def _pack_info(tensor: Tensor, offset: int) -> bytes:
    info = TensorInfo(tensor.name, tensor.shape, tensor.type_number, offset)
    if info.size_bytes not in {None, len(tensor.data)}:
        raise ValueError(
            f"`{tensor.name}` has {len(tensor.data)} bytes of data, not {info.size_bytes}"
        )
    shape = struct.pack(f"<I{len(tensor.shape)}Q", len(tensor.shape), *tensor.shape)
    return _pack_text(tensor.name) + shape + struct.pack("<IQ", tensor.type_number, offset)


def _pack_text(text: str) -> bytes:
    data = text.encode()
    return _U64.pack(len(data)) + data


def _pack_value(value: Value) -> bytes:
    if not isinstance(value.data, Array):
        return _pack_scalar(value.type, value.data)
    items = value.data.items
    if items is None or len(items) != value.data.count:
        raise ValueError("an array whose items were not kept cannot be written")
    head = struct.pack("<IQ", value.data.item_type, len(items))
    return head + b"".join(_pack_scalar(value.data.item_type, item) for item in items)


def _pack_scalar(kind: ValueType, item: Scalar) -> bytes:
    if kind is ValueType.STRING and isinstance(item, str):
        return _pack_text(item)
    form = FORMATS.get(kind)
    if form is None or isinstance(item, str):
        raise ValueError(f"{item!r} cannot be written as {kind.name}")
    try:
        return form.pack(item)
    except (struct.error, OverflowError) as error:
        raise ValueError(f"{item!r} does not fit {kind.name}") from error
