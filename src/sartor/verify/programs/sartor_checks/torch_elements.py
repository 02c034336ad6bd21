"""Norms, softmax, activations and sums against float64, with bounds from their error analysis.

n is the length of a row, u the roundoff of float32 (half types are computed in it), u_out that of
the output. Sums of a row may be added in any order. An elementary function is taken to be right
within `ULPS` of u; CUDA's mathematical functions promise 4 (CUDA C++ Programming Guide, 17.1).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from sartor_checks.torch_numbers import (
    ROUNDOFF,
    Expected,
    Golden,
    Inputs,
    Tensor,
    compared,
    exact,
    gamma,
    uniform,
    whole,
)
from sartor_checks.torch_products import HALVES, name_of

ULPS = 16
ROWS, LONG = 37, 515
EPSILON = 1e-5
CORE = ["core operators"]
SCANS = ["sorting and scans"]


def goldens() -> list[Golden]:
    """Every check of this module."""
    dtypes = (torch.float32, *HALVES)
    found = [make(dtype) for make in (layer_norm, rms_norm, softmax) for dtype in dtypes]
    found += [log_softmax(torch.float32), group_norm()]
    found += [activation(which, dtype) for which in ACTIVATIONS for dtype in (dtypes[0], dtypes[2])]
    found += [total(torch.float32), total(torch.bfloat16), scan(torch.float32), scan_of_wholes()]
    return found


def rounded(value: Tensor, bound: Tensor, dtype: Any, text: str) -> Expected:
    """With the output's own rounding, and its underflow."""
    bound = bound + ROUNDOFF[dtype] * (value.abs() + bound) + torch.finfo(dtype).tiny
    return Expected(value, bound, "float64 on the CPU; bound " + text + " + u_out|y|")


def unit_of(dtype: Any) -> float:
    """The roundoff that an operator on this type computes with."""
    return ROUNDOFF[torch.float32 if dtype in HALVES else dtype]


def rows(name: str, dtype: Any, shift: float = 0.25, more: str = "") -> Inputs:
    """Rows that do not centre on zero; ``more`` names vectors as long as they are."""
    x = (uniform(name, ROWS, LONG).double() * 3 + shift).to(dtype)
    return {"x": x, **{key: uniform(key + name, LONG, dtype=dtype) for key in more}}


def norm_bound(x: Tensor, w: Tensor, b: Tensor, dim: Any, unit: float, count: int) -> Tensor:
    """Of the mean, g(n) mean|x|; of the variance, g(n) times its condition E[x^2] / var (Chan,
    Golub, LeVeque 1983), of which the root has half; then three operations."""
    variance = x.var(dim, unbiased=False, keepdim=True) + EPSILON
    condition = (x * x).mean(dim, keepdim=True) / variance
    normal = (x - x.mean(dim, keepdim=True)).abs() / variance.sqrt()
    shift = x.abs().mean(dim, keepdim=True) / variance.sqrt()
    g = gamma(count + ULPS, unit)
    return g * (w.abs() * (normal * (1 + condition) + 2 * shift + x.abs() / variance.sqrt())) + (
        gamma(4, unit) * b.abs()
    )


def layer_norm(dtype: Any) -> Golden:
    """(x - mean) / sqrt(var + eps) w + b."""
    name = f"layer norm {name_of(dtype)}"

    def reference(given: Inputs) -> Expected:
        x, w, b = (exact(given[key]) for key in "xwb")
        centred = x - x.mean(-1, keepdim=True)
        value = centred / ((centred**2).mean(-1, keepdim=True) + EPSILON).sqrt() * w + b
        bound = norm_bound(x, w, b, -1, unit_of(dtype), LONG)
        return rounded(value, bound, dtype, "g(n) |w| (|x^|(1 + E[x^2]/var) + ...)")

    call = torch.nn.functional.layer_norm
    return Golden(
        name,
        lambda: rows(name, dtype, more="wb"),
        lambda x: call(x["x"], (LONG,), x["w"], x["b"], EPSILON),
        compared(reference),
        features=CORE,
    )


def group_norm() -> Golden:
    """Groups of channels of an image, normalised together."""
    name, groups = "group norm float32", 3

    def inputs() -> Inputs:
        x = uniform(name, 2, 12, 9, 7) * 2 + 0.5
        return {"x": x, "w": uniform("w" + name, 12), "b": uniform("b" + name, 12)}

    def reference(given: Inputs) -> Expected:
        x = exact(given["x"]).reshape(2, groups, 4, 63)
        w, b = (exact(given[key]).reshape(1, groups, 4, 1) for key in "wb")
        centred = x - x.mean((2, 3), keepdim=True)
        value = centred / ((centred**2).mean((2, 3), keepdim=True) + EPSILON).sqrt() * w + b
        bound = norm_bound(x, w, b, (2, 3), ROUNDOFF[torch.float32], 252)
        shape = given["x"].shape
        text = "g(n) |w| (|x^|(1 + E[x^2]/var) + ...)"
        return rounded(value.reshape(shape), bound.reshape(shape), torch.float32, text)

    call = torch.nn.functional.group_norm
    return Golden(
        name,
        inputs,
        lambda x: call(x["x"], groups, x["w"], x["b"], EPSILON),
        compared(reference),
        features=CORE,
    )


def rms_norm(dtype: Any) -> Golden:
    """x / sqrt(mean x^2 + eps) w; some versions round x / rms before w."""
    name = f"RMS norm {name_of(dtype)}"

    def reference(given: Inputs) -> Expected:
        x, w = exact(given["x"]), exact(given["w"])
        value = x / ((x * x).mean(-1, keepdim=True) + EPSILON).sqrt() * w
        relative = (1 + gamma(LONG + ULPS, unit_of(dtype))) * (1 + 2 * ROUNDOFF[dtype]) - 1
        return rounded(value, relative * value.abs(), dtype, "(g(n + 16) + 2 u_out) |y|")

    call = torch.nn.functional.rms_norm
    return Golden(
        name,
        lambda: rows(name, dtype, more="w"),
        lambda x: call(x["x"], (LONG,), x["w"], EPSILON),
        compared(reference),
        features=CORE,
    )


def softmax_error(x: Tensor, unit: float) -> float:
    """Each x - max is rounded, which exp makes relative; then exp itself, the sum, the quotient."""
    spread = float((x.amax(-1, keepdim=True) - x).max())
    return gamma(LONG + ULPS + 2 * spread, unit)


def softmax(dtype: Any) -> Golden:
    """exp(x - max) over its sum."""
    name = f"softmax {name_of(dtype)}"

    def reference(given: Inputs) -> Expected:
        x = exact(given["x"])
        grown = torch.exp(x - x.amax(-1, keepdim=True))
        value = grown / grown.sum(-1, keepdim=True)
        bound = softmax_error(x, unit_of(dtype)) * value
        return rounded(value, bound, dtype, "g(n + 16 + 2 max|x - max x|) |y|")

    return Golden(
        name,
        lambda: rows(name, dtype),
        lambda x: torch.softmax(x["x"], -1),
        compared(reference),
        features=CORE,
    )


def log_softmax(dtype: Any) -> Golden:
    """x - max - log sum exp(x - max)."""
    name = f"log softmax {name_of(dtype)}"

    def reference(given: Inputs) -> Expected:
        x = exact(given["x"])
        value = x - x.amax(-1, keepdim=True)
        value = value - torch.exp(value).sum(-1, keepdim=True).log()
        bound = softmax_error(x, unit_of(dtype)) * (1 + value.abs())
        return rounded(value, bound, dtype, "g(n + 16 + 2 max|x - max x|) (1 + |y|)")

    return Golden(
        name,
        lambda: rows(name, dtype),
        lambda x: torch.log_softmax(x["x"], -1),
        compared(reference),
        features=CORE,
    )


def normal_below(x: Tensor) -> Tensor:
    """The normal distribution's share below x, from `math.erfc` alone."""
    flat = [0.5 * math.erfc(-v / math.sqrt(2)) for v in x.flatten().tolist()]
    return torch.tensor(flat, dtype=torch.float64).reshape(x.shape)


def tanh_gelu(x: Tensor) -> Tensor:
    """GELU by its approximation."""
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


ACTIVATIONS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "GELU": (torch.nn.functional.gelu, lambda x: x * normal_below(x)),
    "GELU by tanh": (lambda x: torch.nn.functional.gelu(x, approximate="tanh"), tanh_gelu),
    "SiLU": (torch.nn.functional.silu, lambda x: x / (1 + torch.exp(-x))),
    "sigmoid": (torch.sigmoid, lambda x: 1 / (1 + torch.exp(-x))),
    "exp": (torch.exp, torch.exp),
    "sine": (torch.sin, torch.sin),
    "rsqrt of x^2 + 1": (lambda x: torch.rsqrt(x * x + 1), lambda x: 1 / (x * x + 1).sqrt()),
}


def activation(which: str, dtype: Any) -> Golden:
    """An elementary function; its inner sums cancel at most against |x|, or 1."""
    name = f"{which} {name_of(dtype)}"
    operator, real = ACTIVATIONS[which]
    inner = 3 * ROUNDOFF[dtype] if which.startswith("rsqrt") else 0.0  # x * x + 1 is rounded

    def reference(given: Inputs) -> Expected:
        x = exact(given["x"])
        value = real(x)
        scale = x.abs() if "GELU" in which else 1.0 if which == "sine" else value.abs()
        relative = ULPS * unit_of(dtype) * (1 + x.abs()) + inner
        return rounded(value, relative * scale, dtype, "16 u (1 + |x|) (|y|; GELU: |x|; sine: 1)")

    return Golden(
        name,
        lambda: {"x": uniform(name, 41, 67, dtype=dtype, scale=5.0)},
        lambda x: operator(x["x"]),
        compared(reference),
        features=CORE,
    )


def total(dtype: Any) -> Golden:
    """Sums of rows, added in any order."""
    name = f"sum {name_of(dtype)}"

    def reference(given: Inputs) -> Expected:
        x = exact(given["x"])
        bound = gamma(LONG, unit_of(dtype)) * x.abs().sum(-1)
        return rounded(x.sum(-1), bound, dtype, "g(n) sum|x|")

    return Golden(
        name,
        lambda: rows(name, dtype, 0.0),
        lambda x: x["x"].sum(-1),
        compared(reference),
        features=CORE,
    )


def scan(dtype: Any) -> Golden:
    """Running sums."""
    name = f"running sum {name_of(dtype)}"

    def reference(given: Inputs) -> Expected:
        x = exact(given["x"])
        bound = gamma(LONG, unit_of(dtype)) * x.abs().cumsum(-1)
        triangle = torch.ones(LONG, LONG, dtype=torch.float64).triu()
        return rounded(x @ triangle, bound, dtype, "g(n) sum|x|")

    return Golden(
        name,
        lambda: rows(name, dtype, 0.0),
        lambda x: x["x"].cumsum(-1),
        compared(reference),
        features=SCANS,
    )


def scan_of_wholes() -> Golden:
    """Running sums over several blocks of a scan: exact."""
    name, count = "running sum int64, 100003 terms", 100003

    def reference(given: Inputs) -> Expected:
        from itertools import accumulate

        value = torch.tensor(list(accumulate(given["x"].tolist())))
        return Expected(value, None, "exact: Python's whole numbers")

    return Golden(
        name,
        lambda: {"x": whole(name, count, most=1000, dtype=torch.int64)},
        lambda x: x["x"].cumsum(0),
        compared(reference),
        features=SCANS,
    )
