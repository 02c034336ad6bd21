"""Models on this machine: what their headers and configurations say of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.models.ggml import FILE_TYPES
from sartor.models.gguf import GgufHeader, read_gguf
from sartor.models.model import Model, ModelFile, attention_bytes_per_token
from sartor.models.parts import SHARD, all_parts, check_present
from sartor.models.safetensors import FolderReading, read_folder
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
        headers[0],
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
    header: GgufHeader,
    *,
    reference: str,
    name: str,
    path: str | None,
    size_bytes: int | None,
    quantization: str | None,
    files: list[ModelFile],
) -> Model:
    """The `Model` of a GGUF ``header``."""
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
        kv_bytes_per_token=gguf_kv_bytes(header),
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


def gguf_kv_bytes(header: GgufHeader) -> int | None:
    """`Model.kv_bytes_per_token` of a GGUF header."""
    prefix = header.text("general.architecture")
    blocks = header.integer(f"{prefix}.block_count")
    if not blocks or blocks > 1 << 16:
        return None
    rank = header.integer(f"{prefix}.attention.kv_lora_rank")
    if rank:
        return 2 * blocks * (rank + (header.integer(f"{prefix}.rope.dimension_count") or 0))
    heads = _kv_heads(header, f"{prefix}.attention", blocks)
    full = _full_layers(header, f"{prefix}.attention.sliding_window", blocks)
    key = header.integer(f"{prefix}.attention.key_length") or _head_size(header, prefix)
    value = header.integer(f"{prefix}.attention.value_length") or key
    if heads is None or full is None or key is None or value is None:
        return None
    kept = [count for count, whole in zip(heads, full, strict=True) if whole]
    return attention_bytes_per_token(kept, key, value)


def _head_size(header: GgufHeader, prefix: str | None) -> int | None:
    width = header.integer(f"{prefix}.embedding_length")
    heads = header.integer(f"{prefix}.attention.head_count")
    return width // heads if width and heads else None


def _kv_heads(header: GgufHeader, prefix: str, blocks: int) -> list[int] | None:
    """The key/value heads of each layer, from one number or from an array."""
    grouped = f"{prefix}.head_count_kv"
    key = grouped if grouped in header.metadata else f"{prefix}.head_count"
    number = header.integer(key)
    items = header.items(key) if number is None else (number,) * blocks
    if items is None or len(items) != blocks:
        return None
    return [item if isinstance(item, int) and item > 0 else 0 for item in items]


def _full_layers(header: GgufHeader, key: str, blocks: int) -> list[bool] | None:
    """For each layer whether it keeps all tokens; None where a window is there and no pattern."""
    window = header.integer(key)
    context = header.integer(f"{header.text('general.architecture')}.context_length")
    if not window or (context and window >= context):
        return [True] * blocks
    sliding = header.items(f"{key}_pattern")
    if sliding is not None and len(sliding) == blocks:
        return [not item for item in sliding]
    every = header.integer(f"{key}_pattern")
    return [(layer + 1) % every == 0 for layer in range(blocks)] if every else None


def local_folder(folder: Path, reference: str, name: str | None = None) -> Model:
    """The model in the safetensors ``folder``. Raises `ModelInvalidError`."""
    reading = read_folder(folder)
    return folder_model(reading, reference=reference, name=name or folder.name, path=str(folder))


def folder_model(reading: FolderReading, *, reference: str, name: str, path: str | None) -> Model:
    """The `Model` of a safetensors folder that was read."""
    config = text_config(reading.config)
    return Model(
        reference=reference,
        format="safetensors",
        name=name,
        path=path,
        size_bytes=sum(reading.files.values()),
        architecture=_architecture(reading.config),
        context_length=_integer(config, "max_position_embeddings"),
        block_count=_integer(config, "num_hidden_layers"),
        kv_bytes_per_token=config_kv_bytes(config),
        quantization=_quantization(reading),
        files=[ModelFile(file, size) for file, size in reading.files.items()],
    )


def text_config(config: Mapping[str, object]) -> Mapping[str, object]:
    """The part of a ``config.json`` that describes the language model."""
    nested = config.get("text_config")
    return {str(k): v for k, v in nested.items()} if isinstance(nested, dict) else config


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


def config_kv_bytes(config: Mapping[str, object]) -> int | None:
    """`Model.kv_bytes_per_token` of a language model's configuration."""
    layers = _config_full_layers(config)
    rank = _integer(config, "kv_lora_rank")
    if rank and layers:
        return 2 * layers * (rank + (_integer(config, "qk_rope_head_dim") or 0))
    heads = _integer(config, "num_attention_heads")
    kv_heads = _integer(config, "num_key_value_heads") or heads
    width = _integer(config, "hidden_size")
    size = _integer(config, "head_dim") or (width // heads if width and heads else None)
    if layers is None or kv_heads is None or size is None:
        return None
    return attention_bytes_per_token([kv_heads] * layers, size, size)


def _config_full_layers(config: Mapping[str, object]) -> int | None:
    """How many layers keep all tokens; None where a window is there and no pattern."""
    kinds = config.get("layer_types")
    if isinstance(kinds, list):
        return sum(kind in {"full_attention", "attention"} for kind in kinds)
    layers = _integer(config, "num_hidden_layers")
    window = _integer(config, "sliding_window")
    used = config.get("use_sliding_window", True)
    if window and used and window < (_integer(config, "max_position_embeddings") or window + 1):
        return None
    return layers if layers is not None and layers <= 1 << 16 else None
