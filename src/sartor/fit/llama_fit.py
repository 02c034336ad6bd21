"""llama.cpp: layers over GPUs and main memory, as many on the GPUs as there is room for.

The embedding stays in main memory; a step's buffer lies on every device, the largest where the
output head is (``src/llama-model.cpp``, ``src/llama-context.cpp``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sartor.fit.engine_facts import overhead, usable
from sartor.fit.llama_cache import MICRO_BATCH, LlamaCache, layer_bytes
from sartor.fit.model import Bound, Part, Placement, Share, total
from sartor.fit.vllm_fit import UNKNOWN_STEP, verdict_of
from sartor.fit.weights import Slice, on_gpu, whole
from sartor.plan.model import Device

if TYPE_CHECKING:
    from sartor.fit.model import Asked
    from sartor.models.shape import ModelShape

ENGINE = "llama.cpp"
MOST_TOKENS = 1 << 22


class Split(msgspec.Struct, frozen=True):
    """``on_gpu`` layers, the last ones, over ``devices``; the others in main memory."""

    devices: list[Device]
    on_gpu: int


def cache_of(asked: Asked) -> LlamaCache:
    """The cache that was asked for."""
    return LlamaCache(asked.context, asked.concurrency, asked.cache_type)


def place(shape: ModelShape, asked: Asked, split: Split, memory: Bound | None) -> Placement:
    """The placement that ``split`` gives; ``memory`` is the main memory (None: not known)."""
    parts = _ranges(shape, asked, split)
    shares = [
        _share(shape, asked, device, layers, last=layers.stop == len(shape.layers))
        for device, layers in zip(split.devices, parts, strict=True)
    ]
    host = _host_share(shape, asked, split, memory)
    every = [*shares, host] if host is not None else shares
    verdict = verdict_of(every)
    if host is not None and memory is None:
        verdict = "not checked" if verdict != "does not fit" else verdict
    tokens = _capacity(shape, asked, split, memory)
    return Placement(
        _label(shape, split),
        verdict,
        every,
        pipeline=max(1, len(split.devices)),
        on_gpu=split.on_gpu if split.devices else None,
        tokens=tokens,
        concurrency=tokens.each(lambda count: count // asked.context),
        longest=_at_most(tokens, shape.max_context),
    )


def _at_most(tokens: Bound, most: int | None) -> Bound:
    if most is None:
        return tokens
    return tokens.each(lambda count: min(count, most))


def _label(shape: ModelShape, split: Split) -> str:
    if not split.devices:
        return "main memory"
    names = [device.name for device in split.devices]
    where = ", ".join(
        f"{names.count(n)}x {n}" if len(names) > 1 else n for n in dict.fromkeys(names)
    )
    if split.on_gpu == len(shape.layers):
        return where if len(names) == 1 else f"{where}: layers spread"
    return f"{where}: {split.on_gpu} of {len(shape.layers)} layers, the rest in main memory"


def _ranges(shape: ModelShape, asked: Asked, split: Split) -> list[range]:
    """The layers of each device, in proportion to its memory."""
    del asked
    memory = [device.memory_bytes or 0 for device in split.devices]
    first, ranges, before = len(shape.layers) - split.on_gpu, [], 0
    for size in memory:
        before += size
        end = len(shape.layers) - split.on_gpu + round(split.on_gpu * before / max(1, sum(memory)))
        ranges.append(range(first, end))
        first = end
    return ranges


def _cache_part(shape: ModelShape, asked: Asked, layers: range) -> Part:
    size = sum(layer_bytes(shape.layers[n], cache_of(asked)) for n in layers)
    return Part("kv cache", Bound.exact(size), f"{asked.concurrency} x {asked.context} tokens")


def buffer(shape: ModelShape, *, last: bool) -> Bound:
    """A step's buffer of 32-bit items: the widest layer, or the logits of every token of it."""
    if not shape.hidden or not shape.vocab:
        return UNKNOWN_STEP
    width = max((layer.width for layer in shape.layers), default=0)
    items = max(width + width // 2 + 2 * shape.hidden, shape.vocab if last else 0)
    return overhead(ENGINE, "compute").times(MICRO_BATCH * items * 4)


def _share(shape: ModelShape, asked: Asked, device: Device, layers: range, *, last: bool) -> Share:
    memory = usable(device.name, device.memory_bytes or 0)
    room = memory.each(lambda size: int(size * asked.fraction))
    own = overhead("any", "context").times(1).plus(overhead(ENGINE, "non_torch").times(1))
    parts = [
        Part(
            "weights",
            on_gpu(shape, Slice(layers, first=False, last=last)),
            f"layers {layers.start} to {layers.stop - 1}",
        ),
        Part("activations", buffer(shape, last=last), f"a step of {MICRO_BATCH} tokens"),
        Part("engine", own, "the CUDA context"),
        _cache_part(shape, asked, layers),
    ]
    return Share(device, room, parts, (layers.start, layers.stop - 1) if len(layers) else None)


def _host_share(
    shape: ModelShape, asked: Asked, split: Split, memory: Bound | None
) -> Share | None:
    """What main memory holds; None where all layers are on GPUs (the embedding is mapped)."""
    layers = range(len(shape.layers) - split.on_gpu)
    if split.devices and not layers:
        return None
    last = not split.devices
    weights = whole(shape) if last else on_gpu(shape, Slice(layers, last=False))
    parts = [
        Part("weights", weights, "what is not on a GPU"),
        Part("activations", buffer(shape, last=last), f"a step of {MICRO_BATCH} tokens"),
        Part("engine", overhead(ENGINE, "non_torch").times(1), "the process"),
        _cache_part(shape, asked, layers),
    ]
    return Share(None, memory or Bound.exact(0, "assumed"), parts, (0, len(layers) - 1))


def _fits(shape: ModelShape, asked: Asked, split: Split, memory: Bound | None, which: int) -> bool:
    """Whether every device has room, by the least, the likely or the most of everything."""
    ranges = _ranges(shape, asked, split)
    shares = [
        _share(shape, asked, d, r, last=r.stop == len(shape.layers))
        for d, r in zip(split.devices, ranges, strict=True)
    ]
    host = _host_share(shape, asked, split, memory)
    if host is not None and memory is not None:
        shares.append(host)
    for share in shares:
        need = total(part.bytes for part in share.parts)
        wanted = (need.most, need.likely, need.least)[which]
        if wanted > (share.room.least, share.room.likely, share.room.most)[which]:
            return False
    return True


def _capacity(shape: ModelShape, asked: Asked, split: Split, memory: Bound | None) -> Bound:
    """How many tokens there is room for, in sequences of the asked context."""
    found = []
    for which in range(3):
        low, high = 0, MOST_TOKENS // 256
        while low < high:
            middle = (low + high + 1) // 2
            wanted = msgspec.structs.replace(asked, context=middle * 256, concurrency=1)
            fits = _fits(shape, wanted, split, memory, which)
            low, high = (middle, high) if fits else (low, middle - 1)
        found.append(low * 256)
    return Bound.of(found, "assumed")


def most_layers(shape: ModelShape, asked: Asked, devices: list[Device]) -> int:
    """As many layers as probably fit on ``devices`` together."""
    for count in range(len(shape.layers), 0, -1):
        if _fits(shape, asked, Split(devices, count), None, 1):
            return count
    return 0
