"""What a language model must answer: its forward pass in numpy, in double precision.

Written for this purpose from the models' definitions, and shares no code with any engine: Llama,
Mixtral (mixture of experts) and DeepSeek V2 (latent attention, dense layers). A weight is taken
as it is stored; nothing is batched, cached or fused.

With ``rounding`` the result of each step is rounded to a storage type, as an engine has to that
computes in it: how far that moves the answer is how much an engine may differ.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable, Dict, Tuple  # noqa: UP035 - Python 3.9

import numpy as np

Array = Any
Rounding = Callable[[Array], Array]
Tensors = Dict[str, Array]  # noqa: UP006


def exactly(values: Array) -> Array:
    """Double precision throughout."""
    return values


def to_float32(values: Array) -> Array:
    """The nearest float32, as a double."""
    return values.astype(np.float32).astype(np.float64)


def to_float16(values: Array) -> Array:
    """The nearest float16, as a double."""
    return values.astype(np.float16).astype(np.float64)


def to_bfloat16(values: Array) -> Array:
    """The nearest bfloat16 (ties to even), as a double."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    nearest = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
    return (nearest << np.uint32(16)).view(np.float32).astype(np.float64)


def to_blocks_of_int8(values: Array) -> Array:
    """Each 32 of a row as int8 and a scale, as llama.cpp does with what a Q8_0 matrix meets."""
    blocks = values.reshape(*values.shape[:-1], -1, 32)
    steps = np.abs(blocks).max(-1, keepdims=True) / 127
    return (np.round(blocks / np.where(steps == 0, 1, steps)) * steps).reshape(values.shape)


ROUNDINGS: Dict[str, Tuple[Rounding, Rounding]] = {  # noqa: UP006
    "float32": (to_float32, exactly),
    "float16": (to_float16, exactly),
    "bfloat16": (to_bfloat16, exactly),
    "float16, products of int8": (to_float16, to_blocks_of_int8),
}
"""What the result of each step is rounded to, and what each matrix meets."""


def read_model(folder: str) -> Tuple[Dict[str, Any], Tensors]:  # noqa: UP006
    """``config.json`` and every tensor of a safetensors folder, as doubles."""
    config = json.loads(Path(folder, "config.json").read_text("utf-8"))
    return config, read_safetensors(Path(folder, "model.safetensors"))


def vocabulary(folder: str) -> int:
    """How many tokens a model knows."""
    return int(json.loads(Path(folder, "config.json").read_text("utf-8"))["vocab_size"])


def read_safetensors(path: Path) -> Tensors:
    """The tensors of one file: F32, F16 or BF16."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        data = file.read()
    header.pop("__metadata__", None)
    return {name: _tensor(entry, data) for name, entry in header.items()}


def _tensor(entry: Dict[str, Any], data: bytes) -> Array:  # noqa: UP006
    start, end = entry["data_offsets"]
    if entry["dtype"] == "BF16":
        halves = np.frombuffer(data[start:end], np.uint16).astype(np.uint32)
        values = (halves << np.uint32(16)).view(np.float32)
    else:
        values = np.frombuffer(
            data[start:end], {"F32": np.float32, "F16": np.float16}[entry["dtype"]]
        )
    return values.astype(np.float64).reshape(entry["shape"])


class Model:
    """A model of one of the architectures above."""

    def __init__(
        self,
        config: Dict[str, Any],  # noqa: UP006
        tensors: Tensors,
        rounding: Tuple[Rounding, Rounding] = (exactly, exactly),  # noqa: UP006
    ) -> None:
        self.config, self.tensors = config, tensors
        self.rounded, self.met = rounding
        self.heads: int = config["num_attention_heads"]

    def log_probabilities(self, tokens: Any) -> Array:
        """Of each next token after each of ``tokens``: ``[len(tokens), vocabulary]``, natural."""
        logits = self.logits(tokens)
        logits = logits - logits.max(-1, keepdims=True)
        return logits - np.log(np.exp(logits).sum(-1, keepdims=True))

    def logits(self, tokens: Any) -> Array:
        """Before the softmax, in the same shape."""
        x = self.tensors["model.embed_tokens.weight"][np.asarray(tokens)]
        for layer in range(self.config["num_hidden_layers"]):
            name = f"model.layers.{layer}."
            x = self.rounded(x + self._attention(name, self._norm(x, name + "input_layernorm")))
            normed = self._norm(x, name + "post_attention_layernorm")
            mixed = name + "block_sparse_moe.gate.weight" in self.tensors
            change = self._experts(name, normed) if mixed else self._feed_forward(name, normed)
            x = self.rounded(x + change)
        tied = self.config.get("tie_word_embeddings", False)
        return self._linear(
            self._norm(x, "model.norm"), "model.embed_tokens" if tied else "lm_head"
        )

    def _linear(self, x: Array, name: str) -> Array:
        return self.rounded(self.met(x) @ self.tensors[name + ".weight"].T)

    def _norm(self, x: Array, name: str) -> Array:
        scale = np.sqrt((x * x).mean(-1, keepdims=True) + self.config["rms_norm_eps"])
        return self.rounded(x / scale * self.tensors[name + ".weight"])

    def _feed_forward(
        self,
        name: str,
        x: Array,
        parts: Tuple[str, str, str] = (  # noqa: UP006
            "mlp.gate_proj",
            "mlp.up_proj",
            "mlp.down_proj",
        ),
    ) -> Array:
        gate, up = self._linear(x, name + parts[0]), self._linear(x, name + parts[1])
        return self._linear(self.rounded(gate / (1 + np.exp(-gate)) * up), name + parts[2])

    def _experts(self, name: str, x: Array) -> Array:
        """Each token's best experts, weighted by the softmax over those (Mixtral)."""
        name += "block_sparse_moe."
        scores = self._linear(x, name + "gate")
        count = self.config["num_experts_per_tok"]
        chosen = np.argsort(-scores, axis=-1, kind="stable")[:, :count]
        best = np.take_along_axis(scores, chosen, -1)
        weights = np.exp(best - best.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        out = np.zeros_like(x)
        for expert in range(self.config["num_local_experts"]):
            rows, places = np.nonzero(chosen == expert)
            parts = ("w1", "w3", "w2")
            own = self._feed_forward(f"{name}experts.{expert}.", x[rows], parts)
            out[rows] += self.rounded(own * weights[rows, places, None])
        return self.rounded(out)

    def _attention(self, name: str, x: Array) -> Array:
        name += "self_attn."
        latent = "kv_lora_rank" in self.config
        queries, keys, values = (self._latent if latent else self._grouped)(name, x)
        return self._linear(self._attend(queries, keys, values), name + "o_proj")

    def _grouped(self, name: str, x: Array) -> Tuple[Array, Array, Array]:  # noqa: UP006
        """Llama's: several query heads share the keys and values of one head."""
        kv_heads = self.config["num_key_value_heads"]
        length, size = len(x), self.config["head_dim"]
        queries = self._linear(x, name + "q_proj").reshape(length, self.heads, size)
        keys = self._linear(x, name + "k_proj").reshape(length, kv_heads, size)
        values = self._linear(x, name + "v_proj").reshape(length, kv_heads, size)
        share = self.heads // kv_heads
        return (
            self._rotated(queries),
            np.repeat(self._rotated(keys), share, 1),
            np.repeat(values, share, 1),
        )

    def _latent(self, name: str, x: Array) -> Tuple[Array, Array, Array]:  # noqa: UP006
        """DeepSeek V2's: keys and values from one narrow vector, positions in a part apart."""
        config, length = self.config, len(x)
        rank, plain, size = (
            config["kv_lora_rank"],
            config["qk_nope_head_dim"],
            config["v_head_dim"],
        )
        queries = self._linear(x, name + "q_proj").reshape(length, self.heads, -1)
        narrow = self._linear(x, name + "kv_a_proj_with_mqa")
        normed = self._norm(narrow[:, :rank], name + "kv_a_layernorm")
        wide = self._linear(normed, name + "kv_b_proj").reshape(length, self.heads, plain + size)
        placed = self._rotated(narrow[:, None, rank:], side_by_side=True)
        queries = np.concatenate(
            [queries[..., :plain], self._rotated(queries[..., plain:], side_by_side=True)], -1
        )
        keys = np.concatenate([wide[..., :plain], np.repeat(placed, self.heads, 1)], -1)
        return queries, keys, wide[..., plain:]

    def _rotated(self, x: Array, side_by_side: bool = False) -> Array:
        """Rotary positions: the two of a pair lie half a head apart, or side by side."""
        half = x.shape[-1] // 2
        speeds = self.config["rope_theta"] ** (-np.arange(half) / half)
        angles = np.arange(len(x))[:, None, None] * speeds
        cos, sin = np.cos(angles), np.sin(angles)
        pairs = x.reshape(*x.shape[:-1], half, 2) if side_by_side else None
        first, second = (
            (x[..., :half], x[..., half:]) if pairs is None else (pairs[..., 0], pairs[..., 1])
        )
        turned = [first * cos - second * sin, second * cos + first * sin]
        if pairs is None:
            return self.rounded(np.concatenate(turned, -1))
        return self.rounded(np.stack(turned, -1).reshape(x.shape))

    def _attend(self, queries: Array, keys: Array, values: Array) -> Array:
        """Causal softmax attention: ``[length, heads, size]`` each; the heads side by side."""
        length = len(queries)
        scores = np.einsum("qhd,khd->hqk", queries, keys) / np.sqrt(queries.shape[-1])
        scores = np.where(np.tri(length, dtype=bool), scores, -np.inf)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        sums = weights.sum(-1)[..., None]
        mixed = np.einsum("hqk,khd->hqd", self.rounded(weights), values) / sums
        return self.rounded(mixed.transpose(1, 0, 2).reshape(length, -1))


def exact_and_deviation(
    config: Dict[str, Any],  # noqa: UP006
    tensors: Tensors,
    sequences: Any,
    dtype: str,
) -> Tuple[Array, float]:  # noqa: UP006
    """The log-probabilities of some sequences, and how far `ROUNDINGS` of ``dtype`` moves any."""
    exact, moved = [], 0.0
    for tokens in sequences:
        found = Model(config, tensors).log_probabilities(tokens)
        rounded = Model(config, tensors, ROUNDINGS[dtype]).log_probabilities(tokens)
        moved = max(moved, float(np.abs(rounded - found).max()))
        exact.append(found)
    return exact, moved
