"""What to change first where a model does not fit: each change tried, and its verdict stated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sartor.fit.model import Change
from sartor.models.shape import Quantization

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sartor.fit.model import Asked, Placement
    from sartor.models.shape import ModelShape

Try = "Callable[[ModelShape, Asked, int], Placement | None]"

SMALLER = (("8-bit weights (FP8)", 8.0), ("4-bit weights (AWQ, GPTQ)", 4.16))
SMALLER_GGUF = (("Q8_0", 8.5), ("Q4_K_M", 4.9), ("Q3_K_M", 3.9))
LEAST_CONTEXT = 2048


def changes(
    shape: ModelShape,
    asked: Asked,
    tried: Callable[[ModelShape, Asked, int], Placement | None],
) -> list[Change]:
    """Those that help, the mildest first: each alone, then the smallest weights with the rest."""
    found = []
    for what, other, wanted, more in _proposals(shape, asked):
        placement = tried(other, wanted, more)
        if placement is not None and placement.verdict in {"fits", "may fit"}:
            found.append(Change(what, placement.verdict, placement.tokens, placement.label))
    return found


def _proposals(shape: ModelShape, asked: Asked) -> Iterator[tuple[str, ModelShape, Asked, int]]:
    """What to try: in words, the shape, the question, and how many times the GPUs."""
    replace = msgspec.structs.replace
    if asked.concurrency > 1:
        yield "`--concurrency 1`", shape, replace(asked, concurrency=1), 1
    narrow = "q8_0" if shape.format == "gguf" else "fp8"
    if asked.cache_type == "auto":
        yield f"a KV cache in {narrow}", shape, replace(asked, cache_type=narrow), 1
    context = asked.context // 2
    while context >= LEAST_CONTEXT:
        yield f"`--context {context}`", shape, replace(asked, context=context), 1
        context //= 2
    if asked.sequences is None and shape.format != "gguf":
        less = replace(asked, sequences=16, batched=2048)
        yield "fewer tokens a step (`--max-num-seqs 16`)", shape, less, 1
    for name, bits in SMALLER_GGUF if shape.format == "gguf" else SMALLER:
        if (smaller := quantised(shape, bits)) is not None:
            yield name, smaller, asked, 1
    for times in (2, 4, 8):
        yield f"{times} times as many of the GPUs", shape, asked, times


def quantised(shape: ModelShape, bits: float) -> ModelShape | None:
    """The same model in fewer bits a weight; None where it has as few already."""
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
