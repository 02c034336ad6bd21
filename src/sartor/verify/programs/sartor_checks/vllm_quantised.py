"""vLLM's quantised operators: FP8 and INT8, and products with weights of four bits."""

from __future__ import annotations

from typing import Any

import torch

from sartor_checks import NothingToCheck
from sartor_checks.operators import SUM, UNIT, Bench, Compared, Operator, exact, fitting
from sartor_checks.vllm_library import operator, ops

FP8 = ["FP8 quantisation operators"]
MARLIN = ["Marlin (GPTQ, AWQ, FP8 and FP4 weights)", "Marlin (GPTQ, AWQ and FP8 weights)"]
REPACK = ["Marlin weight repacking"]
TOKENS, INPUTS, OUTPUTS, GROUP = 33, 512, 256, 128
AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
"""AWQ keeps the columns of each eight in this order, the first in the lowest four bits."""
E4M3, E4M3_MOST = 2.0**-4, 448.0
E4M3_STEP = 2.0**-10
"""Half the distance of e4m3's smallest numbers, below which it rounds no finer."""


def quantised(scales: Any, packed: Any, x: Any) -> Compared:
    """FP8 values and their scales, held against what they stand for."""
    wanted = exact(x)
    steps = exact(scales)
    allowed = 1.001 * (E4M3 * wanted.abs() + E4M3_STEP * steps)
    output = exact(packed.to(torch.float32)) * steps
    return Compared(output, wanted, allowed, "a rounding to FP8 (e4m3)")


def fp8_static(bench: Bench) -> Compared:
    """With a scale that is given."""
    x, scale = bench.normal(TOKENS, INPUTS), bench.put([0.01], torch.float32)
    operator("_C", "static_scaled_fp8_quant")
    packed, scales = ops().scaled_fp8_quant(x, scale)
    found = quantised(scales, packed, x)
    most = exact(scale) * E4M3_MOST
    return found._replace(expected=found.expected.clamp(-most, most))


def fp8_dynamic(bench: Bench) -> Compared:
    """With one scale for all, which is returned."""
    x = bench.normal(TOKENS, INPUTS)
    operator("_C", "dynamic_scaled_fp8_quant")
    packed, scales = ops().scaled_fp8_quant(x)
    return scale_fits(quantised(scales, packed, x), scales, exact(x).abs().max() / E4M3_MOST)


def fp8_per_token(bench: Bench) -> Compared:
    """With a scale for each row."""
    x = bench.normal(TOKENS, INPUTS)
    operator("_C", "dynamic_per_token_scaled_fp8_quant")
    packed, scales = ops().scaled_fp8_quant(x, use_per_token_if_dynamic=True)
    wanted = exact(x).abs().amax(-1, keepdim=True) / E4M3_MOST
    return scale_fits(quantised(scales, packed, x), scales, wanted)


def fp8_per_group(bench: Bench) -> Compared:
    """With a scale for each `GROUP` of a row."""
    from vllm.model_executor.layers.quantization.utils import fp8_utils

    x = bench.normal(TOKENS, INPUTS)
    if bench.device.type == "cpu":
        raise NothingToCheck("there is no such operator on a CPU")
    packed, scales = fp8_utils.per_token_group_quant_fp8(x, GROUP, use_ue8m0=False)
    wanted = exact(x).view(TOKENS, -1, GROUP).abs().amax(-1) / E4M3_MOST
    found = quantised(scales.repeat_interleave(GROUP, -1), packed, x)
    return scale_fits(found, scales, wanted)


def scale_fits(found: Compared, scales: Any, wanted: Any) -> Compared:
    """With the scales beside the values: they are as far as float32 allows from ``wanted``."""
    scales, wanted = exact(scales).flatten(), wanted.flatten()
    return found._replace(
        output=torch.cat([found.output.flatten(), scales]),
        expected=torch.cat([found.expected.flatten(), wanted]),
        allowed=torch.cat([found.allowed.flatten(), 8 * SUM * wanted]),
    )


def int8_dynamic(bench: Bench) -> Compared:
    """With a scale for each row."""
    x = bench.normal(TOKENS, INPUTS)
    operator("_C", "dynamic_scaled_int8_quant")
    packed, scales, _ = ops().scaled_int8_quant(x)
    wanted = exact(x).abs().amax(-1, keepdim=True) / 127
    allowed = (0.501 * wanted).expand(TOKENS, INPUTS)
    values = exact(packed) * exact(scales)
    found = Compared(values, exact(x), allowed, "a rounding to INT8")
    return scale_fits(found, scales, wanted)


def int8_static(bench: Bench) -> Compared:
    """With a scale that is given."""
    x, scale = bench.normal(TOKENS, INPUTS), bench.put([0.05], torch.float32)
    operator("_C", "static_scaled_int8_quant")
    packed, _, _ = ops().scaled_int8_quant(x, scale)
    return Compared(exact(packed) * 0.05, exact(x), 0.0501 / 2, "a rounding to INT8")


def scaled_mm(kind: str, per_row: bool) -> Any:
    """CUTLASS's product of two matrices of 8 bits; ``kind`` fp8 or int8."""

    def run(bench: Bench) -> Compared:
        a, b = eight_bits(bench, kind, TOKENS, INPUTS), eight_bits(bench, kind, OUTPUTS, INPUTS).T
        rows, columns = (TOKENS, OUTPUTS) if per_row else (1, 1)
        scale_a = bench.normal(rows, 1, dtype=torch.float32).abs() / 64
        scale_b = bench.normal(1, columns, dtype=torch.float32).abs() / 64
        operator("_C", "cutlass_scaled_mm")
        supported(kind)
        out = ops().cutlass_scaled_mm(a, b, scale_a, scale_b, bench.dtype)
        return product(bench, out, exact(a) * exact(scale_a), exact(b) * exact(scale_b), kind)

    return run


def scaled_mm_zero_points(bench: Bench) -> Compared:
    """INT8, with a zero point for each row."""
    a = eight_bits(bench, "int8", TOKENS, INPUTS)
    b = eight_bits(bench, "int8", OUTPUTS, INPUTS).T
    scale_a = bench.normal(TOKENS, 1, dtype=torch.float32).abs() / 64
    scale_b = bench.normal(1, OUTPUTS, dtype=torch.float32).abs() / 64
    zeros = bench.integers(-20, 20, TOKENS, 1, dtype=torch.int32)
    sums = bench.put(b.cpu().sum(0, keepdim=True, dtype=torch.int32))
    operator("_C", "cutlass_scaled_mm_azp")
    supported("int8")
    out = ops().cutlass_scaled_mm_azp(a, b, scale_a, scale_b, bench.dtype, sums, zeros)
    moved = (exact(a) - exact(zeros)) * exact(scale_a)
    return product(bench, out, moved, exact(b) * exact(scale_b), "int8")


def scaled_mm_blocks(bench: Bench) -> Compared:
    """FP8, with a scale for each block of either matrix."""
    rows = 64
    a, b = eight_bits(bench, "fp8", rows, INPUTS), eight_bits(bench, "fp8", OUTPUTS, INPUTS).T
    blocks = INPUTS // GROUP
    scale_a = bench.normal(rows, blocks, dtype=torch.float32).abs() / 64
    scale_b = bench.normal(blocks, OUTPUTS // GROUP, dtype=torch.float32).abs() / 64
    operator("_C", "cutlass_scaled_mm")
    supported("block_fp8")
    by_column = (scale_a.t().contiguous().t(), scale_b.t().contiguous().t())
    out = ops().cutlass_scaled_mm(a, b, *by_column, bench.dtype)
    wide_a = exact(scale_a).repeat_interleave(GROUP, 1)
    wide_b = exact(scale_b).repeat_interleave(GROUP, 0).repeat_interleave(GROUP, 1)
    return product(bench, out, exact(a) * wide_a, exact(b) * wide_b, "fp8")


def eight_bits(bench: Bench, kind: str, rows: int, columns: int) -> Any:
    """Random values of the type, over its usual range."""
    if bench.device.type == "cpu":
        raise NothingToCheck("CUTLASS is for NVIDIA GPUs")
    if kind == "int8":
        return bench.integers(-127, 128, rows, columns, dtype=torch.int8)
    return bench.normal(rows, columns, dtype=torch.float32).to(torch.float8_e4m3fn)


def supported(kind: str) -> None:
    """`NothingToCheck` where vLLM says that this GPU has no such kernel."""
    major, minor = torch.cuda.get_device_capability()
    asked = getattr(ops(), "cutlass_scaled_mm_supports_" + kind, None)
    if asked is not None and not asked(major * 10 + minor):
        raise NothingToCheck(f"vLLM: no CUTLASS product in this type on {major}.{minor}")


def product(bench: Bench, out: Any, a: Any, b: Any, kind: str) -> Compared:
    """The product of what was multiplied, as it stands for; 8-bit floats are added up in few bits.

    NVIDIA's FP8 instructions keep 13 fraction bits of a sum.
    """
    expected, terms = a @ b, a.abs() @ b.abs()
    inner = 4 * SUM * INPUTS**0.5 if kind == "int8" else 2.0**-12
    part = "float32 scales" if kind == "int8" else "2**-12"
    why = f"a rounding of the result, and {part} of the terms' sizes"
    return Compared(out, expected, 2 * bench.unit * expected.abs() + inner * terms, why)


class FourBits:
    """A matrix ``[INPUTS, OUTPUTS]`` of four bits, with a scale and a zero for each group."""

    def __init__(self, bench: Bench, dtype: Any, zeros: bool) -> None:
        groups = INPUTS // GROUP
        self.values = bench.integers(0, 16, INPUTS, OUTPUTS, dtype=torch.int32)
        self.scales = (bench.normal(groups, OUTPUTS, dtype=torch.float32).abs() / 8).to(dtype)
        self.zeros = bench.integers(4, 12, groups, OUTPUTS, dtype=torch.int32)
        if not zeros:
            self.zeros.fill_(8)

    def exact(self) -> Any:
        """What the matrix stands for."""
        scales, zeros = (exact(t).repeat_interleave(GROUP, 0) for t in (self.scales, self.zeros))
        return (exact(self.values) - zeros) * scales


def packed_rows(values: Any) -> Any:
    """Eight rows in each int32, the first in the lowest bits (GPTQ)."""
    eights = values.view(values.shape[0] // 8, 8, -1)
    return _packed([eights[:, i] for i in range(8)])


def packed_columns(values: Any, order: Any = AWQ_ORDER) -> Any:
    """Eight columns in each int32, in an order (AWQ)."""
    eights = values.view(values.shape[0], -1, 8)
    return _packed([eights[:, :, i] for i in order])


def _packed(parts: Any) -> Any:
    whole = torch.zeros_like(parts[0])
    for place, part in enumerate(parts):
        whole |= part << (4 * place)
    return whole.contiguous()


def marlin(bench: Bench) -> Compared:
    """The weights of GPTQ, in Marlin's order."""
    weight = FourBits(bench, bench.dtype, zeros=False)
    operator("_C", "gptq_marlin_repack")
    none = bench.empty(0, dtype=torch.int32)
    repacked = ops().gptq_marlin_repack(packed_rows(weight.values), none, INPUTS, OUTPUTS, 4)
    return marlin_product(bench, weight, repacked, "uint4b8", none)


def marlin_zero_points(bench: Bench) -> Compared:
    """The weights of AWQ, in Marlin's order."""
    from vllm.model_executor.layers.quantization.utils import marlin_utils

    weight = FourBits(bench, bench.dtype, zeros=True)
    operator("_C", "awq_marlin_repack")
    repacked = ops().awq_marlin_repack(packed_columns(weight.values), INPUTS, OUTPUTS, 4)
    groups = INPUTS // GROUP
    zeros = marlin_utils.awq_to_marlin_zero_points(packed_columns(weight.zeros), groups, OUTPUTS, 4)
    return marlin_product(bench, weight, repacked, "uint4", zeros)


def marlin_product(
    bench: Bench, weight: FourBits, repacked: Any, kind: str, zeros: Any
) -> Compared:
    """Through the function that vLLM's layers call."""
    from vllm.model_executor.layers.quantization.utils import marlin_utils
    from vllm.scalar_type import scalar_types

    x, none = bench.normal(TOKENS, INPUTS), bench.empty(0, dtype=torch.int32)
    scales = marlin_utils.marlin_permute_scales(weight.scales, INPUTS, OUTPUTS, GROUP)
    device = torch.device("cuda", torch.cuda.current_device())
    out = fitting(
        marlin_utils.apply_gptq_marlin_linear,
        input=x,
        weight=repacked,
        weight_scale=scales,
        weight_zp=zeros,
        g_idx=none,
        g_idx_sort_indices=none,
        workspace=marlin_utils.marlin_make_workspace_new(device),
        wtype=getattr(scalar_types, kind),
        output_size_per_partition=OUTPUTS,
        input_size_per_partition=INPUTS,
        is_k_full=True,
    )
    return weighted(bench.unit, out, x, weight)


def weighted(unit: float, out: Any, x: Any, weight: FourBits, parts: int = 2) -> Compared:
    """A product with a matrix of four bits: each weight is rounded ``parts`` times."""
    whole = weight.exact()
    expected, terms = exact(x) @ whole, exact(x).abs() @ whole.abs()
    why = f"{parts} roundings of the terms, one of the result"
    return Compared(out, expected, unit * expected.abs() + parts * unit * terms, why)


def machete(bench: Bench) -> Compared:
    """The weights of GPTQ, on 9.0."""
    from vllm.scalar_type import scalar_types

    operator("_C", "machete_prepack_B")
    weight, x = FourBits(bench, bench.dtype, zeros=False), bench.normal(TOKENS, INPUTS)
    by_column = packed_rows(weight.values).t().contiguous().t()
    kind = scalar_types.uint4b8
    order = ops().machete_prepack_B(by_column, bench.dtype, kind, bench.dtype)
    out = fitting(
        ops().machete_mm,
        a=x,
        b_q=order,
        b_type=kind,
        b_group_scales=weight.scales,
        b_group_size=GROUP,
    )
    return weighted(bench.unit, out, x, weight)


def awq_dequantize(bench: Bench) -> Compared:
    """The weights of AWQ, written out."""
    weight = FourBits(bench, torch.float16, zeros=True)
    operator("_C", "awq_dequantize")
    arguments = (packed_columns(weight.values), weight.scales, packed_columns(weight.zeros))
    out = ops().awq_dequantize(*arguments, 0, 0, 0)
    allowed = 2 * UNIT[torch.float16] * weight.exact().abs()
    return Compared(out, weight.exact(), allowed, "two roundings")


def awq_gemm(bench: Bench) -> Compared:
    """A product with the weights of AWQ."""
    weight = FourBits(bench, torch.float16, zeros=True)
    x = bench.normal(TOKENS, INPUTS, dtype=torch.float16)
    operator("_C", "awq_gemm")
    arguments = (packed_columns(weight.values), weight.scales, packed_columns(weight.zeros))
    out = ops().awq_gemm(x, *arguments, 8)
    return weighted(UNIT[torch.float16], out, x, weight, 4)


def gptq_gemm(bench: Bench) -> Compared:
    """A product with the weights of GPTQ, in the order of ExLlama; atomics add up its parts."""
    weight = FourBits(bench, torch.float16, zeros=False)
    x = bench.normal(TOKENS, INPUTS, dtype=torch.float16)
    return weighted(UNIT[torch.float16], exllama(bench, x, weight), x, weight, 8)


def gptq_gemm_whole(bench: Bench) -> Compared:
    """The same of numbers that are exact in every order: 64 products up to 8, and no scales."""
    weight = FourBits(bench, torch.float16, zeros=False)
    weight.scales.fill_(1)
    x = bench.integers(-1, 2, TOKENS, INPUTS, dtype=torch.float16)
    x[:, torch.arange(INPUTS) % 8 > 0] = 0
    out = exllama(bench, x, weight)
    return Compared(out, exact(x) @ weight.exact(), 0.0, "nothing, whole numbers are exact")


def exllama(bench: Bench, x: Any, weight: FourBits) -> Any:
    """``x`` times the matrix, by vLLM's kernel after ExLlama's."""
    operator("_C", "gptq_gemm")
    packed, none = packed_rows(weight.values), bench.empty(0, dtype=torch.int32)
    ops().gptq_shuffle(packed, none, 4)
    return fitting(
        ops().gptq_gemm,
        a=x,
        b_q_weight=packed,
        b_gptq_qzeros=packed_columns(weight.zeros - 1, range(8)),  # it adds one
        b_gptq_scales=weight.scales,
        b_g_idx=none,
        use_exllama=True,
        use_v2_format=False,
        bit=4,
    )


def onednn_int8(bench: Bench) -> Compared:
    """oneDNN's product of two matrices of INT8, on a CPU."""
    if bench.device.type != "cpu":
        raise NothingToCheck("oneDNN is for CPUs")
    operator("_C", "create_onednn_scaled_mm_handler")
    weight = bench.integers(-127, 128, OUTPUTS, INPUTS, dtype=torch.int8).t()
    scale_b = bench.normal(1, OUTPUTS, dtype=torch.float32).abs() / 64
    x = bench.normal(TOKENS, INPUTS)
    handler = ops().create_onednn_scaled_mm(weight, scale_b, bench.dtype, True, False, 32)
    packed, scale_a, _, *_ = ops().onednn_scaled_int8_quant(x, None, None, True)
    out = bench.empty(TOKENS, OUTPUTS)
    ops().onednn_scaled_mm(handler, packed, out, scale_a, None, None, None)
    return product(
        bench, out, exact(packed) * exact(scale_a), exact(weight) * exact(scale_b), "int8"
    )


SCALED_FP8, BLOCKS = ["FP8 W8A8 (CUTLASS)"], ["FP8 block-scaled (CUTLASS)"]
SCALED_INT8, ZEROS = ["INT8 W8A8 (CUTLASS)"], ["INT8 W8A8 with zero points (CUTLASS)"]
OPERATORS = [
    Operator("scaled_fp8_quant, static", fp8_static, FP8),
    Operator("scaled_fp8_quant, dynamic", fp8_dynamic, FP8),
    Operator("scaled_fp8_quant, per token", fp8_per_token, FP8),
    Operator("per_token_group_quant_fp8", fp8_per_group, FP8),
    Operator("scaled_int8_quant, dynamic", int8_dynamic),
    Operator("scaled_int8_quant, static", int8_static),
    Operator("cutlass_scaled_mm, FP8", scaled_mm("fp8", False), SCALED_FP8),
    Operator("cutlass_scaled_mm, FP8 per token", scaled_mm("fp8", True), SCALED_FP8),
    Operator("cutlass_scaled_mm, FP8 blocks", scaled_mm_blocks, BLOCKS),
    Operator("cutlass_scaled_mm, INT8", scaled_mm("int8", False), SCALED_INT8),
    Operator("cutlass_scaled_mm, INT8 per token", scaled_mm("int8", True), SCALED_INT8),
    Operator("cutlass_scaled_mm_azp, INT8", scaled_mm_zero_points, ZEROS),
    Operator("marlin, GPTQ", marlin, MARLIN + REPACK),
    Operator("marlin, AWQ", marlin_zero_points, MARLIN + REPACK),
    Operator("machete", machete, ["Machete (W4A16, W8A16)"]),
    Operator("awq_dequantize", awq_dequantize, ["AWQ"]),
    Operator("awq_gemm", awq_gemm, ["AWQ"]),
    Operator("gptq_gemm", gptq_gemm, ["GPTQ (ExLlama)"]),
    Operator("gptq_gemm, whole numbers", gptq_gemm_whole, ["GPTQ (ExLlama)"]),
    Operator("onednn_scaled_mm, INT8", onednn_int8),
]
