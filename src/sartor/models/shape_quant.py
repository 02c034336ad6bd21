"""How many bits a weight takes, from a ``quantization_config``.

Sources: the layouts that vLLM 0.25.1 loads (``vllm/model_executor/layers/quantization``): AWQ and
GPTQ pack zeros beside 16-bit scales for each group; bitsandbytes keeps a maximum for each block of
64, quantised a second time in blocks of 256; NVFP4 has an 8-bit scale for 16 weights, MXFP4 for 32.
"""

from __future__ import annotations

import fnmatch
import re
from typing import TYPE_CHECKING

from sartor.models.shape import Quantization

if TYPE_CHECKING:
    from collections.abc import Mapping

SAMPLE_OF_ATTENTION = "model.layers.1.self_attn.q_proj"
SAMPLE_OF_HEAD = "lm_head"


def quantization_of(config: Mapping[str, object], unknown: list[str]) -> Quantization | None:
    """What ``config`` declares; None where nothing is. A method not known has a line."""
    declared = config.get("quantization_config") or config.get("compression_config")
    if not isinstance(declared, dict):
        return None
    table = {str(key): value for key, value in declared.items()}
    method = str(table.get("quant_method") or table.get("quant_algo") or "")
    bits = bits_of(method, table)
    if bits is None:
        unknown.append(f"quantisation: `{method}` is not known; 16 bits are taken as the most")
        return Quantization(method, 16.0)
    left = [str(name) for key in ("modules_to_not_convert", "ignore") for name in _list(table, key)]
    apart = any(_matches(pattern, SAMPLE_OF_ATTENTION) for pattern in left)
    return Quantization(method, bits, apart, head=bool(table.get("lm_head")))


def _list(table: Mapping[str, object], key: str) -> list[object]:
    found = table.get(key)
    return found if isinstance(found, list) else []


def _matches(pattern: str, name: str) -> bool:
    if pattern.startswith("re:"):
        try:
            return re.match(pattern[3:], name) is not None
        except re.error:
            return False
    return fnmatch.fnmatch(name, pattern) or fnmatch.fnmatch(name, f"{pattern}.*")


def bits_of(method: str, table: Mapping[str, object]) -> float | None:  # noqa: PLR0911 - a layout a line
    """Bits for each weight, scales included; None for a method that is not known."""
    match method:
        case "fp8" | "fbgemm_fp8":
            return 8 + _scale_of_block(table.get("weight_block_size"))
        case "awq" | "gptq" | "auto-round" | "gptq_marlin" | "awq_marlin":
            bits, group = _number(table, "bits", "w_bit") or 4, _number(table, "group_size") or 128
            return bits + ((16 + bits) / group if group > 0 else 0)
        case "bitsandbytes":
            return _bitsandbytes(table)
        case "mxfp4":
            return 4 + 8 / 32
        case "modelopt" | "modelopt_fp4" | "NVFP4" | "FP8":
            fine = "FP4" in str(table.get("quant_algo") or method).upper()
            return 4 + 8 / 16 if fine else 8.0
        case "compressed-tensors":
            return _compressed(table)
        case _:
            return None


def _number(table: Mapping[str, object], *keys: str) -> int | None:
    for key in keys:
        value = table.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    return None


def _scale_of_block(block: object) -> float:
    if isinstance(block, list) and len(block) == 2 and all(isinstance(n, int) for n in block):
        return 32 / max(1, int(block[0]) * int(block[1]))
    return 0.0


def _bitsandbytes(table: Mapping[str, object]) -> float:
    if table.get("load_in_8bit"):
        return 8.0
    twice = table.get("bnb_4bit_use_double_quant")
    return 4 + (8 / 64 + 32 / (64 * 256) if twice else 32 / 64)


def _compressed(table: Mapping[str, object]) -> float | None:
    groups = table.get("config_groups")
    for group in groups.values() if isinstance(groups, dict) else ():
        weights = group.get("weights") if isinstance(group, dict) else None
        bits = weights.get("num_bits") if isinstance(weights, dict) else None
        if not isinstance(weights, dict) or not isinstance(bits, int):
            continue
        size = weights.get("group_size")
        if not isinstance(size, int) or size <= 0:
            return bits + _scale_of_block(weights.get("block_structure"))
        scale = 8 if weights.get("type") == "float" and bits == 4 else 16
        zeros = 0 if weights.get("symmetric", True) else bits
        return bits + (scale + zeros) / size
    return None
