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
        for rank in range(layout.tensor):
            device = layout.devices[number * layout.tensor + rank]
            step = step_of(asked, device)
            part = Slice(
                layers,
                layout.tensor,
                layout.expert,
                first=number == 0,
                last=number == layout.pipeline - 1,
            )
            cache = vllm_cache.plan(shape, settings(shape, asked, step, layout.tensor), layers)
            plans.append(cache)
            shares.append(_share(shape, asked, device, part, step, cache))
    tokens = _capacity(shares, plans, asked.context)
    return Placement(
        layout.label,
        verdict_of(shares),
        shares,
        layout.tensor,
        layout.pipeline,
        layout.expert,
        tokens=tokens,
        concurrency=_each(tokens, asked.context),
        longest=_longest(shape, asked, layout, shares),
    )


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
    tokens = _capacity([share], [cache], asked.context) if memory else Bound.exact(0)
    return Placement(
        "main memory",
        share.verdict if memory else "not checked",
        [share],
        tokens=tokens,
        concurrency=_each(tokens, asked.context),
        longest=tokens,
    )


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


def _capacity(shares: list[Share], plans: list[CachePlan], context: int) -> Bound:
    """Tokens of the whole placement: every GPU has as many blocks as the poorest."""
    if not any(plan.blocks_per_sequence for plan in plans):
        return Bound.exact(0)
    numbers = []
    for which in range(3):
        blocks = min(
            plan.blocks(_left(share)[which])
            for share, plan in zip(shares, plans, strict=True)
            if plan.block_bytes
        )
        numbers.append(next(p for p in plans if p.block_bytes).tokens(blocks, context))
    return Bound.of(numbers, "assumed")


def _each(tokens: Bound, context: int) -> Bound:
    return tokens.each(lambda count: count // context)


def _longest(shape: ModelShape, asked: Asked, layout: Layout, shares: list[Share]) -> Bound:
    """The longest single sequence that there is room for, never past training."""
    most = shape.max_context or max(asked.context, 1 << 20)
    found = [_longest_in(shape, asked, layout, shares, which, most) for which in range(3)]
    return Bound.of(found, "assumed")


def _longest_in(
    shape: ModelShape, asked: Asked, layout: Layout, shares: list[Share], which: int, most: int
) -> int:
    def fits(context: int) -> bool:
        wanted = msgspec.structs.replace(asked, context=context)
        for number, layers in enumerate(stages(len(shape.layers), layout.pipeline)):
            share = shares[number * layout.tensor]
            device = layout.devices[number * layout.tensor]
            cache = vllm_cache.plan(
                shape, settings(shape, wanted, step_of(wanted, device), layout.tensor), layers
            )
            if cache.sequence_bytes > _left(share)[which]:
                return False
        return True

    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low
