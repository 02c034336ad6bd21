"""Parameters and caches of one layer, from the keys of a ``config.json``.

The counts are those of transformers' model classes; biases and norms are counted where they are
large enough to matter (a thousandth).
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from sartor.models.shape import Attention, Cache, Latent, Layer, State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sartor.facts import FamilyFact


class Reader:
    """A configuration with its family's defaults behind it."""

    def __init__(self, config: Mapping[str, object], fact: FamilyFact | None) -> None:
        self.config = config
        self.fact = fact

    def get(self, key: str) -> object:
        """What the file says, else the family's default; None where neither knows."""
        if key in self.config:
            return self.config[key]
        return self.fact.defaults.get(key) if self.fact else None

    def number(self, *keys: str) -> int | None:
        """The first of ``keys`` with a non-negative integer; the file's word goes first."""
        found = [self.config[key] for key in keys if key in self.config]
        found += [self.fact.defaults[k] for k in keys if self.fact and k in self.fact.defaults]
        for value in found:
            if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
                return value
        return None

    def items(self, *keys: str) -> list[object] | None:
        """The first list, or text of one letter for each layer, among ``keys``."""
        for key in keys:
            value = self.config.get(key)
            if isinstance(value, list | str) and value:
                return list(value)
        return None

    def family_is(self, *names: str) -> bool:
        """Whether the family is one of ``names``."""
        return self.config.get("model_type") in names

    @cached_property
    def layers(self) -> int | None:
        """How many blocks."""
        pattern = self.config.get("hybrid_override_pattern")
        if isinstance(pattern, str) and "num_hidden_layers" not in self.config:
            return len(pattern)
        return self.number("num_hidden_layers", "n_layer", "num_layers", "n_layers")

    @cached_property
    def hidden(self) -> int:
        """The width of the residual stream."""
        return self.number("hidden_size", "d_model", "n_embd") or 0

    @cached_property
    def heads(self) -> int | None:
        """Query heads."""
        return self.number("num_attention_heads", "n_head", "n_heads")

    @cached_property
    def kv_heads(self) -> int | None:
        """Key/value heads: as many as query heads where nothing else is said."""
        if self.get("multi_query") and not self.get("new_decoder_architecture"):
            return 1
        keys = ("num_key_value_heads", "n_head_kv", "num_kv_heads", "multi_query_group_num")
        stated = next((self.config[key] for key in keys if key in self.config), None)
        if isinstance(stated, int):
            return stated
        # A default of the family's is for its own number of heads.
        return self.number(*keys) if "num_attention_heads" not in self.config else self.heads

    @cached_property
    def head_items(self) -> int | None:
        """Items of one head."""
        stated = self.config.get("head_dim") or self.config.get("attention_head_dim")
        if isinstance(stated, int) and stated:
            return stated
        if "head_dim" in self.config or not self.fact or not self.fact.defaults.get("head_dim"):
            return self.hidden // self.heads if self.heads else None
        return self.number("head_dim")

    @cached_property
    def experts(self) -> int:
        """Routed experts of a mixture; 0 where the model is none."""
        keys = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
        count = self.number(*keys) or 0
        return count if count > 1 else 0


def counted(read: Reader, kind: str, number: int) -> Layer | None:
    """Layer ``number`` of a ``kind`` (see `shape_config.layer_kinds`); None where not known."""
    caches: list[Cache] = []
    attention = shared = plain = 0
    if kind in {"full", "sliding", "chunked", "both"}:
        found = _attention(read, kind)
        if found is None:
            return None
        cache, attention, shared = found
        caches.append(cache)
    if kind in {"linear", "both"}:
        state = _state(read)
        if state is None:
            return None
        caches.append(state[0])
        attention += state[1]
        plain += state[2]
    dense, experts, router = _feed_forward(read, kind, number)
    plain += router + 2 * read.hidden
    width = max(_inner(read), 4 * read.hidden)
    return Layer(caches, attention, shared, dense, experts, plain, width)


def _inner(read: Reader) -> int:
    """The widest activation of the feed-forward part: gate and up side by side."""
    size = _dense_size(read) or 0
    return 2 * size if read.fact is None or read.fact.gated_mlp else size


def _attention(read: Reader, kind: str) -> tuple[Cache, int, int] | None:
    """The cache, the split parameters, and those of keys and values."""
    if rank := read.number("kv_lora_rank"):
        return _latent(read, rank)
    heads, kv_heads, items = read.heads, read.kv_heads, read.head_items
    if not heads or kv_heads is None or not items:
        return None
    value_items = read.number("v_head_dim") or items
    window = read.number("sliding_window") if kind == "sliding" else None
    chunk = read.number("attention_chunk_size") if kind == "chunked" else None
    query = read.hidden * heads * items * (2 if read.fact and read.fact.query_gate else 1)
    bias = read.get("attention_bias") or read.family_is("qwen2", "qwen2_moe")
    output = heads * value_items * read.hidden + (heads * items if bias else 0)
    keys = kv_heads * (items + value_items) * (read.hidden + (1 if bias else 0))
    return Attention(kv_heads, items, value_items, window, chunk), query + output, keys


def _latent(read: Reader, rank: int) -> tuple[Cache, int, int] | None:
    """DeepSeek's attention: down to a rank, up to the heads."""
    heads, nope = read.heads, read.number("qk_nope_head_dim")
    rope, value = read.number("qk_rope_head_dim"), read.number("v_head_dim")
    if not heads or nope is None or rope is None or value is None:
        return None
    width = heads * (nope + rope)
    low = (
        read.config.get("q_lora_rank") if "q_lora_rank" in read.config else read.get("q_lora_rank")
    )
    query_down = read.hidden * low if isinstance(low, int) else 0
    query = low * width if isinstance(low, int) else read.hidden * width
    up = rank * heads * (nope + value)
    down = read.hidden * (rank + rope)
    return Latent(rank, rope), query + up + heads * value * read.hidden, down + query_down


def _state(read: Reader) -> tuple[State, int, int] | None:
    """A recurrent layer's state, its linear parameters, and the rest (convolution, decay)."""
    if read.get("linear_num_value_heads"):
        return _delta(read)
    if read.get("conv_L_cache"):
        length = read.number("conv_L_cache") or 0
        state = State("conv", read.hidden, length - 1, 0)
        return state, 4 * read.hidden * read.hidden, read.hidden * length
    if read.family_is("minimax", "minimax_text_01"):
        heads, items = read.heads or 0, read.head_items or 0
        state = State("linear", 0, 0, heads * items * items, heads)
        return state, 5 * read.hidden * heads * items, heads * items
    heads = read.number("mamba_num_heads", "mamba_n_heads", "num_heads") or 0
    return _mamba2(read, heads) if heads else _mamba1(read)


def _delta(read: Reader) -> tuple[State, int, int] | None:
    """Gated delta net (Qwen3-Next)."""
    numbers = [
        read.number(f"linear_{what}")
        for what in ("num_key_heads", "key_head_dim", "num_value_heads", "value_head_dim")
    ]
    if None in numbers:
        return None
    k_heads, k_items, v_heads, v_items = (n or 0 for n in numbers)
    kernel = read.number("linear_conv_kernel_dim") or 4
    keys, values = k_heads * k_items, v_heads * v_items
    width = 2 * keys + values
    precise = read.get("mamba_ssm_dtype") == "float32"
    state = State("delta", width, kernel - 1, v_heads * v_items * k_items, v_heads, precise=precise)
    linear = read.hidden * (width + values) + read.hidden * 2 * v_heads + values * read.hidden
    return state, linear, width * kernel


def _mamba2(read: Reader, heads: int) -> tuple[State, int, int] | None:
    items = read.number("mamba_head_dim", "mamba_d_head", "head_dim")
    size = read.number("ssm_state_size", "mamba_d_state", "state_size")
    groups = read.number("mamba_n_groups", "n_groups", "mamba_ngroups") or 1
    kernel = read.number("conv_kernel", "mamba_d_conv") or 4
    if not items:
        expand = read.number("expand", "mamba_expand")
        items = expand * read.hidden // heads if expand else None
    if not items or not size:
        return None
    inner = heads * items
    width = inner + 2 * groups * size
    named = read.get("mamba_ssm_cache_dtype")
    precise = named == "float32" if named else bool(read.fact and read.fact.precise_state)
    state = State("mamba2", width, kernel - 1, heads * items * size, heads, groups, size, precise)
    linear = read.hidden * (inner + width + heads) + inner * read.hidden
    return state, linear, width * (kernel + 1) + inner + 3 * heads


def _mamba1(read: Reader) -> tuple[State, int, int] | None:
    size = read.number("mamba_d_state", "state_size")
    kernel = read.number("mamba_d_conv", "conv_kernel") or 4
    inner = read.number("intermediate_size") if not read.get("mamba_d_state") else None
    inner = inner or (read.number("mamba_expand", "expand") or 2) * read.hidden
    rank = read.number("mamba_dt_rank", "time_step_rank") or -(-read.hidden // 16)
    if not size:
        return None
    linear = 3 * read.hidden * inner + inner * (rank + 2 * size) + rank * inner
    state = State("mamba1", inner, kernel - 1, inner * size)
    return state, linear, inner * (kernel + 3 + size)


def _dense_size(read: Reader) -> int | None:
    """The width of a feed-forward part that is no mixture."""
    size = read.number("intermediate_size_mlp", "intermediate_size", "ffn_hidden_size", "n_inner")
    if read.get("block_auto_adjust_ff_dim") and size:
        many = read.number("block_multiple_of") or 256
        return -(-(2 * size // 3) // many) * many
    return size or 4 * read.hidden


def _feed_forward(read: Reader, kind: str, number: int) -> tuple[int, int, int]:
    """Parameters of the dense part, of the routed experts, and of the router."""
    if not _has_feed_forward(read, kind):
        return 0, 0, 0
    matrices = 2 if read.fact and not read.fact.gated_mlp else 3
    hidden = read.hidden
    if not _is_mixture(read, kind, number):
        return matrices * hidden * (_dense_size(read) or 0), 0, 0
    size = read.number("moe_intermediate_size") or read.number("intermediate_size") or 0
    experts = read.experts * matrices * hidden * size
    experts += read.experts * 3 * size if read.get("attention_bias") else 0
    return matrices * hidden * _shared_size(read, size), experts, hidden * read.experts


def _shared_size(read: Reader, size: int) -> int:
    """The width of all experts that every token goes through."""
    stated = read.number(
        "shared_expert_intermediate_size",
        "moe_shared_expert_intermediate_size",
        "shared_intermediate_size",
    )
    if stated is not None:
        return stated
    if read.family_is("llama4_text"):
        return size
    count = read.number("n_shared_experts", "moe_num_shared_experts", "num_shared_expert")
    return (count or 0) * size


def _has_feed_forward(read: Reader, kind: str) -> bool:
    """Whether a layer has one: in families of one mixer a layer, only where it is the mixer."""
    if read.get("hybrid_override_pattern") is not None:
        return kind in {"mlp", "moe"}
    alone = read.family_is("mamba", "mamba2", "falcon_mamba")
    return not alone


def _is_mixture(read: Reader, kind: str, number: int) -> bool:
    if not read.experts:
        return False
    if read.get("hybrid_override_pattern") is not None:
        return kind == "moe"
    only = read.items("mlp_only_layers") or []
    if number in only or number < (read.number("first_k_dense_replace", "num_dense_layers") or 0):
        return False
    if (chosen := read.items("moe_layers")) is not None:
        return number in chosen
    if every := read.number("expert_layer_period"):
        return number % every == (read.number("expert_layer_offset") or 0) % every
    step = read.number("decoder_sparse_step", "interleave_moe_layer_step", "moe_layer_freq")
    return (number + 1) % step == 0 if step and step > 1 else True


def tower_parameters(tower: Mapping[str, object], hidden: int) -> int | None:
    """Parameters of a vision transformer of these sizes and its projector; None if not known."""
    keys = ("hidden_size", "intermediate_size", "num_hidden_layers", "patch_size", "image_size")
    sizes = [tower.get(key) for key in keys]
    if not all(isinstance(size, int) and size > 0 for size in sizes):
        return None
    width, inner, layers, patch, image = (msgspec.convert(size, int) for size in sizes)
    block = 4 * width * width + 2 * width * inner
    return layers * block + width * (3 * patch * patch + (image // patch) ** 2 + hidden)
