"""vLLM on GPUs: what each takes, and how many tokens its KV cache then holds.

vLLM takes ``fraction`` of a GPU's memory, runs one step of as many tokens as it allows, and gives
what is left of the fraction to the KV cache (``determine_available_memory`` in
``vllm/v1/worker/gpu_worker.py``, 0.25.1). The CUDA context lies outside of the fraction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sartor.fit import vllm_cache
from sartor.fit.engine_facts import GIB, limits, overhead, usable
from sartor.fit.model import Bound, Part, Placement, Share, total
from sartor.fit.vllm_cache import CachePlan, CacheSettings
from sartor.fit.weights import Slice, on_gpu, whole
from sartor.models.shape import State
from sartor.plan.model import Device

if TYPE_CHECKING:
    from sartor.fit.model import Asked, Verdict
    from sartor.models.shape import ModelShape

ENGINE = "vllm"
MOST_TOKENS = 1 << 22
UNKNOWN_STEP = Bound(0, GIB // 2, 3 * GIB, "assumed")
"""The largest step of a model whose widths are not known."""
NARROW = {"fp8": 1, "fp8_e4m3": 1, "fp8_e5m2": 1, "int8": 1}


class Layout(msgspec.Struct, frozen=True):
    """``tensor`` x ``pipeline`` devices, those that share a layer side by side."""

    devices: list[Device]
    tensor: int
    pipeline: int
    expert: bool = False

    @property
    def label(self) -> str:
        """As people say it."""
        names = [device.name for device in self.devices]
        alike = dict.fromkeys(names)
        where = ", ".join(f"{names.count(n)}x {n}" if len(names) > 1 else n for n in alike)
        ways = [f"tensor parallel {self.tensor}"] if self.tensor > 1 else []
        ways += ["experts spread"] if self.expert else []
        ways += [f"pipeline parallel {self.pipeline}"] if self.pipeline > 1 else []
        return f"{where}: {', '.join(ways)}" if ways else where


class Step(msgspec.Struct, frozen=True):
    """The largest step: tokens, and sequences whose next token is chosen."""

    batched: int
    sequences: int


def step_of(asked: Asked, device: Device) -> Step:
    """What was asked, else the engine's default on ``device`` (`get_batch_defaults`)."""
    fact = limits(ENGINE)
    if fact is None:
        raise LookupError(ENGINE)
    name = device.name.lower()
    large = (device.memory_bytes or 0) >= fact.large_from_gib * GIB
    kind = "large" if large and not any(word in name for word in fact.never_large) else "small"
    sequences = asked.sequences or fact.sequences[kind]
    batched = asked.batched or min(fact.batched[kind], sequences * asked.context)
    return Step(batched, min(sequences, batched))


def item_bytes(shape: ModelShape, asked: Asked) -> int:
    """The size of an item of the KV cache."""
    return NARROW.get(asked.cache_type, shape.item_bytes)


def settings(shape: ModelShape, asked: Asked, step: Step, tensor: int) -> CacheSettings:
    """What the cache depends on."""
    fact = limits(ENGINE)
    block = fact.block["cuda"] if fact else 16
    return CacheSettings(asked.context, step.batched, block, item_bytes(shape, asked), tensor)


def stages(layers: int, pipeline: int) -> list[range]:
    """The layers of each stage; what does not divide goes to the last but one and before it
    (``get_pp_indices`` in ``vllm/distributed/utils.py``)."""
    counts = [layers // pipeline] * pipeline
    for number in range(layers % pipeline):
        counts[-(number + 2) if pipeline > 1 else 0] += 1
    ends = [sum(counts[: n + 1]) for n in range(pipeline)]
    return [range(end - count, end) for end, count in zip(ends, counts, strict=True)]


def place(shape: ModelShape, asked: Asked, layout: Layout) -> Placement:
    """The placement that ``layout`` gives."""
    shares, plans = [], []
    for number, layers in enumerate(stages(len(shape.layers), layout.pipeline)):
        first, last = number == 0, number == layout.pipeline - 1
        part = Slice(layers, layout.tensor, layout.expert, first, last)
        devices = layout.devices[number * layout.tensor : (number + 1) * layout.tensor]
        for device, many in _alike(devices):
            step = step_of(asked, device)
            cache = vllm_cache.plan(shape, settings(shape, asked, step, layout.tensor), layers)
            share = _share(shape, asked, device, part, step, cache)
            plans += [cache] * many
            named = [d for d in devices if _kind(d) == _kind(device)]
            shares += [msgspec.structs.replace(share, device=own) for own in named]
    placement = Placement(
        layout.label, verdict_of(shares), shares, layout.tensor, layout.pipeline, layout.expert
    )
    return with_room(placement, shape, asked, plans)


def _kind(device: Device) -> tuple[str, int | None]:
    return device.name, device.memory_bytes


def _alike(devices: list[Device]) -> list[tuple[Device, int]]:
    """One device of each kind, and how many of it there are."""
    kinds = {_kind(device): device for device in reversed(devices)}
    return [(one, sum(_kind(d) == kind for d in devices)) for kind, one in kinds.items()]


def place_in_memory(shape: ModelShape, asked: Asked, memory: Bound | None) -> Placement:
    """The placement in main memory; ``memory`` is what there is of it (None: not known)."""
    fact = limits(ENGINE)
    if fact is None:
        raise LookupError(ENGINE)
    every = Slice(range(len(shape.layers)))
    step = Step(
        asked.batched or min(fact.batched["cpu"], fact.sequences["cpu"] * asked.context),
        asked.sequences or fact.sequences["cpu"],
    )
    wanted = settings(shape, asked, step, 1)
    cache = vllm_cache.plan(
        shape, msgspec.structs.replace(wanted, block=max(wanted.block, fact.block["cpu"]))
    )
    parts = [
        Part("weights", whole(shape), "all layers"),
        Part("activations", activations(shape, every, step), f"a step of {step.batched} tokens"),
        Part(
            "kv cache",
            Bound.exact(cache.sequence_bytes * asked.concurrency),
            f"{asked.concurrency} x {asked.context} tokens",
        ),
    ]
    share = Share(None, memory or Bound.exact(0, "assumed"), parts, (0, len(shape.layers) - 1))
    placement = Placement("main memory", share.verdict if memory else "not checked", [share])
    return with_room(placement, shape, asked, [cache]) if memory else placement


def verdict_of(shares: list[Share]) -> Verdict:
    """The worst of the shares."""
    found = {share.verdict for share in shares}
    if "does not fit" in found:
        return "does not fit"
    return "may fit" if "may fit" in found else "fits"


def _share(
    shape: ModelShape, asked: Asked, device: Device, part: Slice, step: Step, cache: CachePlan
) -> Share:
    memory = usable(device.name, device.memory_bytes or 0)
    room = memory.each(lambda size: int(size * asked.fraction))
    parts = [
        Part(
            "weights",
            less(on_gpu(shape, part), asked.offload_gib * GIB),
            f"layers {part.layers.start} to {part.layers[-1]}",
        ),
        Part("activations", activations(shape, part, step), f"a step of {step.batched} tokens"),
        Part("cuda graphs", graphs(shape, part), "captured ahead"),
        Part("engine", engine_bytes(part), "kernels, libraries, communication"),
        Part(
            "kv cache",
            Bound.exact(cache.sequence_bytes * asked.concurrency),
            f"{asked.concurrency} x {asked.context} tokens",
        ),
    ]
    ends = (part.layers.start, part.layers[-1]) if len(part.layers) else None
    return Share(device, room, parts, ends)


def less(bound: Bound, taken: int) -> Bound:
    """``bound`` without ``taken`` bytes, never below nothing."""
    return bound.each(lambda size: max(0, size - taken))


def runs_second(shape: ModelShape) -> bool:
    """Whether vLLM's second model runner runs it (``use_v2_model_runner``, vllm/config/vllm.py)."""
    caches = [cache for layer in shape.layers for cache in layer.caches]
    if any(isinstance(cache, State) for cache in caches):
        return False
    fact = limits(ENGINE)
    return not shape.experts or bool(fact and shape.family in fact.second_runner)


def activations(shape: ModelShape, part: Slice, step: Step) -> Bound:
    """The peak of one step: the widest layer, or choosing the next tokens.

    A layer holds gate and up, their product, and the residual stream twice; a mixture its chosen
    experts' rows. All but the residual stream is split over tensor-parallel GPUs.
    """
    if not shape.hidden or not shape.vocab:
        return UNKNOWN_STEP
    width = max((shape.layers[n].width for n in part.layers), default=0)
    inner = width + width // 2
    if shape.active_experts and shape.experts:
        inner = max(inner, shape.active_experts * (_expert_width(shape) * 3 // 2 + shape.hidden))
    layer = step.batched * (inner // part.tensor + 3 * shape.hidden) * 2
    peak = overhead(ENGINE, "activation").times(layer)
    if not part.last:
        return peak
    name = "second_sampler" if runs_second(shape) else "sampler"
    sampled = overhead(ENGINE, name).times(step.sequences * shape.vocab)
    kept = step.batched * shape.hidden * 2
    return Bound(
        max(peak.least, sampled.least),
        max(peak.likely, sampled.likely + kept),
        max(peak.most, sampled.most + kept),
        "computed",
    )


def _expert_width(shape: ModelShape) -> int:
    """Gate and up of one expert, in items."""
    layer = next((layer for layer in shape.layers if layer.experts), None)
    return 2 * layer.experts // (3 * shape.experts * shape.hidden) if layer else 0


def graphs(shape: ModelShape, part: Slice) -> Bound:
    """CUDA graphs inside the fraction; the second runner captures them outside of it."""
    fact = limits(ENGINE)
    if fact is None or runs_second(shape):
        return Bound.exact(0, "read")
    sizes = fact.graph_sizes * 2  # once whole, once in pieces
    return overhead(ENGINE, "graph").times(sizes * len(part.layers))


def engine_bytes(part: Slice) -> Bound:
    """What is neither torch's nor the model's."""
    own = overhead(ENGINE, "non_torch").times(1)
    alone = part.tensor == 1 and part.first and part.last
    return own if alone else own.plus(overhead(ENGINE, "nccl").times(1))


def _left(share: Share) -> tuple[int, int, int]:
    """What the KV cache gets: at least, probably, at most."""
    rest = total(part.bytes for part in share.parts if part.name != "kv cache")
    room = share.room
    return room.least - rest.most, room.likely - rest.likely, room.most - rest.least


class Pool(msgspec.Struct, frozen=True):
    """The blocks that every GPU of a placement has: as many as the poorest, by each estimate."""

    plans: list[CachePlan]
    blocks: list[int]

    def tokens(self) -> Bound:
        """The capacity in tokens."""
        return Bound.of((self.plans[0].tokens(n) for n in self.blocks), "assumed")

    def longest(self, most: int) -> Bound:
        """The longest single sequence, at most ``most`` tokens."""
        return Bound.of((self._longest(n, most) for n in self.blocks), "assumed")

    def _longest(self, blocks: int, most: int) -> int:
        low, high = 0, most
        while low < high:
            middle = (low + high + 1) // 2
            fits = all(plan.blocks_of(middle) <= blocks for plan in self.plans)
            low, high = (middle, high) if fits else (low, middle - 1)
        return low


def pool_of(shares: list[Share], plans: list[CachePlan]) -> Pool | None:
    """The pool of a placement; None where nothing is cached."""
    held = [pair for pair in zip(shares, plans, strict=True) if pair[1].block_bytes]
    if not held:
        return None
    blocks = [min(plan.blocks(_left(share)[n]) for share, plan in held) for n in range(3)]
    return Pool(list({msgspec.json.encode(p.tables): p for _, p in held}.values()), blocks)


def with_room(
    placement: Placement, shape: ModelShape, asked: Asked, plans: list[CachePlan]
) -> Placement:
    """``placement`` with what its KV cache holds."""
    pool = pool_of(placement.shares, plans)
    if pool is None:
        return placement
    tokens = pool.tokens()
    return msgspec.structs.replace(
        placement,
        tokens=tokens,
        concurrency=tokens.each(lambda count: count // asked.context),
        longest=pool.longest(shape.max_context or max(asked.context, MOST_TOKENS)),
    )
