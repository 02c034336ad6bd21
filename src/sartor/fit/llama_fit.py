"""llama.cpp: layers over GPUs and main memory, as many on the GPUs as there is room for.

The embedding stays in main memory; a step's buffer lies on every device, the largest where the
output head is (``src/llama-model.cpp``, ``src/llama-context.cpp``).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from sartor.fit.engine_facts import overhead, usable
from sartor.fit.llama_cache import MICRO_BATCH, PAD, LlamaCache, cache_bytes, layer_bytes
from sartor.fit.model import Bound, Part, Placement, Share, total
from sartor.fit.vllm_fit import UNKNOWN_STEP, verdict_of
from sartor.fit.weights import Slice, on_gpu, whole
from sartor.plan.model import Device

if TYPE_CHECKING:
    from sartor.fit.model import Asked
    from sartor.models.shape import Cache, ModelShape

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
    shares = _gpu_shares(shape, asked, split)
    host = _host_share(shape, asked, split, memory)
    every = [*shares, host] if host is not None else shares
    verdict = verdict_of(every)
    if host is not None and memory is None:
        verdict = "not checked" if verdict != "does not fit" else verdict
    known = [share for share in every if share.device is not None or memory is not None]
    tokens = _capacity(shape, asked, known) if known else Bound.exact(0)
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


def _gpu_shares(shape: ModelShape, asked: Asked, split: Split) -> list[Share]:
    ranges = _ranges(shape, split)
    return [
        _share(shape, asked, device, layers, last=layers.stop == len(shape.layers))
        for device, layers in zip(split.devices, ranges, strict=True)
    ]


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


def _ranges(shape: ModelShape, split: Split) -> list[range]:
    """The layers of each device, in proportion to its memory."""
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
    held = layers or range(len(shape.layers))
    return Share(None, memory or Bound.exact(0, "assumed"), parts, (held.start, held.stop - 1))


def _spare(shares: list[Share]) -> list[tuple[int, int, int]]:
    """What each share leaves for a cache: by the worst, the likely and the best of all else."""
    found = []
    for share in shares:
        rest = total(part.bytes for part in share.parts if part.name != "kv cache")
        room = share.room
        found.append((room.least - rest.most, room.likely - rest.likely, room.most - rest.least))
    return found


def _capacity(shape: ModelShape, asked: Asked, shares: list[Share]) -> Bound:
    """The longest sequence, in steps of 256 tokens, that every share has room for."""
    spare = _spare(shares)
    held = [_caches(shape, share) for share in shares]
    found = []
    for which in range(3):
        low, high = 0, MOST_TOKENS // PAD
        while low < high:
            middle = (low + high + 1) // 2
            cache = LlamaCache(middle * PAD, 1, asked.cache_type)
            fits = all(
                sum(cache_bytes(one, cache) * many for one, many in caches.items()) <= left[which]
                for caches, left in zip(held, spare, strict=True)
            )
            low, high = (middle, high) if fits else (low, middle - 1)
        found.append(low * PAD)
    return Bound.of(found, "assumed")


def _caches(shape: ModelShape, share: Share) -> Counter[Cache]:
    """How many of each cache the share's layers keep."""
    if share.layers is None:
        return Counter()
    first, last = share.layers
    return Counter(c for layer in shape.layers[first : last + 1] for c in layer.caches)


def most_layers(shape: ModelShape, asked: Asked, devices: list[Device]) -> int:
    """As many layers as probably fit on ``devices`` together."""

    def fits(count: int) -> bool:
        shares = _gpu_shares(shape, asked, Split(devices, count))
        return all(share.needed.likely <= share.room.likely for share in shares)

    low, high = 0, len(shape.layers)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low
