"""Models on this machine: what their headers and configurations say of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.models.ggml import FILE_TYPES
from sartor.models.gguf import GgufHeader, read_gguf
from sartor.models.model import Model, ModelFile
from sartor.models.parts import SHARD, all_parts, check_present
from sartor.models.safetensors import FolderReading, read_folder
from sartor.models.shape_config import folder_shape, text_part
from sartor.models.shape_gguf import gguf_shape
from sartor.models.sniff import invalid

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_DTYPES = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}


def local_gguf(path: Path, reference: str, name: str | None = None) -> Model:
    """The model in the GGUF file at ``path`` and, where that is one part of a split, in all parts.

    Raises `ModelInvalidError` where a part is missing, truncated or no GGUF file.
    """
    parts = split_parts(path)
    headers = [read_gguf(part) for part in parts]
    if not any(header.tensors for header in headers):
        raise invalid(str(path), 0, "it holds a vocabulary and no weights", "give the model itself")
    match = SHARD.fullmatch(path.name)
    return gguf_model(
        headers,
        reference=reference,
        name=name or (match["stem"] if match else path.stem),
        path=str(parts[0]),
        size_bytes=sum(header.file_bytes for header in headers),
        quantization=_file_type(headers),
        files=[ModelFile(p.name, h.file_bytes) for p, h in zip(parts, headers, strict=True)],
    )


def split_parts(path: Path) -> list[Path]:
    """``path`` alone, or all parts of the split file that it belongs to, the first first.

    Raises `ModelInvalidError` where a part is not there.
    """
    names = all_parts([path.name])
    if len(names) > 1:
        check_present(path.parent, names, [entry.name for entry in path.parent.iterdir()])
    return [path.with_name(name) for name in names]


def gguf_model(  # noqa: PLR0913 - what the header cannot say
    headers: list[GgufHeader],
    *,
    reference: str,
    name: str,
    path: str | None,
    size_bytes: int | None,
    quantization: str | None,
    files: list[ModelFile],
) -> Model:
    """The `Model` of the ``headers`` of a GGUF file's parts, the first first."""
    header = headers[0]
    architecture = header.text("general.architecture")
    return Model(
        reference=reference,
        format="gguf",
        name=name,
        path=path,
        size_bytes=size_bytes,
        architecture=architecture,
        context_length=header.integer(f"{architecture}.context_length"),
        block_count=header.integer(f"{architecture}.block_count"),
        shape=gguf_shape(headers, quantization),
        quantization=quantization,
        files=files,
        chat_template="tokenizer.chat_template" in header.metadata,
    )


def _file_type(headers: list[GgufHeader]) -> str | None:
    """The declared file type, else the tensor type that most bytes are of."""
    number = headers[0].integer("general.file_type")
    if number is not None and number in FILE_TYPES:
        return FILE_TYPES[number]
    by_type: dict[str, int] = {}
    for tensor in (tensor for header in headers for tensor in header.tensors):
        by_type[tensor.type_name] = by_type.get(tensor.type_name, 0) + (tensor.size_bytes or 0)
    return max(by_type, key=by_type.__getitem__, default=None)


def local_folder(folder: Path, reference: str, name: str | None = None) -> Model:
    """The model in the safetensors ``folder``. Raises `ModelInvalidError`."""
    reading = read_folder(folder)
    return folder_model(reading, reference=reference, name=name or folder.name, path=str(folder))


def folder_model(reading: FolderReading, *, reference: str, name: str, path: str | None) -> Model:
    """The `Model` of a safetensors folder that was read."""
    config = text_part(reading.config)
    return Model(
        reference=reference,
        format="safetensors",
        name=name,
        path=path,
        size_bytes=sum(reading.files.values()),
        architecture=_architecture(reading.config),
        context_length=_integer(config, "max_position_embeddings"),
        block_count=_integer(config, "num_hidden_layers"),
        shape=folder_shape(reading),
        quantization=_quantization(reading),
        files=[ModelFile(file, size) for file, size in reading.files.items()],
    )


def _integer(config: Mapping[str, object], key: str) -> int | None:
    value = config.get(key)
    is_number = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return value if is_number and isinstance(value, int) else None


def _architecture(config: Mapping[str, object]) -> str | None:
    names = config.get("architectures")
    first = names[0] if isinstance(names, list) and names else config.get("model_type")
    return first if isinstance(first, str) else None


def _quantization(reading: FolderReading) -> str | None:
    """The declared method, such as ``fp8`` or ``awq``, else the dtype of most bytes."""
    declared = reading.config.get("quantization_config")
    method = declared.get("quant_method") if isinstance(declared, dict) else None
    if isinstance(method, str):
        return method
    most = max(reading.dtype_bytes, key=reading.dtype_bytes.__getitem__, default=None)
    named = reading.config.get("dtype") or reading.config.get("torch_dtype")
    return most or _DTYPES.get(str(named))
