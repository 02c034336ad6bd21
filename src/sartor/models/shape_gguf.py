"""The `ModelShape` of a GGUF file: from its metadata, and exactly from its table of tensors.

Sources: the keys of llama.cpp's ``src/llama-arch.cpp`` and how ``src/llama-model.cpp`` reads them.
What a file leaves to llama.cpp's code (which layers slide) is looked up by family.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from sartor import facts
from sartor.models.ggml import TENSOR_TYPES
from sartor.models.shape import Attention, Cache, Latent, Layer, ModelShape, Quantization, State
from sartor.models.shape_config import MOST_LAYERS
from sartor.models.shape_weights import weights_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sartor.models.gguf import GgufHeader, TensorInfo

_NAMED = {"gemma3": "gemma3_text", "llama4": "llama4_text", "gpt-oss": "gpt_oss"}
_ROUTER = ("ffn_gate_inp", "norm", "ssm_a", "ssm_d", "ssm_dt", "ssm_conv1d")


def gguf_shape(headers: Sequence[GgufHeader], quantization: str | None) -> ModelShape | None:
    """The shape of a model in one file or in all parts of a split one, the first part first.

    None where the number of layers, the width or the vocabulary is not known.
    """
    header = headers[0]
    name = header.text("general.architecture") or ""
    layers, hidden = (
        header.integer(f"{name}.block_count"),
        header.integer(f"{name}.embedding_length"),
    )
    tensors = [tensor for one in headers for tensor in one.tensors]
    vocab = _vocabulary(header, name, tensors)
    if not layers or layers > MOST_LAYERS or not hidden or not vocab:
        return None
    unknown: list[str] = []
    caches = _caches(header, name, layers, hidden, unknown)
    if caches is None:
        return None
    sizes = {tensor.name: tensor.size_bytes for tensor in tensors}
    known = {name: size for name, size in sizes.items() if size is not None}
    if len(known) < len(sizes):
        unknown.append("weights: a tensor's type is not known")
    weights = weights_of(known, layers) if known else None
    return ModelShape(
        family=name,
        layers=_counted(tensors, caches, hidden, header.integer(f"{name}.feed_forward_length")),
        hidden=hidden,
        vocab=vocab,
        heads=header.integer(f"{name}.attention.head_count") or 1,
        tied=not any(tensor.name == "output.weight" for tensor in tensors),
        max_context=header.integer(f"{name}.context_length"),
        experts=header.integer(f"{name}.expert_count") or 0,
        active_experts=header.integer(f"{name}.expert_used_count") or 0,
        quantization=Quantization(quantization, _bits(tensors)) if quantization else None,
        weights=weights,
        format="gguf",
        unknown=unknown,
    )


def _vocabulary(header: GgufHeader, name: str, tensors: list[TensorInfo]) -> int | None:
    table = next((tensor for tensor in tensors if tensor.name == "token_embd.weight"), None)
    if table is not None and len(table.shape) == 2:
        return table.shape[1]
    return header.integer(f"{name}.vocab_size")


def _bits(tensors: list[TensorInfo]) -> float:
    items = sum(prod(t.shape) for t in tensors if t.type_number in TENSOR_TYPES)
    size = sum(t.size_bytes or 0 for t in tensors)
    return size * 8 / items if items else 16.0


def _per_layer(header: GgufHeader, key: str, layers: int) -> list[int] | None:
    """One number for each layer, from one number or an array."""
    number = header.integer(key)
    items = header.items(key) if number is None else (number,) * layers
    if items is None or len(items) < layers:
        return None
    return [item if isinstance(item, int) and item > 0 else 0 for item in items[:layers]]


def _caches(
    header: GgufHeader, name: str, layers: int, hidden: int, unknown: list[str]
) -> list[list[Cache]] | None:
    """The caches of every layer."""
    state = _state(header, name)
    if rank := header.integer(f"{name}.attention.kv_lora_rank"):
        return [[Latent(rank, header.integer(f"{name}.rope.dimension_count") or 0)]] * layers
    heads = header.integer(f"{name}.attention.head_count")
    grouped = f"{name}.attention.head_count_kv"
    key = grouped if grouped in header.metadata else f"{name}.attention.head_count"
    kv_heads = _per_layer(header, key, layers)
    items = header.integer(f"{name}.attention.key_length") or (hidden // heads if heads else None)
    if state is not None and (kv_heads is None or not any(kv_heads)):
        return [[state]] * layers
    if kv_heads is None or items is None:
        return None
    values = header.integer(f"{name}.attention.value_length") or items
    sliding = _sliding(header, name, layers, unknown)
    every = header.integer(f"{name}.full_attention_interval")
    made: list[list[Cache]] = []
    for n in range(layers):
        recurrent = state is not None and (kv_heads[n] == 0 or (every and (n + 1) % every))
        beside = state is not None and name == "falcon-h1"
        own: list[Cache] = (
            []
            if recurrent or not kv_heads[n]
            else [Attention(kv_heads[n], items, values, sliding[n])]
        )
        made.append(own + ([state] if state is not None and (recurrent or beside) else []))
    return made


def _state(header: GgufHeader, name: str) -> State | None:
    """The state of recurrent layers; None where the model has none."""
    kernel = header.integer(f"{name}.ssm.conv_kernel") or header.integer(
        f"{name}.shortconv.l_cache"
    )
    inner, size = header.integer(f"{name}.ssm.inner_size"), header.integer(f"{name}.ssm.state_size")
    if not kernel:
        return None
    if inner is None or size is None:
        width = header.integer(f"{name}.embedding_length") or 0
        return State("conv", width, kernel - 1, 0)
    groups = header.integer(f"{name}.ssm.group_count") or 0
    width = inner + 2 * groups * size
    return State("mamba2" if groups else "mamba1", width, kernel - 1, inner * size)


def _sliding(header: GgufHeader, name: str, layers: int, unknown: list[str]) -> list[int | None]:
    """The window of each layer; None for those that keep every token."""
    key = f"{name}.attention.sliding_window"
    window = header.integer(key)
    trained = header.integer(f"{name}.context_length")
    if not window or (trained and window >= trained):
        return [None] * layers
    flags = header.items(f"{key}_pattern")
    if flags is not None and len(flags) >= layers:
        return [window if flag else None for flag in flags[:layers]]
    if every := header.integer(f"{key}_pattern"):
        return [None if (n + 1) % every == 0 else window for n in range(layers)]
    fact = facts.families().get(_NAMED.get(name, name))
    if fact is not None and fact.layer_period:
        period = fact.layer_period
        whole = [period[n % len(period)] == "full_attention" for n in range(layers)]
        return [None if full else window for full in whole]
    unknown.append("layers: a window, and no word which layers slide; all are taken to keep all")
    return [None] * layers


def _counted(
    tensors: list[TensorInfo], caches: list[list[Cache]], hidden: int, inner: int | None
) -> list[Layer]:
    """The layers with their parameters, counted in the table of tensors."""
    counts = [{"attention": 0, "shared": 0, "dense": 0, "experts": 0, "plain": 0} for _ in caches]
    for tensor in tensors:
        prefix, _, rest = tensor.name.partition(".")
        number, _, part = rest.partition(".")
        if prefix == "blk" and number.isdecimal() and int(number) < len(caches):
            counts[int(number)][_kind(part)] += prod(tensor.shape)
    width = max(2 * (inner or 0), 4 * hidden)
    return [Layer(c, **n, width=width) for c, n in zip(caches, counts, strict=True)]


def _kind(part: str) -> str:
    if any(word in part for word in _ROUTER):
        return "plain"
    if "_exps" in part:
        return "experts"
    if part.startswith("ffn"):
        return "dense"
    return "shared" if part.startswith(("attn_k", "attn_v")) else "attention"
