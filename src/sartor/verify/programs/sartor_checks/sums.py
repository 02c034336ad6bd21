"""Operators that several packages have: what they must write, whoever's they are.

Each takes a `Bench` and a function that calls the package's own, and returns `Compared`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from sartor_checks.operators import SUM, Bench, Compared, exact

EPSILON = 1e-5
TOKENS, WIDTH, HEADS, SIZE = 37, 512, 4, 128
Call = Callable[..., Any]


def norm(bench: Bench, call: Call) -> Compared:
    """Root-mean-square norm; ``call(out, x, weight)``."""
    x, weight, out = bench.normal(TOKENS, WIDTH), bench.normal(WIDTH), bench.empty(TOKENS, WIDTH)
    call(out, x, weight)
    expected = normed(exact(x)) * exact(weight)
    return Compared(out, expected, 3 * bench.unit * expected.abs(), "three roundings")


def normed(x: Any) -> Any:
    """Each row divided by the root of its mean square."""
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + EPSILON)


def added_norm(bench: Bench, call: Call) -> Compared:
    """The residual added, then the norm, both written; ``call(x, residual, weight)``."""
    x, residual = bench.normal(TOKENS, WIDTH), bench.normal(TOKENS, WIDTH)
    weight = bench.normal(WIDTH)
    total = exact(x) + exact(residual)
    call(x, residual, weight)
    expected = torch.stack([normed(total) * exact(weight), total])
    why = "four roundings of each"
    return Compared(torch.stack([x, residual]), expected, 4 * bench.unit * expected.abs(), why)


def gated(bench: Bench, call: Call, activation: Call) -> Compared:
    """An activation of the one half of each row, times the other half; ``call(out, x)``."""
    x, out = bench.normal(TOKENS, 2 * WIDTH), bench.empty(TOKENS, WIDTH)
    call(out, x)
    first, second = exact(x).chunk(2, -1)
    expected = activation(first) * second
    allowed = 4 * bench.unit * expected.abs() + 64 * SUM * (first * second).abs()
    return Compared(out, expected, allowed, "four roundings, and float32 inside")


def gelu(x: Any) -> Any:
    """The exact one."""
    return torch.nn.functional.gelu(x)


def gelu_tanh(x: Any) -> Any:
    """The approximation by a hyperbolic tangent."""
    return torch.nn.functional.gelu(x, approximate="tanh")


ACTIVATIONS = {
    "silu_and_mul": torch.nn.functional.silu,
    "gelu_and_mul": gelu,
    "gelu_tanh_and_mul": gelu_tanh,
}


def rotary(bench: Bench, call: Call, neox: bool, apart: bool = False) -> Compared:
    """Rotary positions; ``call(positions, queries, keys, size, table, neox)``.

    ``neox``: a pair's two lie half a head apart, else side by side. ``apart``: the heads are a
    dimension of their own, as MLA's layers hand them over.
    """
    angles = torch.arange(256.0)[:, None] * 1e4 ** (-torch.arange(SIZE // 2) / (SIZE // 2))
    table = bench.put(torch.cat([angles.cos(), angles.sin()], -1).to(bench.dtype))
    places = bench.integers(0, 256, TOKENS)
    queries, keys = bench.normal(TOKENS, HEADS * SIZE), bench.normal(TOKENS, 2 * SIZE)
    before = exact(torch.cat([queries, keys], -1)).view(TOKENS, HEADS + 2, SIZE)
    heads = [t.view(TOKENS, -1, SIZE) if apart else t for t in (queries, keys)]
    call(places, *heads, SIZE, table, neox)
    cos, sin = exact(table)[places.cpu()][:, None].chunk(2, -1)
    first, second = before.chunk(2, -1) if neox else (before[..., ::2], before[..., 1::2])
    turned = (first * cos - second * sin, second * cos + first * sin)
    sizes = (
        (first * cos).abs() + (second * sin).abs(),
        (second * cos).abs() + (first * sin).abs(),
    )
    expected, size = (
        (torch.cat(two, -1) if neox else torch.stack(two, -1)).reshape(TOKENS, -1)
        for two in (turned, sizes)
    )
    output = torch.cat([queries, keys], -1)
    return Compared(output, expected, 3 * bench.unit * size, "three roundings of the terms")


def merged(bench: Bench, call: Call) -> Compared:
    """Two parts of an attention, each with the logarithm of its sum.

    ``call(out, one, its logarithms, other, its logarithms)``; the logarithms are [heads, tokens].
    """
    one, other = bench.normal(TOKENS, HEADS, SIZE), bench.normal(TOKENS, HEADS, SIZE)
    scores = [bench.normal(HEADS, TOKENS, dtype=torch.float32) for _ in range(2)]
    out = bench.empty(TOKENS, HEADS, SIZE)
    call(out, one, scores[0], other, scores[1])
    weights = torch.softmax(torch.stack([exact(s).T[..., None] for s in scores]), 0)
    terms = weights * torch.stack([exact(one), exact(other)])
    allowed = 3 * bench.unit * terms.abs().sum(0)
    return Compared(out, terms.sum(0), allowed, "three roundings of the terms")


def best_experts(bench: Bench, call: Call) -> Compared:
    """Each token's best experts, and their weights; ``call(weights, ids, scores)``."""
    experts, best = 16, 4
    scores = bench.normal(TOKENS, experts, dtype=torch.float32)
    weights = bench.empty(TOKENS, best, dtype=torch.float32)
    ids = bench.empty(TOKENS, best, dtype=torch.int32)
    call(weights, ids, scores)
    found = torch.softmax(exact(scores), -1).topk(best, -1)
    expected = torch.cat([found.values, found.indices.double()], -1)
    allowed = torch.cat([found.values * 64 * SUM, torch.zeros(TOKENS, best)], -1)
    return Compared(torch.cat([weights, ids.float()], -1), expected, allowed, "float32 inside")
