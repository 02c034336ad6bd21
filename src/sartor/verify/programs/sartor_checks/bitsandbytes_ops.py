"""The operators of bitsandbytes: what is quantised comes back as near as its type allows."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import torch

from sartor_checks.operators import Bench, Compared, Operator, exact, pairs

if TYPE_CHECKING:
    from sartor_checks import Check, Settings

ROWS, COLUMNS, TOKENS, BLOCK = 64, 512, 33, 64


def checks(settings: Settings) -> list[Check]:
    """See `sartor_checks.operators.pairs`."""
    return pairs(OPERATORS, settings, "bitsandbytes operator")


def functional() -> Any:
    """Its functions."""
    return importlib.import_module("bitsandbytes.functional")


def blocks(values: Any, size: int) -> Any:
    """The largest of each block of a flattened tensor, for each of its items."""
    flat = exact(values).abs().flatten().view(-1, size)
    return flat.amax(-1, keepdim=True).expand_as(flat).reshape(values.shape)


def widest(code: Any) -> Any:
    """Half of the largest distance between two neighbours of a code."""
    return exact(code).sort().values.diff().max() / 2


def four_bits(kind: str) -> Any:
    """Four bits and a scale for each block, and back; ``kind`` nf4 or fp4."""

    def run(bench: Bench) -> Compared:
        weight = bench.normal(ROWS, COLUMNS)
        packed, state = functional().quantize_4bit(weight, blocksize=BLOCK, quant_type=kind)
        out = functional().dequantize_4bit(packed, state)
        room = (1.001 * widest(state.code) + 2 * bench.unit) * blocks(weight, BLOCK)
        return Compared(out, exact(weight), room, "half the widest step of the code")

    return run


def product_four_bits(bench: Bench) -> Compared:
    """A product with a matrix of four bits: what its own dequantised values give."""
    weight, x = bench.normal(ROWS, COLUMNS), bench.normal(1, COLUMNS)
    packed, state = functional().quantize_4bit(weight, blocksize=BLOCK, quant_type="nf4")
    whole = exact(functional().dequantize_4bit(packed, state))
    out = importlib.import_module("bitsandbytes").matmul_4bit(x, packed.t(), quant_state=state)
    terms = exact(x).abs() @ whole.abs().T
    why = "two roundings of the terms, one of the result"
    expected = exact(x) @ whole.T
    return Compared(out, expected, bench.unit * (expected.abs() + 2 * terms), why)


def eight_bits(bench: Bench) -> Compared:
    """Eight bits of a code with many small values, and back."""
    values = bench.normal(ROWS, COLUMNS, dtype=torch.float32)
    packed, state = functional().quantize_blockwise(values, blocksize=256)
    out = functional().dequantize_blockwise(packed, state)
    room = 1.01 * widest(state.code) * blocks(values, 256)
    return Compared(out, exact(values), room, "half the widest step of the code")


def rows_int8(bench: Bench) -> Compared:
    """INT8 with a scale for each row."""
    x = bench.normal(TOKENS, COLUMNS, dtype=torch.float16)
    packed, most, _ = functional().int8_vectorwise_quant(x)
    step = exact(x).abs().amax(-1, keepdim=True) / 127
    out = exact(packed) * exact(most)[:, None] / 127
    allowed = (0.502 * step).expand(TOKENS, COLUMNS)
    return Compared(out, exact(x), allowed, "a rounding to INT8")


def product_int8(bench: Bench) -> Compared:
    """INT8 times INT8 in INT32, which is exact."""
    a = bench.integers(-127, 128, TOKENS, COLUMNS, dtype=torch.int8)
    b = bench.integers(-127, 128, ROWS, COLUMNS, dtype=torch.int8)
    out = functional().int8_linear_matmul(a, b)
    return Compared(out, exact(a) @ exact(b).T, 0.0, "nothing, whole numbers are exact")


OPERATORS = [
    Operator("quantize_4bit, NF4", four_bits("nf4")),
    Operator("quantize_4bit, FP4", four_bits("fp4")),
    Operator("matmul_4bit", product_four_bits),
    Operator("quantize_blockwise", eight_bits),
    Operator("int8_vectorwise_quant", rows_int8),
    Operator("int8_linear_matmul", product_int8),
]
