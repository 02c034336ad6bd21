"""Safetensors: a total reader of headers and of model folders, and a writer.

A file is an 8-byte little-endian length, a JSON header of that length, and the data. A folder is
``config.json`` with ``model.safetensors``, or with ``model.safetensors.index.json`` and the
shards that it names. Readers give a value or raise `ModelInvalidError`; tensor data are not read.
"""

from __future__ import annotations

import struct
from math import prod
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, BinaryIO, TypeVar

import msgspec

from sartor.models.parts import all_parts, check_present
from sartor.models.sniff import HEAD_BYTES, invalid, truncated, wrong_format

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_HEADER_BYTES = 100_000_000
MAX_DOCUMENT_BYTES = 64 << 20
INDEX = "model.safetensors.index.json"
WHOLE_FOLDER = "fetch the whole repository again, by its hub name"

# Bits of an item; a type that is not here has an unknown size.
DTYPE_BITS = {
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "U16": 16, "I16": 16, "F16": 16, "BF16": 16,
    "U32": 32, "I32": 32, "F32": 32,
    "U64": 64, "I64": 64, "F64": 64, "C64": 64,
}  # fmt: skip

_T = TypeVar("_T")
Natural = Annotated[int, msgspec.Meta(ge=0)]


class TensorEntry(msgspec.Struct, frozen=True):
    """One tensor: its type, shape and extent, in bytes from the start of the data."""

    dtype: str
    shape: list[Natural]
    data_offsets: tuple[Natural, Natural]


class SafetensorsHeader(msgspec.Struct, frozen=True):
    """The header of one file, and how long the file is and is demanded to be, in bytes."""

    tensors: dict[str, TensorEntry]
    data_offset: int
    file_bytes: int

    @property
    def demanded_bytes(self) -> int:
        """How long the header demands the file to be."""
        ends = (tensor.data_offsets[1] for tensor in self.tensors.values())
        return self.data_offset + max(ends, default=0)


class FolderReading(msgspec.Struct, frozen=True):
    """A model folder: its configuration, weight files (name to size), bytes of dtypes and tensors.

    ``tensor_bytes`` is empty where no header was read.
    """

    config: dict[str, object]
    files: dict[str, int]
    dtype_bytes: dict[str, int]
    tensor_bytes: dict[str, int] = {}


class _Index(msgspec.Struct, frozen=True):
    weight_map: dict[str, str]


def read_safetensors(path: Path) -> SafetensorsHeader:
    """The header of the file at ``path``, whose data are checked to be all there.

    Raises `ModelInvalidError`; an `OSError` where the file cannot be opened.
    """
    with path.open("rb") as stream:
        header = read_header(stream, str(path))
    if header.file_bytes < header.demanded_bytes:
        raise truncated(str(path), header.file_bytes, header.demanded_bytes)
    return header


def read_header(stream: BinaryIO, file: str) -> SafetensorsHeader:
    """The header in ``stream``, which is read from its start; ``file`` is its name in errors."""
    size = stream.seek(0, 2)
    stream.seek(0)
    head = stream.read(HEAD_BYTES)
    length = int.from_bytes(head[:8], "little")
    if head[8:9] != b"{" or not 2 <= length <= MAX_HEADER_BYTES:
        raise wrong_format(file, head, "a safetensors file")
    if 8 + length > size:
        raise invalid(
            file,
            size,
            f"it is truncated: it has {size} bytes and ends inside its header, which demands "
            f"{8 + length}",
        )
    stream.seek(8)
    return SafetensorsHeader(_parse_header(stream.read(length), file), 8 + length, size)


def _parse_header(text: bytes, file: str) -> dict[str, TensorEntry]:
    try:
        entries = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        entries.pop("__metadata__", None)
        tensors = {
            name: msgspec.json.decode(entry, type=TensorEntry) for name, entry in entries.items()
        }
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise invalid(file, 8, f"its header cannot be read ({error})") from error
    for name, tensor in tensors.items():
        _check_entry(name, tensor, file)
    return tensors


def _check_entry(name: str, tensor: TensorEntry, file: str) -> None:
    begin, end = tensor.data_offsets
    bits = DTYPE_BITS.get(tensor.dtype)
    wrong_size = bits is not None and prod(tensor.shape) * bits != (end - begin) * 8
    if begin > end or wrong_size:
        raise invalid(file, 8, f"the extent of its tensor `{name}` does not fit its shape and type")


def read_folder(folder: Path) -> FolderReading:
    """What ``folder`` holds, with every weight file checked to be there and whole.

    Raises `ModelInvalidError`; `FileNotFoundError` where there is no such folder.
    """
    present = sorted(entry.name for entry in folder.iterdir())
    config = read_config(folder / "config.json")
    files: dict[str, int] = {}
    dtype_bytes: dict[str, int] = {}
    tensor_bytes: dict[str, int] = {}
    for name in _weight_files(folder, present):
        header = read_safetensors(folder / name)
        files[name] = header.file_bytes
        for tensor_name, tensor in header.tensors.items():
            begin, end = tensor.data_offsets
            tensor_bytes[tensor_name] = end - begin
            dtype_bytes[tensor.dtype] = dtype_bytes.get(tensor.dtype, 0) + end - begin
    return FolderReading(config, files, dtype_bytes, tensor_bytes)


def read_config(path: Path) -> dict[str, object]:
    """The object in the ``config.json`` at ``path``. Raises `ModelInvalidError`."""
    return _read_document(path, dict[str, object])


def _read_document(path: Path, kind: type[_T]) -> _T:
    file = str(path)
    try:
        with path.open("rb") as stream:
            text = stream.read(MAX_DOCUMENT_BYTES)
    except FileNotFoundError as error:
        raise invalid(file, 0, "it is missing", WHOLE_FOLDER) from error
    if not text.lstrip().startswith(b"{"):
        raise wrong_format(file, text[:HEAD_BYTES], "a JSON object")
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise invalid(file, 0, f"it cannot be read ({error})", WHOLE_FOLDER) from error


def _weight_files(folder: Path, present: list[str]) -> list[str]:
    if INDEX in present:
        index = _read_document(folder / INDEX, _Index)
        wanted = sorted(set(index.weight_map.values()))
    elif "model.safetensors" in present:
        wanted = ["model.safetensors"]
    else:
        wanted = all_parts([name for name in present if name.endswith(".safetensors")])
    _check_named(folder, wanted, present)
    check_present(folder, wanted, present)
    return wanted


def _check_named(folder: Path, wanted: list[str], present: list[str]) -> None:
    """Raise `ModelInvalidError` unless ``wanted`` names some files, all of them in ``folder``."""
    if not wanted:
        pickles = [name for name in present if name.endswith((".bin", ".pt", ".pth"))]
        reason = "it holds only pickles, which can run code" if pickles else "it holds no weights"
        raise invalid(str(folder), 0, reason, "fetch the model as GGUF or safetensors")
    outside = [name for name in wanted if PurePosixPath(name).name != name]
    if outside:
        raise invalid(str(folder / INDEX), 0, f"it names a file elsewhere: `{outside[0]}`")


def safetensors_bytes(tensors: Mapping[str, tuple[str, tuple[int, ...], bytes]]) -> bytes:
    """A whole file from tensors by name, each a dtype, a shape and its data; pure."""
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, (dtype, shape, data) in tensors.items():
        extent = (offset, offset + len(data))
        entries[name] = TensorEntry(dtype, list(shape), extent)
        offset += len(data)
    header = msgspec.json.encode(entries)
    header += b" " * (-len(header) % 8)
    return b"".join([struct.pack("<Q", len(header)), header, *(t[2] for t in tensors.values())])
