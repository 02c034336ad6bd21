"""Attention, in each backend that torch can be made to take, against an explicit softmax.

With S = QK' / sqrt(d), P = exp(S - max S) and O = PV / sum P: an error e in S makes a relative one
of exp(2e) - 1 in P / sum P; P is rounded to the inputs' type before it meets V (FlashAttention,
cuDNN), the sums are float32's, and O is rounded once. So
``|error| <= (exp(2e) (1 + u_p)^2 (1 + g) - 1) P|V| + u_out |O|``, with
``e = g(2d, u) |Q||K'| / sqrt(d) + 4 u max|S|``, u = 2^-23 (tensor cores cut off; d for 2d,
and 2^-24, in float32).
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, NamedTuple

import torch

from sartor_checks import NothingToCheck
from sartor_checks.torch_numbers import (
    CHOPPED,
    ROUNDOFF,
    Expected,
    Golden,
    Inputs,
    Tensor,
    compared,
    exact,
    gamma,
    uniform,
)
from sartor_checks.torch_products import HALVES, name_of, strict

EXP = 2.0**-21
"""ex2.approx.ftz.f32 is off by 2^-22 (PTX ISA 9.0, ex2); the argument's product by as much."""
BACKENDS = {
    "flash": "FLASH_ATTENTION",
    "memory-efficient": "EFFICIENT_ATTENTION",
    "cuDNN": "CUDNN_ATTENTION",
    "math": "MATH",
}
FEATURES = {
    "flash": ["attention: flash"],
    "memory-efficient": ["attention: memory-efficient"],
    "cuDNN": [],
    "math": [],
}
ON_CPU = ("flash", "math")


class Shape(NamedTuple):
    """Heads of the queries and of the keys, tokens of each, and a head's size."""

    heads: int
    shared: int
    queries: int
    keys: int
    size: int
    causal: bool = False
    mask: bool = False

    @property
    def name(self) -> str:
        """In words."""
        grouped = f", {self.heads} heads on {self.shared}" if self.heads != self.shared else ""
        tail = ", causal" * self.causal + ", with a mask" * self.mask
        return f"{self.queries} by {self.keys} of {self.size}{grouped}{tail}"


SHAPES = (
    Shape(2, 2, 77, 77, 64),
    Shape(4, 4, 130, 130, 128, causal=True),
    Shape(2, 2, 33, 90, 256),
    Shape(8, 2, 60, 60, 128, causal=True),
    Shape(16, 16, 1, 120, 128),
)
CUDNN_MAY_LACK = SHAPES[2:]
NO_KERNEL = ("No available kernel", "No valid execution plans", "No execution plans support")
MASKED = Shape(2, 2, 48, 80, 64, mask=True)


def goldens() -> list[Golden]:
    """Every check of this module."""
    found = [
        attention(backend, shape, dtype)
        for backend in BACKENDS
        for dtype in HALVES
        for shape in SHAPES
        # The memory-efficient kernel does not share the keys' heads.
        if not (backend == "memory-efficient" and shape.heads != shape.shared)
    ]
    found += [attention(b, MASKED, torch.bfloat16) for b in ("memory-efficient", "math")]
    found += [attention("math", shape, torch.float32) for shape in (*SHAPES, MASKED)]
    return found


def forced(backend: str) -> Any:
    """A context in which attention is this backend's, or fails."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    return sdpa_kernel(getattr(SDPBackend, BACKENDS[backend]))


def needs(backend: str, device: str) -> None:
    """Raise where torch offers the backend on no such GPU (sdp_utils.cpp)."""
    if device != "cuda":
        return
    capability = torch.cuda.get_device_capability()
    least = {"flash": (8, 0), "memory-efficient": (5, 0), "cuDNN": (8, 0)}.get(backend, (0, 0))
    most = (12, 1) if FEATURES.get(backend) else (99, 0)
    if not least <= capability <= most:
        raise NothingToCheck(f"torch offers {backend} attention from {least} to {most} only")


def inputs_of(shape: Shape, dtype: Any, name: str) -> Inputs:
    """Queries are large, so that the scores are far apart and their errors tell."""
    keys = 2, shape.shared, shape.keys, shape.size
    found = {
        "q": uniform(name, 2, shape.heads, shape.queries, shape.size, dtype=dtype, scale=8.0),
        "k": uniform("k" + name, *keys, dtype=dtype),
        "v": uniform("v" + name, *keys, dtype=dtype),
    }
    if shape.mask:
        found["mask"] = uniform("m" + name, shape.queries, shape.keys, dtype=dtype)
    return found


def attended(given: Inputs, shape: Shape) -> Tensor:
    """What the device gives."""
    more = {"enable_gqa": True} if shape.heads != shape.shared else {}
    return torch.nn.functional.scaled_dot_product_attention(
        given["q"],
        given["k"],
        given["v"],
        attn_mask=given.get("mask"),
        is_causal=shape.causal,
        **more,
    )


def expected(given: Inputs, shape: Shape) -> Expected:
    """The explicit softmax, and the bound that the module's text derives."""
    dtype = given["q"].dtype
    q, k, v = (exact(given[name]) for name in "qkv")
    k, v = (x.repeat_interleave(shape.heads // shape.shared, 1) for x in (k, v))
    scale = 1 / math.sqrt(shape.size)
    scores, sizes = q @ k.transpose(-1, -2) * scale, q.abs() @ k.abs().transpose(-1, -2) * scale
    if "mask" in given:
        scores, sizes = scores + exact(given["mask"]), sizes + exact(given["mask"]).abs()
    if shape.causal:
        above = torch.ones(shape.queries, shape.keys, dtype=torch.bool).triu(1)
        scores = scores.masked_fill(above, -math.inf)
    weights = torch.exp(scores - scores.amax(-1, keepdim=True))
    weights = weights / weights.sum(-1, keepdim=True)
    value = weights @ v
    unit = CHOPPED if dtype in HALVES else ROUNDOFF[dtype]
    most = scores.masked_fill(scores.isinf(), 0).abs().amax(-1, keepdim=True)
    twice = 2 if unit == CHOPPED else 1
    slip = gamma(twice * shape.size + 2, unit) * sizes.amax(-1, keepdim=True) + 4 * unit * most
    rounded = ROUNDOFF[dtype] if dtype in HALVES else 0.0
    added = (1 + gamma(twice * shape.keys + 8, unit)) ** 2 * (1 + EXP) ** 2
    relative = torch.exp(2 * slip) * (1 + rounded) ** 2 * added - 1
    bound = relative * (weights @ v.abs())
    # Weights below the type's least normal number are rounded to a multiple of its smallest.
    bound += shape.keys * torch.finfo(dtype).tiny * ROUNDOFF[dtype] * v.abs().max()
    bound += ROUNDOFF[dtype] * (value.abs() + bound)
    text = (
        "float64 on the CPU, explicit softmax; bound (e^(2e) (1 + u_p)^2 (1 + g) - 1) P|V| + u|O|"
    )
    return Expected(value, bound, text)


def attention(backend: str, shape: Shape, dtype: Any) -> Golden:
    """One shape in one backend."""
    name = f"attention {backend}, {name_of(dtype)}, {shape.name}"

    def operator(given: Inputs) -> Tensor:
        try:
            with forced(backend):
                return strict(lambda: attended(given, shape))
        except RuntimeError as error:
            lacks = shape in CUDNN_MAY_LACK and any(words in str(error) for words in NO_KERNEL)
            if backend == "cuDNN" and lacks:
                raise NothingToCheck("this cuDNN has no attention of that shape") from None
            raise

    return Golden(
        name,
        lambda: inputs_of(shape, dtype, name),
        operator,
        compared(lambda x: expected(x, shape)),
        features=FEATURES[backend],
        devices="cuda cpu" if backend in ON_CPU else "cuda",
        needs=partial(needs, backend),
    )
