"""Convolutions against a sum over the kernel's places, in float64.

A convolution is a product of ``channels * places`` terms, with a product's bound, as long as it is
computed as one. Where the kernel is 3x3 with stride 1 a library may take Winograd's algorithm,
which the bound of `winograd` allows for; the other shapes are none of its.
"""

from __future__ import annotations

import warnings
from itertools import product
from typing import Any, NamedTuple

import torch

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
    uniform,
)
from sartor_checks.torch_products import HALVES, name_of, strict

WINOGRAD = 19.0**2 * 10.0**2
"""Norms of F(4x4, 3x3)'s transforms, squared: its output's, and its input's (the kernel's is 1);
Lavin and Gray, arXiv:1509.09308."""


class Shape(NamedTuple):
    """A convolution: its input without the batch, its kernel, and how it goes."""

    name: str
    image: tuple[int, ...]
    out: int
    kernel: tuple[int, ...]
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    groups: int = 1


SHAPES = (
    Shape("1d, stride 2", (6, 61), 10, (5,), stride=2, padding=2),
    Shape("1d causal, depthwise", (24, 40), 24, (4,), padding=3, groups=24),
    Shape("2d, stride 2", (8, 21, 19), 12, (3, 3), stride=2, padding=1),
    Shape("2d 1x1", (16, 13, 11), 24, (1, 1)),
    Shape("2d patches", (3, 28, 28), 32, (14, 14), stride=14),
    Shape("2d grouped, dilated", (12, 17, 15), 18, (3, 3), stride=2, dilation=2, groups=3),
    Shape("3d, stride 2", (4, 9, 8, 7), 6, (3, 3, 3), stride=2, padding=1),
)


def goldens() -> list[Golden]:
    """Every check of this module."""
    found = [convolution(shape, torch.float32) for shape in SHAPES]
    found += [convolution(SHAPES[i], dtype) for i in (1, 2, 4) for dtype in HALVES]
    found += [convolution(SHAPES[2], torch.float64), convolution(SHAPES[6], torch.bfloat16)]
    found += [convolution(SHAPES[2], torch.float32, tf32=True), winograd(), without_cudnn()]
    return found


def given_to(shape: Shape, dtype: Any, name: str) -> Inputs:
    """Two images, the kernels and the bias."""
    weights = shape.out, shape.image[0] // shape.groups, *shape.kernel
    return {
        "x": uniform(name, 2, *shape.image, dtype=dtype),
        "w": uniform("w" + name, *weights, dtype=dtype),
        "b": uniform("b" + name, shape.out, dtype=dtype),
    }


def convolved(given: Inputs, shape: Shape) -> Tensor:
    """What the device gives."""
    call = getattr(torch.nn.functional, f"conv{len(shape.kernel)}d")
    return call(
        given["x"],
        given["w"],
        given["b"],
        shape.stride,
        shape.padding,
        shape.dilation,
        shape.groups,
    )


def summed(x: Tensor, w: Tensor, shape: Shape) -> Tensor:
    """The sum over the kernel's places of a slice of the image by that place's weights."""
    rank = len(shape.kernel)
    x = torch.nn.functional.pad(x, [shape.padding] * (2 * rank))
    reach = [shape.dilation * (k - 1) for k in shape.kernel]
    sizes = [(x.shape[2 + d] - reach[d] - 1) // shape.stride + 1 for d in range(rank)]
    groups = shape.groups
    total: Any = 0.0
    for place in product(*(range(k) for k in shape.kernel)):
        part = x
        for d in range(rank):
            begin = place[d] * shape.dilation
            part = part.narrow(2 + d, begin, (sizes[d] - 1) * shape.stride + 1)
            part = part[(slice(None),) * (2 + d) + (slice(None, None, shape.stride),)]
        part = part.reshape(x.shape[0], groups, x.shape[1] // groups, -1)
        weights = w[(slice(None), slice(None), *place)].reshape(groups, -1, w.shape[1])
        total = total + (weights[None] @ part)
    return total.reshape(x.shape[0], shape.out, *sizes)


def expected(given: Inputs, shape: Shape, extra: float = 0.0) -> Expected:
    """The convolution with the bound of a product of as many terms."""
    x, w, out = exact(given["x"]), exact(given["w"]), given["x"].dtype
    bias = exact(given["b"]).reshape(-1, *[1] * len(shape.kernel))
    value, size = summed(x, w, shape) + bias, summed(x.abs(), w.abs(), shape) + bias.abs()
    terms = w[0].numel() + 1
    unit = CHOPPED if extra or out in HALVES else ROUNDOFF[out]
    roundings = terms if out is torch.float32 and not extra else 2 * terms  # see bounded_product
    bound = ((1 + extra) ** 2 * (1 + gamma(roundings, unit)) - 1) * size
    # The sum before the bias may have been rounded to the output's type as well.
    bound += 2 * ROUNDOFF[out] * (value.abs() + bias.abs() + bound)
    text = f"float64 on the CPU; bound g({roundings}, {unit:.3g}) |W||X| + 2 u (|Y| + |b|)"
    return Expected(value, bound, text)


def convolution(shape: Shape, dtype: Any, tf32: bool = False) -> Golden:
    """One shape, by cuDNN or the CPU's library."""
    name = f"convolution {shape.name}, {name_of(dtype)}" + " with TF32" * tf32
    return Golden(
        name,
        lambda: given_to(shape, dtype, name),
        lambda x: strict(lambda: convolved(x, shape), tf32),
        compared(lambda x: expected(x, shape, TF32 if tf32 else 0.0)),
        devices="cuda" if tf32 else "cuda cpu",
    )


def winograd() -> Golden:
    """3x3 with stride 1 in float32: a bound on the greatest error, whatever the algorithm."""
    shape = Shape("2d 3x3", (8, 18, 22), 16, (3, 3), padding=1)
    name = "convolution 2d 3x3, float32, any algorithm"

    def reference(given: Inputs) -> Expected:
        plain = expected(given, shape)
        channels = shape.image[0]
        size = given["x"].abs().max().double() * exact(given["w"]).abs().amax((1, 2, 3))
        bound = WINOGRAD * gamma(channels + 20, ROUNDOFF[torch.float32]) * channels * size
        text = "float64 on the CPU; bound 19^2 10^2 g(C + 20, u) C max|W| max|X|, u = 2^-24"
        return Expected(plain.value, bound.reshape(1, -1, 1, 1) + plain.bound, text)

    return Golden(
        name,
        lambda: given_to(shape, torch.float32, name),
        lambda x: strict(lambda: convolved(x, shape)),
        compared(reference),
    )


def without_cudnn() -> Golden:
    """The same by torch's own kernels (im2col and a product), with a product's bound."""
    shape = Shape("2d 3x3", (8, 18, 22), 16, (3, 3), padding=1)
    name = "convolution 2d 3x3, float32, torch's own kernels"

    def operator(given: Inputs) -> Tensor:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of TF32 where there is none
            cudnn, mkldnn = torch.backends.cudnn, torch.backends.mkldnn
            with cudnn.flags(enabled=False), mkldnn.flags(enabled=False):
                return strict(lambda: convolved(given, shape))

    return Golden(
        name,
        lambda: given_to(shape, torch.float32, name),
        operator,
        compared(lambda x: expected(x, shape)),
        features=["core operators"],
    )
