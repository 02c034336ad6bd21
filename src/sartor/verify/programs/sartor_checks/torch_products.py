"""Matrix products and convolutions against float64, with bounds from their error analysis.

A product of K terms, added in whatever order with roundoff u, is off by at most
``gamma(K, u) |A||B|``; rounding it to the output's type adds ``u_out |C|`` (Higham 3.13). Products
of whole numbers whose sums fit in the accumulator must be exact, however many terms there are.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from sartor_checks import NothingToCheck
from sartor_checks.torch_numbers import (
    CHOPPED,
    ROUNDOFF,
    TF32,
    Expected,
    Golden,
    Inputs,
    Tensor,
    compared,
    exact,
    gamma,
    offered,
    uniform,
    whole,
)

FP8_ADDED = 2.0**-13
"""Hopper's FP8 tensor cores keep about 14 bits of a sum (DeepSeek-V3 report, 3.5.2)."""
LARGE_K = 20000
HALVES = (torch.float16, torch.bfloat16)


def goldens() -> list[Golden]:
    """Every check of this module."""
    dtypes = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
    found = [product(dtype, size) for dtype in dtypes for size in ((67, 129, 45), (64, 128, 32))]
    found += [batched(dtype) for dtype in dtypes[1:]]
    found += [large(dtype) for dtype in dtypes]
    found += [tf32(), complex_product(), linear(), int8(), grouped(), sparse(True), sparse(False)]
    return found + scaled()


def name_of(dtype: Any) -> str:
    """A type's name without torch's."""
    return str(dtype).replace("torch.", "")


def bounded_product(
    a: Tensor, b: Tensor, out: Any, extra: float = 0.0, added: float = 0.0, tail: Tensor = None
) -> Expected:
    """C = AB (+ tail) with its bound; ``extra`` is the operands' relative error, ``added`` u."""
    a64, b64 = exact(a), exact(b)
    terms = a.shape[-1] + (0 if tail is None else 1)
    half = a.dtype in HALVES
    unit = added or (CHOPPED if half or extra else ROUNDOFF[out])
    value, size = a64 @ b64, a64.abs() @ b64.abs()
    if tail is not None:
        value, size = value + exact(tail), size + exact(tail).abs()
    # A block of a tensor core aligns its terms and the sum so far: two roundings for each term.
    roundings = 2 * terms if unit >= CHOPPED else terms
    relative = (1 + extra) ** 2 * (1 + gamma(roundings, unit)) - 1
    bound = relative * size
    bound += ROUNDOFF[out] * (value.abs() + bound)
    text = f"float64 on the CPU; bound ((1 + {extra:g})^2 (1 + g({roundings}, {unit:.3g})) - 1)"
    return Expected(value, bound, text + f" |A||B| + {ROUNDOFF[out]:.3g} |C|")


def strict(operator: Callable[[], Tensor], tf32: bool = False) -> Tensor:
    """Run with TF32 on or off, and without sums in half precision."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = torch.get_float32_matmul_precision(), cudnn.allow_tf32
    halves = "allow_fp16_reduced_precision_reduction", "allow_bf16_reduced_precision_reduction"
    were = [getattr(matmul, name) for name in halves]
    try:
        torch.set_float32_matmul_precision("high" if tf32 else "highest")
        cudnn.allow_tf32 = tf32
        for name in halves:
            setattr(matmul, name, False)
        return operator()
    finally:
        torch.set_float32_matmul_precision(before[0])
        cudnn.allow_tf32 = before[1]
        for name, value in zip(halves, were):
            setattr(matmul, name, value)


def matmul(inputs: Inputs) -> Tensor:
    """A @ B, without TF32."""
    return strict(lambda: inputs["a"] @ inputs["b"])


def product(dtype: Any, size: tuple[int, int, int]) -> Golden:
    """A product of odd and of even sizes; of float64 it is exact, by the inputs' few bits."""
    m, k, n = size
    name = f"matmul {name_of(dtype)}, {m}x{k} by {k}x{n}"

    def inputs() -> Inputs:
        return {"a": uniform(name, m, k, dtype=dtype), "b": uniform("b" + name, k, n, dtype=dtype)}

    def reference(given: Inputs) -> Expected:
        if dtype is torch.float64:
            text = "exact: 21-bit operands, sums of 48 bits; float64 on the CPU"
            return Expected(by_columns(given["a"], given["b"]), None, text)
        return bounded_product(given["a"], given["b"], dtype)

    return Golden(name, inputs, matmul, compared(reference))


def by_columns(a: Tensor, b: Tensor) -> Tensor:
    """A product without a matrix product: what is checked is not its own judge."""
    return (a[..., :, :, None] * b[..., None, :, :]).sum(-2)


def batched(dtype: Any) -> Golden:
    """Several products at once, of transposed operands."""
    name = f"matmul {name_of(dtype)}, batch of 5, transposed"

    def inputs() -> Inputs:
        a = uniform(name, 5, 77, 33, dtype=dtype).transpose(-1, -2)
        return {"a": a, "b": uniform("b" + name, 5, 77, 49, dtype=dtype)}

    return Golden(name, inputs, matmul, compared(lambda x: bounded_product(x["a"], x["b"], dtype)))


def large(dtype: Any) -> Golden:
    """Many terms of small whole numbers: the sums fit, so nothing may be lost."""
    name = f"matmul {name_of(dtype)}, {LARGE_K} terms"

    def inputs() -> Inputs:
        return {
            "a": whole(name, 33, LARGE_K, most=1, dtype=dtype),
            "b": whole("b" + name, LARGE_K, 17, most=1, dtype=dtype),
        }

    def reference(given: Inputs) -> Expected:
        value = given["a"].long() @ given["b"].long()
        text = "exact: whole numbers below 2^24, rounded once; int64 on the CPU"
        return Expected(value, None, text)

    return Golden(name, inputs, matmul, compared(reference))


def tf32() -> Golden:
    """float32 through TF32's tensor cores, where a GPU has them."""
    name = "matmul float32 with TF32"

    def inputs() -> Inputs:
        return {"a": uniform(name, 96, 120), "b": uniform("b" + name, 120, 72)}

    return Golden(
        name,
        inputs,
        lambda x: strict(lambda: x["a"] @ x["b"], tf32=True),
        compared(lambda x: bounded_product(x["a"], x["b"], torch.float32, extra=TF32)),
        devices="cuda",
    )


def complex_product() -> Golden:
    """complex64: each term is four real products (Higham 3.5)."""
    name, dtype = "matmul complex64", torch.complex64

    def inputs() -> Inputs:
        parts = [uniform(name + part, 2, 40, 40) for part in "ab"]
        return {key: torch.complex(*part) for key, part in zip("ab", parts)}

    def reference(given: Inputs) -> Expected:
        a, b = exact(given["a"]), exact(given["b"])
        bound = 2**0.5 * gamma(2 * 40 + 2, ROUNDOFF[dtype]) * (a.abs() @ b.abs())
        return Expected(a @ b, bound, "complex128 on the CPU; bound sqrt(2) g(2K + 2) |A||B|")

    return Golden(name, inputs, matmul, compared(reference))


def linear() -> Golden:
    """A product with a bias and its transposed weights, as layers have it (cuBLASLt)."""
    name, dtype = "linear bfloat16 with bias", torch.bfloat16

    def inputs() -> Inputs:
        return {
            "x": uniform(name, 50, 96, dtype=dtype),
            "w": uniform("w" + name, 80, 96, dtype=dtype),
            "b": uniform("b" + name, 80, dtype=dtype),
        }

    def reference(given: Inputs) -> Expected:
        return bounded_product(given["x"], given["w"].T, dtype, tail=given["b"])

    def operator(given: Inputs) -> Tensor:
        call = torch.nn.functional.linear
        return strict(lambda: call(given["x"], given["w"], given["b"]))

    return Golden(name, inputs, operator, compared(reference))


def int8() -> Golden:
    """int8 by int8 into int32: exact."""
    name = "matmul int8 into int32"

    def inputs() -> Inputs:
        return {
            "a": whole(name, 40, 264, most=127, dtype=torch.int8),
            "b": whole("b" + name, 264, 56, most=127, dtype=torch.int8),
        }

    def reference(given: Inputs) -> Expected:
        return Expected(given["a"].long() @ given["b"].long(), None, "exact: int64 on the CPU")

    return Golden(name, inputs, lambda x: torch._int_mm(x["a"], x["b"]), compared(reference))


def grouped() -> Golden:
    """Several products of different heights in one kernel, as mixtures of experts have them."""
    name, dtype, ends = "grouped matmul bfloat16", torch.bfloat16, (16, 48, 56, 96)

    def inputs() -> Inputs:
        return {
            "a": uniform(name, ends[-1], 64, dtype=dtype),
            "b": uniform("b" + name, len(ends), 48, 64, dtype=dtype).transpose(-1, -2),
            "ends": torch.tensor(ends, dtype=torch.int32),
        }

    def reference(given: Inputs) -> Expected:
        spans = list(zip((0, *ends), ends))
        each = [
            bounded_product(given["a"][i:j], given["b"][g], dtype) for g, (i, j) in enumerate(spans)
        ]
        values, bounds = [e.value for e in each], [e.bound for e in each]
        return Expected(torch.cat(values), torch.cat(bounds), each[0].reference)

    def needs(_device: str) -> None:
        if not hasattr(torch, "_grouped_mm"):
            raise NothingToCheck("this torch has no grouped matrix product")

    return Golden(
        name,
        inputs,
        lambda x: offered(lambda: torch._grouped_mm(x["a"], x["b"], offs=x["ends"])),
        compared(reference),
        needs=needs,
    )


def sparse_product(a: Tensor, b: Tensor, own: bool) -> Tensor:
    """A 2:4 sparse matrix by a dense one, by torch's ``own`` kernels or by cuSPARSELt."""
    from torch.sparse import SparseSemiStructuredTensor, to_sparse_semi_structured

    lt = getattr(torch.backends, "cusparselt", None)
    if not own and (lt is None or not lt.is_available()):
        raise NothingToCheck("this torch has no cuSPARSELt for this GPU")
    if torch.cuda.get_device_capability() < (8, 0):
        raise NothingToCheck("2:4 sparse products begin with compute capability 8.0")

    def run() -> Tensor:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it is in beta
            out = torch.mm(to_sparse_semi_structured(a), b)
        torch.cuda.synchronize()
        return out

    before = SparseSemiStructuredTensor._FORCE_CUTLASS
    SparseSemiStructuredTensor._FORCE_CUTLASS = own
    try:
        return offered(run)
    finally:
        SparseSemiStructuredTensor._FORCE_CUTLASS = before


def sparse(own: bool) -> Golden:
    """Whole numbers, of which two in four are zero."""
    name = "2:4 sparse matmul float16" + ("" if own else ", cuSPARSELt")

    def inputs() -> Inputs:
        a = whole(name, 128, 256, most=9, dtype=torch.float16)
        kept = torch.tensor([0, 1, 0, 1, 1, 1, 0, 0], dtype=torch.float16).tile(128, 32)
        return {"a": a * kept, "b": whole("b" + name, 256, 128, most=2, dtype=torch.float16)}

    def reference(given: Inputs) -> Expected:
        text = "exact: whole numbers below 2^11; int64 on the CPU"
        return Expected(given["a"].long() @ given["b"].long(), None, text)

    return Golden(
        name,
        inputs,
        lambda x: sparse_product(x["a"], x["b"], own),
        compared(reference),
        features=["2:4 sparse"] if own else [],
        devices="cuda",
    )


def scaled() -> list[Golden]:
    """FP8 with one scale for each tensor, and with one for each row and column."""
    ways = (("a scale for each tensor", False), ("a scale for each row", True))
    return [fp8(text, rows, exactly) for text, rows in ways for exactly in (False, True)]


def fp8(text: str, rows: bool, exactly: bool) -> Golden:
    """One of them: of any numbers, or of whole ones that no accumulator rounds."""
    name = f"matmul float8_e4m3fn into bfloat16, {text}"
    return Golden(
        name + ", whole numbers" * exactly,
        partial(fp8_inputs, name, rows, exactly),
        fp8_product,
        compared(fp8_exact if exactly else fp8_reference),
        features=["FP8 row-wise scaled matrix product"] if rows else [],
        needs=needs_fp8,
    )


def fp8_inputs(name: str, rows: bool, exactly: bool) -> Inputs:
    """Operands in FP8 and their scales, which are powers of two where all shall be exact."""
    dtype, terms = torch.float8_e4m3fn, 64 if exactly else 32
    shapes = ((48, 1), (1, 80)) if rows else ((1, 1), (1, 1))
    scales = [uniform("scale" + key + name, *shape).abs() + 0.5 for key, shape in zip("ab", shapes)]
    if exactly:
        scales = [2.0 ** (scale * 8).round() for scale in scales]
        a, b = whole(name, 48, terms, most=15), whole("b" + name, 80, terms, most=15)
    else:
        a, b = uniform(name, 48, terms, scale=4.0), uniform("b" + name, 80, terms, scale=4.0)
    first, second = scales if rows else [scale[0, 0] for scale in scales]
    return {"a": a.to(dtype), "b": b.to(dtype).T, "scale_a": first, "scale_b": second}


def fp8_exact(given: Inputs) -> Expected:
    """Sums below 2^12, which the shortest accumulator holds; one rounding, to bfloat16."""
    value = given["a"].double() @ given["b"].double()
    value = value * given["scale_a"].double() * given["scale_b"].double()
    return Expected(value, None, "exact: whole numbers below 2^12, rounded once; on the CPU")


def fp8_product(given: Inputs) -> Tensor:
    """The scaled product, with sums as exact as the GPU has them."""
    scales = {"scale_a": given["scale_a"], "scale_b": given["scale_b"]}
    how = {**scales, "out_dtype": torch.bfloat16, "use_fast_accum": False}
    return offered(lambda: torch._scaled_mm(given["a"], given["b"], **how))


def fp8_reference(given: Inputs) -> Expected:
    """In float64; the scales are applied in float32, one rounding each."""
    scale = given["scale_a"].double() * given["scale_b"].double()
    a, b = given["a"].double(), given["b"].double()
    value = a @ b * scale
    relative = (1 + gamma(given["a"].shape[1] + 5, FP8_ADDED)) * (
        1 + gamma(4, ROUNDOFF[torch.float32])
    ) - 1
    bound = relative * (a.abs() @ b.abs()) * scale
    bound += ROUNDOFF[torch.bfloat16] * (value.abs() + bound)
    text = f"float64 on the CPU; bound g(K + 5, {FP8_ADDED:.3g}) |A||B| + u |C|, u = 2^-8"
    return Expected(value, bound, text)


def needs_fp8(device: str) -> None:
    """FP8 begins with compute capability 8.9."""
    if device == "cuda" and torch.cuda.get_device_capability() < (8, 9):
        raise NothingToCheck("FP8 matrix products begin with compute capability 8.9")
