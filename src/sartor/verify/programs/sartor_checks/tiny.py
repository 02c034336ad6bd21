"""Small models with random weights, written as safetensors folders: the same on every machine.

A weight is an int8 from a hash and a power of two for its whole matrix: exact in bfloat16, float16
and float32. The scales keep what flows through each layer near one and the logits some units apart,
so that a layer, a head or a position that is wrong moves the answer by units.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import struct
from pathlib import Path
from typing import Any, Dict, Iterator, Tuple  # noqa: UP035 - Python 3.9

import numpy as np

WIDTH, LAYERS, HEADS, VOCABULARY, CONTEXT = 512, 3, 4, 512, 256
INNER, EXPERTS = 768, 8
SEED = b"sartor verify 1 "
DEVIATION = 73.6
"""The standard deviation of an int8 from the hash."""
COMMON: Dict[str, Any] = {  # noqa: UP006
    "vocab_size": VOCABULARY,
    "hidden_size": WIDTH,
    "intermediate_size": INNER,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": 2,
    "max_position_embeddings": CONTEXT,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "attention_bias": False,
    "tie_word_embeddings": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "torch_dtype": "bfloat16",
}
CONFIGS: Dict[str, Dict[str, Any]] = {  # noqa: UP006
    "llama": {
        **COMMON,
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "head_dim": 128,
        "mlp_bias": False,
    },
    "mixtral": {
        **COMMON,
        "architectures": ["MixtralForCausalLM"],
        "model_type": "mixtral",
        "head_dim": 128,
        "intermediate_size": 256,
        "num_local_experts": EXPERTS,
        "num_experts_per_tok": 2,
        "sliding_window": None,
    },
    "deepseek": {
        **COMMON,
        "architectures": ["DeepseekV2ForCausalLM"],
        "model_type": "deepseek_v2",
        "num_attention_heads": 16,
        "num_key_value_heads": 16,
        "kv_lora_rank": 512,
        "q_lora_rank": None,
        "qk_nope_head_dim": 128,
        "qk_rope_head_dim": 64,
        "v_head_dim": 128,
        "n_routed_experts": 8,
        "n_shared_experts": 1,
        "n_group": 1,
        "topk_group": 1,
        "topk_method": "greedy",
        "first_k_dense_replace": LAYERS,
        "moe_intermediate_size": 256,
        "num_experts_per_tok": 2,
    },
}
Named = Iterator[Tuple[str, Any]]  # noqa: UP006


def write_model(kind: str, folder: str) -> str:
    """Write the model ``kind`` of `CONFIGS` as ``folder``; one that is there is left as it is."""
    if not Path(folder).is_dir():
        scratch = Path(f"{folder}.{os.getpid()}")
        scratch.mkdir(parents=True)
        (scratch / "config.json").write_text(json.dumps(CONFIGS[kind]), "utf-8")
        (scratch / "model.safetensors").write_bytes(safetensors(dict(weights(kind))))
        try:
            scratch.rename(folder)
        except OSError:  # another process was first
            shutil.rmtree(scratch)
    return folder


def safetensors(tensors: Dict[str, Any]) -> bytes:  # noqa: UP006
    """Float32 arrays that are exact in bfloat16, as a BF16 file."""
    header, parts, offset = {}, [], 0
    for name, values in tensors.items():
        data = (values.view(np.uint32) >> np.uint32(16)).astype("<u2").tobytes()
        span = [offset, offset + len(data)]
        header[name] = {"dtype": "BF16", "shape": list(values.shape), "data_offsets": span}
        parts.append(data)
        offset += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(parts)


def weights(kind: str) -> Named:
    """Every tensor by name, as float32."""
    config = CONFIGS[kind]
    embedding = matrix("model.embed_tokens.weight", VOCABULARY, WIDTH, math.sqrt(WIDTH))
    if kind == "mixtral":
        embedding[:, :EXPERTS] = tags()
    yield "model.embed_tokens.weight", embedding
    for layer in range(LAYERS):
        name = f"model.layers.{layer}."
        yield name + "input_layernorm.weight", norm(name + "1", WIDTH)
        yield name + "post_attention_layernorm.weight", norm(name + "2", WIDTH)
        attention = _latent if kind == "deepseek" else _grouped
        yield from attention(config, name + "self_attn.")
        yield from (_experts(layer, name) if kind == "mixtral" else _feed_forward(name + "mlp."))
    yield "model.norm.weight", norm("norm", WIDTH)
    yield "lm_head.weight", matrix("lm_head.weight", VOCABULARY, WIDTH, 3.0)


def _feed_forward(name: str, inner: int = INNER) -> Named:
    yield _named(name + "gate_proj", inner, WIDTH, 1.5)
    yield _named(name + "up_proj", inner, WIDTH, 1.0)
    yield _named(name + "down_proj", WIDTH, inner, 1.5)


def _grouped(config: Dict[str, Any], name: str) -> Named:  # noqa: UP006
    queries, keys = HEADS * config["head_dim"], config["num_key_value_heads"] * config["head_dim"]
    yield _named(name + "q_proj", queries, WIDTH, 1.5)
    yield _named(name + "k_proj", keys, WIDTH, 1.5)
    yield _named(name + "v_proj", keys, WIDTH, 1.0)
    yield _untagged(config, name + "o_proj", queries)


def _latent(config: Dict[str, Any], name: str) -> Named:  # noqa: UP006
    heads, rank = config["num_attention_heads"], config["kv_lora_rank"]
    plain, placed, size = (
        config["qk_nope_head_dim"],
        config["qk_rope_head_dim"],
        config["v_head_dim"],
    )
    yield _named(name + "q_proj", heads * (plain + placed), WIDTH, 1.5)
    yield _named(name + "kv_a_proj_with_mqa", rank + placed, WIDTH, 1.5)
    yield name + "kv_a_layernorm.weight", norm(name, rank)
    yield _named(name + "kv_b_proj", heads * (plain + size), rank, 1.5)
    yield _named(name + "o_proj", WIDTH, heads * size, 1.5)


def _experts(layer: int, name: str) -> Named:
    """Routed by the tags of `tags`, which no layer writes over; each layer in another order."""
    config, name = CONFIGS["mixtral"], name + "block_sparse_moe."
    gate = np.zeros((EXPERTS, WIDTH), np.float32)
    gate[np.arange(EXPERTS), (np.arange(EXPERTS) * 3 + layer) % EXPERTS] = 1.0
    yield name + "gate.weight", gate
    for expert in range(EXPERTS):
        own = f"{name}experts.{expert}."
        yield _named(own + "w1", config["intermediate_size"], WIDTH, 1.5)
        yield _named(own + "w3", config["intermediate_size"], WIDTH, 1.0)
        yield _untagged(config, own + "w2", config["intermediate_size"])


def tags() -> Any:
    """For each token a value for each expert, all well apart: no rounding changes who is best."""
    levels = (np.arange(EXPERTS, dtype=np.float32) - EXPERTS / 2) / 2
    digest = hashlib.shake_128(SEED + b"tags").digest(2 * VOCABULARY * EXPERTS)
    keys = np.frombuffer(digest, "<u2").reshape(VOCABULARY, EXPERTS)
    return levels[np.argsort(keys, axis=-1, kind="stable")]


def _named(name: str, rows: int, columns: int, gain: float) -> Tuple[str, Any]:  # noqa: UP006
    return name + ".weight", matrix(name + ".weight", rows, columns, gain)


def _untagged(config: Dict[str, Any], name: str, columns: int) -> Tuple[str, Any]:  # noqa: UP006
    """A matrix that writes to what layers hand on; with experts not to the tags."""
    found = matrix(name + ".weight", WIDTH, columns, 1.5)
    if "num_local_experts" in config:
        found[:EXPERTS] = 0
    return name + ".weight", found


def matrix(name: str, rows: int, columns: int, gain: float) -> Any:
    """Random ``[rows, columns]``: of inputs of deviation one about ``gain`` comes out."""
    digest = hashlib.shake_128(SEED + name.encode()).digest(rows * columns)
    exponent = round(math.log2(gain / (DEVIATION * math.sqrt(columns))))
    items = np.frombuffer(digest, np.int8).reshape(rows, columns)
    return items.astype(np.float32) * np.float32(2.0**exponent)


def norm(name: str, size: int) -> Any:
    """Random between 0.75 and 1.25 in steps that bfloat16 has."""
    digest = hashlib.shake_128(SEED + b"norm " + name.encode()).digest(size)
    return (1 + np.frombuffer(digest, np.int8).astype(np.float32) // 4 / 128).astype(np.float32)
