"""The `ModelShape` of a ``config.json``, for the families that transformers knows.

Sources: the configuration and model classes of transformers (the package named in
`facts/families.toml`), whose defaults hold where a file is silent. `models.shape_layers` counts
parameters, `models.shape_quant` reads ``quantization_config``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sartor import facts
from sartor.models.shape import ModelShape
from sartor.models.shape_layers import Reader, counted, tower_parameters
from sartor.models.shape_quant import quantization_of
from sartor.models.shape_weights import weights_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sartor.models.safetensors import FolderReading

MOST_LAYERS = 4096
_ITEM_BYTES = {"bfloat16": 2, "float16": 2, "float32": 4, "float8_e4m3fn": 1, "half": 2}
_KINDS = {
    "full_attention": "full", "attention": "full", "full": "full", "*": "full",
    "sliding_attention": "sliding", "sliding": "sliding", "swa": "sliding",
    "chunked_attention": "chunked", "linear_attention": "linear", "linear": "linear",
    "mamba": "linear", "M": "linear", "conv": "linear", "recurrent": "linear",
    "hybrid": "both", "-": "mlp", "mlp": "mlp", "E": "moe", "moe": "moe",
}  # fmt: skip
_NESTED = ("text_config", "llm_config", "language_config", "thinker_config")
_TOWERS = ("vision_config", "audio_config", "vision_tower", "vit_config")


def config_shape(config: Mapping[str, object]) -> ModelShape | None:
    """The shape that ``config`` describes; None where not even its layers are known."""
    text = text_part(config)
    family = str(text.get("model_type") or config.get("model_type") or "")
    read = Reader(text, facts.families().get(family) or facts.families().get(f"{family}_text"))
    layers, hidden = read.layers, read.number("hidden_size", "d_model", "n_embd")
    vocab = read.number("vocab_size")
    if not layers or layers > MOST_LAYERS or not hidden or not vocab:
        return None
    unknown: list[str] = []
    kinds = layer_kinds(read, layers, unknown)
    made = [counted(read, kind, number) for number, kind in enumerate(kinds)]
    if any(layer is None for layer in made):
        return None
    quantization = quantization_of({**config, **text}, unknown)
    tied = bool(config.get("tie_word_embeddings", read.get("tie_word_embeddings")))
    return ModelShape(
        family=family,
        layers=[layer for layer in made if layer is not None],
        hidden=hidden,
        vocab=vocab,
        item_bytes=_item_bytes({**config, **text}, unknown),
        dtype=_dtype({**config, **text}),
        heads=read.heads or 1,
        tied=tied,
        max_context=_trained(read),
        experts=read.experts,
        active_experts=read.number("num_experts_per_tok", "num_experts_per_token", "moe_topk") or 0,
        towers=_towers(config, hidden, unknown),
        quantization=quantization,
        unknown=unknown,
    )


def text_part(config: Mapping[str, object]) -> Mapping[str, object]:
    """The part of a ``config.json`` that describes the language model, however deep it lies."""
    for key in _NESTED:
        nested = config.get(key)
        if isinstance(nested, dict):
            return text_part({str(k): v for k, v in nested.items()})
    return config


def _trained(read: Reader) -> int | None:
    """The context in tokens: as trained, or as stretched where the file says so."""
    return read.number("max_position_embeddings", "n_positions", "max_seq_len", "seq_length")


def _dtype(config: Mapping[str, object]) -> str | None:
    """``bfloat16``; None where the configuration names none."""
    named = str(config.get("dtype") or config.get("torch_dtype") or "")
    return named.removeprefix("torch.") or None


def _item_bytes(config: Mapping[str, object], unknown: list[str]) -> int:
    known = _ITEM_BYTES.get(_dtype(config) or "")
    if known is None:
        unknown.append("dtype: the configuration names none that is known; 16 bits are taken")
    return known or 2


def _towers(config: Mapping[str, object], hidden: int, unknown: list[str]) -> int | None:
    """Parameters around the language model; None where some are there and cannot be counted."""
    found = [config[key] for key in _TOWERS if isinstance(config.get(key), dict)]
    total = 0
    for tower in found:
        count = tower_parameters(tower, hidden) if isinstance(tower, dict) else None
        if count is None:
            unknown.append("towers: a part beside the language model has sizes that are not known")
            return None
        total += count
    return total


def layer_kinds(read: Reader, layers: int, unknown: list[str]) -> list[str]:
    """What each layer is: full, sliding, chunked, linear, both (side by side), mlp or moe."""
    listed = read.items("layer_types", "layers_block_type", "hybrid_override_pattern")
    if listed is None and read.get("hybrid_layer_ids") is not None:
        apart = read.items("hybrid_layer_ids") or []
        return ["both" if n in apart else "linear" for n in range(layers)]
    if listed is not None and len(listed) == layers:
        kinds = [_KINDS.get(str(kind)) for kind in listed]
        if None in kinds:
            unknown.append(f"layers: a kind that is not known ({listed[kinds.index(None)]})")
        return [kind or "full" for kind in kinds]
    return _kinds_by_rule(read, layers, unknown)


def _kinds_by_rule(read: Reader, layers: int, unknown: list[str]) -> list[str]:
    """For files that list no kinds: the rule of the family's configuration class."""
    if read.family_is("falcon_h1"):
        return ["both"] * layers
    if read.family_is("mamba", "mamba2", "falcon_mamba"):
        return ["linear"] * layers
    whole = _full_layers(read, layers)
    if whole is not None:
        return ["full" if n in whole else "linear" for n in range(layers)]
    if (rope := read.items("no_rope_layers")) and read.get("attention_chunk_size"):
        return ["chunked" if kind else "full" for kind in rope]
    return _sliding_by_rule(read, layers, unknown)


def _full_layers(read: Reader, layers: int) -> set[object] | None:
    """The layers with attention among recurrent ones; None where no key speaks of them."""
    if (chosen := read.items("attn_layer_indices", "full_attn_idxs")) is not None:
        return set(chosen)
    if (types := read.items("attn_type_list")) is not None and len(types) == layers:
        return {n for n, kind in enumerate(types) if kind}
    if period := read.number("attn_layer_period"):
        first = read.number("attn_layer_offset") or 0
        return {n for n in range(layers) if n % period == first % period}
    if every := read.number("full_attention_interval"):
        return {n for n in range(layers) if (n + 1) % every == 0}
    return None


def _sliding_by_rule(read: Reader, layers: int, unknown: list[str]) -> list[str]:
    numbers = range(layers)
    window, used = read.number("sliding_window"), read.get("use_sliding_window")
    if not window or used is False:
        return ["full"] * layers
    if every := read.number("sliding_window_pattern"):
        return ["full" if (n + 1) % every == 0 else "sliding" for n in numbers]
    if period := read.fact.layer_period if read.fact else []:
        return [_KINDS[period[n % len(period)]] for n in numbers]
    if used and (first := read.number("max_window_layers")) is not None:
        return ["sliding" if n >= first else "full" for n in numbers]
    if read.fact is None:
        unknown.append("layers: a sliding window of a family that is not known; all slide")
    return ["sliding"] * layers


def folder_shape(reading: FolderReading) -> ModelShape | None:
    """The shape of a folder that was read: its configuration, and its weights as headers state."""
    shape = config_shape(reading.config)
    if shape is None:
        return None
    if reading.tensor_bytes:
        weights = weights_of(reading.tensor_bytes, len(shape.layers))
        tied = shape.tied or not weights.head
        return msgspec.structs.replace(shape, weights=weights, tied=tied)
    return msgspec.structs.replace(shape, weights_bytes=sum(reading.files.values()) or None)
