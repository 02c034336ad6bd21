"""What to change first where a model does not fit: each change tried, and its verdict stated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sartor.fit.model import Change
from sartor.models.shape import Quantization

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sartor.fit.model import Asked, Placement, Verdict
    from sartor.models.shape import ModelShape

    Tried = Callable[[ModelShape, Asked, int], Placement | None]
    Proposal = tuple[str, ModelShape, Asked, int]

SMALLER = (("8-bit weights (FP8)", 8.0), ("4-bit weights (AWQ, GPTQ)", 4.16))
SMALLER_GGUF = (("Q8_0", 8.5), ("Q4_K_M", 4.9), ("Q3_K_M", 3.9))
LEAST_CONTEXT = 2048
"""Nobody asks for less; a change that leaves fewer tokens is none."""


def changes(shape: ModelShape, asked: Asked, now: Verdict, tried: Tried) -> list[Change]:
    """Those that help more than ``now``, the mildest first; of each kind the mildest that does."""
    found = []
    for proposals in _kinds(shape, asked):
        best: Change | None = None
        for what, other, wanted, times in proposals:
            placement = tried(other, wanted, times)
            if placement is None or placement.verdict not in {"fits", "may fit"}:
                continue
            best = best or Change(what, placement.verdict, placement.tokens, placement.label)
            if placement.verdict == "fits":
                best = Change(what, placement.verdict, placement.tokens, placement.label)
                break
        if best is not None and best.verdict != now:
            found.append(best)
    return sorted(found, key=lambda change: change.verdict != "fits")


def _kinds(shape: ModelShape, asked: Asked) -> Iterator[Iterator[Proposal]]:
    """The kinds of change, each with its proposals from mild to strong."""
    yield _settings(shape, asked)
    yield _contexts(shape, asked)
    yield _smaller(shape, asked)
    yield ((f"{times} times as many of the GPUs", shape, asked, times) for times in (2, 4, 8, 16))
    if shape.format != "gguf":
        yield _offloads(shape, asked)


def _settings(shape: ModelShape, asked: Asked) -> Iterator[Proposal]:
    """What costs nothing, or a little of the cache's precision."""
    replace = msgspec.structs.replace
    if asked.concurrency > 1:
        yield "`--concurrency 1`", shape, replace(asked, concurrency=1), 1
    if asked.sequences is None and shape.format != "gguf":
        less = replace(asked, sequences=16, batched=2048)
        yield "smaller steps (16 sequences, 2048 tokens)", shape, less, 1
    narrow = "q8_0" if shape.format == "gguf" else "fp8"
    if asked.cache_type == "auto":
        yield f"a KV cache in {narrow}", shape, replace(asked, cache_type=narrow), 1


def _contexts(shape: ModelShape, asked: Asked) -> Iterator[Proposal]:
    context = asked.context // 2
    while context >= LEAST_CONTEXT:
        yield f"`--context {context}`", shape, msgspec.structs.replace(asked, context=context), 1
        context //= 2


def _smaller(shape: ModelShape, asked: Asked) -> Iterator[Proposal]:
    for name, bits in SMALLER_GGUF if shape.format == "gguf" else SMALLER:
        if (smaller := quantised(shape, bits)) is not None:
            yield name, smaller, asked, 1


def _offloads(shape: ModelShape, asked: Asked) -> Iterator[Proposal]:
    """Weights left in main memory, read over the bus at every step: slow."""
    for gib in (2, 4, 8, 16, 32, 64):
        wanted = msgspec.structs.replace(asked, offload_gib=gib)
        yield f"{gib} GiB of weights offloaded to main memory (slow)", shape, wanted, 1


def quantised(shape: ModelShape, bits: float) -> ModelShape | None:
    """The same model in fewer bits a weight; None where it has as few, or is not known enough."""
    if not shape.vocab:
        return None
    parameters = shape.parameters
    stored = shape.weights.total if shape.weights else shape.weights_bytes
    now = stored * 8 / parameters if stored and parameters else None
    if now is None:
        now = shape.quantization.bits if shape.quantization else 8.0 * shape.item_bytes
    if now <= bits * 1.1:
        return None
    return msgspec.structs.replace(
        shape,
        weights=None,
        weights_bytes=None,
        quantization=Quantization("smaller", bits, head=shape.format == "gguf"),
    )
