"""The operators of SGLang's kernels (sgl_kernel)."""

from __future__ import annotations

import importlib
from typing import Any

import torch

from sartor_checks import Check, NothingToCheck, Settings, sums
from sartor_checks.operators import Bench, Compared, Operator, exact, fitting, pairs
from sartor_checks.vllm_quantised import (
    E4M3_MOST,
    INPUTS,
    OUTPUTS,
    TOKENS,
    eight_bits,
    product,
    quantised,
    scale_fits,
)

CORE = ["core operators"]


def checks(settings: Settings) -> list[Check]:
    """See `sartor_checks.operators.pairs`."""
    return pairs(OPERATORS, settings, "sgl_kernel operator")


def function(name: str) -> Any:
    """A function of the package; `NothingToCheck` where this version has none of it."""
    found = getattr(importlib.import_module("sgl_kernel"), name, None)
    if found is None:
        raise NothingToCheck(f"this version of sgl_kernel has no `{name}`")
    return found


def rms_norm(bench: Bench) -> Compared:
    """Root-mean-square norm, by its own kernel: the function may take FlashInfer's."""
    function("rmsnorm")
    call = torch.ops.sgl_kernel.rmsnorm.default
    return sums.norm(bench, lambda out, x, weight: call(out, x, weight, sums.EPSILON, False))


def fused_add_rms_norm(bench: Bench) -> Compared:
    """The residual added, then the norm; both are written."""
    function("fused_add_rmsnorm")
    call = torch.ops.sgl_kernel.fused_add_rmsnorm.default
    return sums.added_norm(bench, lambda *tensors: call(*tensors, sums.EPSILON, False))


def gated(name: str) -> Any:
    """An activation of the one half of each row, times the other half."""

    def run(bench: Bench) -> Compared:
        call = function(name)
        return sums.gated(bench, lambda out, x: call(x, out), sums.ACTIVATIONS[name])

    return run


def rotary(neox: bool) -> Any:
    """Rotary positions."""
    return lambda bench: sums.rotary(bench, function("rotary_embedding"), neox)


def merge(bench: Bench) -> Compared:
    """Two parts of an attention made one; here the logarithms are [tokens, heads]."""
    call = function("merge_state_v2")

    def turned(out: Any, one: Any, first: Any, other: Any, second: Any) -> None:
        out.copy_(call(one, first.T.contiguous(), other, second.T.contiguous())[0])

    return sums.merged(bench, turned)


def topk_softmax(bench: Bench) -> Compared:
    """Each token's best experts, and their weights."""
    call = function("topk_softmax")

    def run(weights: Any, ids: Any, scores: Any) -> None:
        given = {"topk_weights": weights, "topk_ids": ids, "gating_output": scores}
        fitting(call, **given, token_expert_indices=torch.empty_like(ids))

    return sums.best_experts(bench, run)


def quant_fp8(bench: Bench) -> Compared:
    """FP8 with a scale for each row."""
    x = bench.normal(TOKENS, INPUTS)
    packed = bench.empty(TOKENS, INPUTS, dtype=torch.float8_e4m3fn)
    scales = bench.empty(TOKENS, 1, dtype=torch.float32)
    function("sgl_per_token_quant_fp8")(x, packed, scales)
    wanted = exact(x).abs().amax(-1, keepdim=True) / E4M3_MOST
    return scale_fits(quantised(scales, packed, x), scales, wanted)


def scaled_mm(kind: str) -> Any:
    """A product of two matrices of 8 bits, with a scale for each row and column."""

    def run(bench: Bench) -> Compared:
        a, b = eight_bits(bench, kind, TOKENS, INPUTS), eight_bits(bench, kind, OUTPUTS, INPUTS).T
        scale_a = bench.normal(TOKENS, 1, dtype=torch.float32).abs() / 64
        scale_b = bench.normal(1, OUTPUTS, dtype=torch.float32).abs() / 64
        columns = scale_b.flatten().contiguous()
        out = function(f"{kind}_scaled_mm")(a, b, scale_a, columns, bench.dtype)
        return product(bench, out, exact(a) * exact(scale_a), exact(b) * exact(scale_b), kind)

    return run


OPERATORS = [
    Operator("rmsnorm", rms_norm, CORE),
    Operator("fused_add_rmsnorm", fused_add_rms_norm, CORE),
    *(Operator(name, gated(name), CORE) for name in sums.ACTIVATIONS),
    Operator("rotary_embedding, halves", rotary(True), CORE),
    Operator("rotary_embedding, side by side", rotary(False), CORE),
    Operator("merge_state_v2", merge, CORE),
    Operator("topk_softmax", topk_softmax, ["MoE routing"]),
    Operator("sgl_per_token_quant_fp8", quant_fp8, ["FP8 quantisation operators"]),
    Operator("fp8_scaled_mm", scaled_mm("fp8"), ["FP8 W8A8 (CUTLASS)"]),
    Operator("int8_scaled_mm", scaled_mm("int8"), ["INT8 W8A8 (CUTLASS)"]),
]
