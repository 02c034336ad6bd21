"""Sorting, selecting and moving elements: exact, against Python's own lists."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from sartor_checks.torch_numbers import (
    Expected,
    Golden,
    Inputs,
    Tensor,
    compared,
    generator,
    uniform,
    whole,
)

CORE = ["core operators"]
SORTS = ["core operators", "sorting and scans"]
REFERENCE = "exact: Python's lists"


def goldens() -> list[Golden]:
    """Every check of this module."""
    found = [sort_in_rows(), sort_stable(False), sort_stable(True), top(), greatest(), unique()]
    return [*found, embedding(), gathered(), scattered(), put(), where(), copied()]


def golden(
    name: str,
    inputs: Callable[[], Inputs],
    operator: Callable[[Inputs], Tensor],
    value: Callable[[Inputs], Any],
    features: list[str] = CORE,
) -> Golden:
    """An exact check; ``value`` gives lists, or a tensor."""

    def reference(given: Inputs) -> Expected:
        return Expected(torch.as_tensor(value(given)), None, REFERENCE)

    return Golden(name, inputs, operator, compared(reference), features=features)


def shuffled(name: str, *shape: int) -> Tensor:
    """Different whole numbers as float32, in a known disorder."""
    count = torch.Size(shape).numel()
    return torch.randperm(count, generator=generator(name)).reshape(shape).float() - count // 2


def sort_in_rows() -> Golden:
    """Short rows: values, and where they came from."""
    name = "sort float32, 50 rows of 700"

    def value(given: Inputs) -> Any:
        rows = given["x"].tolist()
        return [[sorted(row) for row in rows], [ordered(row) for row in rows]]

    return golden(
        name,
        lambda: {"x": shuffled(name, 50, 700)},
        lambda x: torch.stack([part.double() for part in torch.sort(x["x"])]),
        value,
        SORTS,
    )


def ordered(row: list[float], reverse: bool = False) -> list[int]:
    """The indices that sort a row, equal ones in their order."""
    sign = -1 if reverse else 1
    return sorted(range(len(row)), key=lambda i: (sign * row[i], i))


def sort_stable(reverse: bool) -> Golden:
    """A long row with many equal elements: a stable sort's indices are determined."""
    name = "stable sort int32, 60001 elements" + ", descending" * reverse
    return golden(
        name,
        lambda: {"x": whole(name, 60001, most=500, dtype=torch.int32)},
        lambda x: torch.sort(x["x"], stable=True, descending=reverse).indices,
        lambda x: ordered(x["x"].tolist(), reverse),
        SORTS,
    )


def top() -> Golden:
    """The greatest of each row."""
    name = "top 20 of 3000"
    return golden(
        name,
        lambda: {"x": shuffled(name, 9, 3000)},
        lambda x: torch.topk(x["x"], 20).indices,
        lambda x: [ordered(row, True)[:20] for row in x["x"].tolist()],
        SORTS,
    )


def greatest() -> Golden:
    """argmax, argmin."""
    name = "argmax and argmin"
    return golden(
        name,
        lambda: {"x": shuffled(name, 33, 1111)},
        lambda x: torch.stack([x["x"].argmax(-1), x["x"].argmin(-1)]),
        lambda x: [[row.index(f(row)) for row in x["x"].tolist()] for f in (max, min)],
    )


def unique() -> Golden:
    """Different values and how often each is there."""
    name = "unique int64 with counts"

    def value(given: Inputs) -> Any:
        row = given["x"].tolist()
        values = sorted(set(row))
        return [values, [row.count(v) for v in values]]

    return golden(
        name,
        lambda: {"x": whole(name, 5003, most=40, dtype=torch.int64)},
        lambda x: torch.stack(torch.unique(x["x"], return_counts=True)),
        value,
        SORTS,
    )


def embedding() -> Golden:
    """Rows of a table."""
    name = "embedding bfloat16"
    return golden(
        name,
        lambda: {
            "w": uniform(name, 100, 72, dtype=torch.bfloat16),
            "i": torch.randint(0, 100, (7, 90), generator=generator(name)),
        },
        lambda x: torch.nn.functional.embedding(x["i"], x["w"]),
        lambda x: [[x["w"].tolist()[i] for i in row] for row in x["i"].tolist()],
    )


def gathered() -> Golden:
    """One element for each index."""
    name = "gather float32"
    return golden(
        name,
        lambda: {
            "x": shuffled(name, 40, 130),
            "i": torch.randint(0, 130, (40, 600), generator=generator(name)),
        },
        lambda x: torch.gather(x["x"], 1, x["i"]),
        lambda x: [[a[i] for i in b] for a, b in zip(x["x"].tolist(), x["i"].tolist())],
    )


def added(given: Inputs) -> list[float]:
    """The table with every value added where its index says."""
    table: list[float] = given["x"].tolist()
    for i, value in zip(given["i"].tolist(), given["v"].tolist()):
        table[i] += value
    return table


def additions(name: str) -> Inputs:
    """Many additions to few places, of whole numbers: their order does not matter."""
    return {
        "x": whole(name, 97, most=9),
        "i": torch.randint(0, 97, (20000,), generator=generator(name)),
        "v": whole("v" + name, 20000, most=9),
    }


def scattered() -> Golden:
    """Additions by atomic operations."""
    name = "scatter add float32"
    return golden(
        name,
        lambda: additions(name),
        lambda x: x["x"].scatter_add(0, x["i"], x["v"]),
        added,
    )


def put() -> Golden:
    """Additions in a determined order (by sorting)."""
    name = "index put float32, deterministic"

    def operator(given: Inputs) -> Tensor:
        torch._C._set_deterministic_algorithms(True)  # the public one imports a compiler: 9 s
        try:
            return given["x"].index_put((given["i"],), given["v"], accumulate=True)
        finally:
            torch._C._set_deterministic_algorithms(False)

    return golden(name, lambda: additions(name), operator, added, SORTS)


def where() -> Golden:
    """A choice by a condition, of a transposed tensor and a broadcast one."""
    name = "where, broadcast and transposed"

    def value(given: Inputs) -> Any:
        x, y = given["x"].tolist(), given["y"].tolist()
        return [[max(x[c][r], y[r]) for c in range(60)] for r in range(50)]

    def operator(given: Inputs) -> Tensor:
        x, y = given["x"].T, given["y"][:, None]
        return torch.where(x > y, x, y)

    return golden(
        name,
        lambda: {"x": shuffled(name, 60, 50), "y": shuffled("y" + name, 50) * 60},
        operator,
        value,
    )


def copied() -> Golden:
    """Types and layouts changed on the way: whole numbers stay what they are."""
    name = "copies through types and layouts"

    def operator(given: Inputs) -> Tensor:
        x = given["x"].half().bfloat16().permute(2, 0, 1).contiguous().float()
        return torch.cat([x, x.flip(0)], 1).to(torch.int32)

    def value(given: Inputs) -> Any:
        x = given["x"].tolist()
        planes = [[[x[a][b][c] for b in range(6)] for a in range(5)] for c in range(7)]
        return [planes[c] + planes[6 - c] for c in range(7)]

    return golden(name, lambda: {"x": whole(name, 5, 6, 7, most=120)}, operator, value)
