"""From a question to a `FitReport`: every placement, the simplest that fits, what to change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from sartor.fit import llama_fit, vllm_fit
from sartor.fit.changes import changes
from sartor.fit.model import Asked, Bound, FitReport, Placement, Verdict
from sartor.fit.vllm_cache import CacheSettings, page_bytes
from sartor.fit.weights import whole
from sartor.models.shape import Attention, Latent, ModelShape, State
from sartor.plan.model import Device

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_GPUS = 64
Spread = Literal["tensors", "layers"]


class Question(msgspec.Struct, frozen=True):
    """Everything that the answer depends on.

    ``devices`` are those that the engine may use, ``memory_bytes`` the main memory (None: not
    known), ``spread`` how the engine divides a model. ``on_cpu``: main memory alone is meant;
    ``startable``: only what `sartor up` can start (no pipelines, nothing half offloaded);
    ``judge_only``: leave `FitReport.changes` out.
    """

    model: str
    shape: ModelShape | None
    engine: str
    spread: Spread
    host: str
    devices: list[Device]
    asked: Asked
    memory_bytes: int | None = None
    on_cpu: bool = False
    startable: bool = False
    judge_only: bool = False


_ORDER: tuple[Verdict, ...] = ("fits", "may fit", "not checked", "does not fit")


def report(question: Question) -> FitReport:
    """The whole answer. Pure; raises nothing for a model of which little is known."""
    shape, asked = question.shape, question.asked
    if shape is None:
        return _unknown(question)
    placements = list(_placements(question, shape, asked))
    chosen = simplest(placements)
    verdict: Verdict = chosen.verdict if chosen else "not checked"
    open_questions = list(shape.unknown)
    if not placements:
        open_questions.append("memory: neither a GPU nor the main memory is known")
    helpful = []
    if verdict in {"does not fit", "may fit"} and not question.judge_only:
        helpful = changes(shape, asked, verdict, lambda s, a, n: _tried(question, s, a, n))
    return FitReport(
        question.model,
        question.engine,
        question.host,
        asked,
        verdict,
        whole(shape),
        shape.parameters or None,
        token_bytes(shape, asked),
        state_bytes(shape),
        chosen,
        placements,
        helpful,
        shape.max_context,
        shape.quantization.method if shape.quantization else None,
        open_questions,
    )


def _unknown(question: Question) -> FitReport:
    why = "the model's layers are not known, and nothing follows without them"
    return FitReport(
        question.model,
        question.engine,
        question.host,
        question.asked,
        "not checked",
        Bound.exact(0, "assumed"),
        None,
        None,
        None,
        None,
        [],
        not_checked=[f"shape: {why}"],
    )


def _tried(question: Question, shape: ModelShape, asked: Asked, times: int) -> Placement | None:
    more = msgspec.structs.replace(question, devices=question.devices * times)
    if asked.offload_gib and asked.offload_gib << 30 > (question.memory_bytes or 0):
        return None
    if times > 1 and (not question.devices or len(more.devices) > MOST_GPUS):
        return None
    return simplest(list(_placements(more, shape, asked)))


def simplest(placements: list[Placement]) -> Placement | None:
    """The best verdict; among those no pipeline of vLLM's, the fewest GPUs, the least splitting."""
    return min(
        placements,
        key=lambda p: (
            _ORDER.index(p.verdict),
            p.on_gpu is not None and any(s.device is None for s in p.shares),
            p.pipeline > 1 and p.on_gpu is None,
            p.gpus or MOST_GPUS,
            p.pipeline,
            p.expert,
        ),
        default=None,
    )


def _placements(question: Question, shape: ModelShape, asked: Asked) -> Iterator[Placement]:
    devices = [d for d in question.devices if d.memory_bytes]
    if question.spread == "layers":
        yield from _by_layers(question, shape, asked, devices)
    elif question.on_cpu:
        yield vllm_fit.place_in_memory(shape, asked, _memory(question))
    else:
        for layout in layouts(shape, devices, startable=question.startable):
            if question.startable and (layout.pipeline > 1 or layout.expert):
                continue
            yield vllm_fit.place(shape, asked, layout)


def _memory(question: Question) -> Bound | None:
    size = question.memory_bytes
    return None if size is None else Bound.exact(size, "read")


def _by_layers(
    question: Question, shape: ModelShape, asked: Asked, devices: list[Device]
) -> Iterator[Placement]:
    memory = _memory(question)
    if question.on_cpu or not devices:
        if memory is not None:
            yield llama_fit.place(shape, asked, llama_fit.Split([], 0), memory)
        return
    for count in range(1, len(devices) + 1):
        yield llama_fit.place(
            shape, asked, llama_fit.Split(devices[:count], len(shape.layers)), memory
        )
    if question.startable:
        return
    part = llama_fit.most_layers(shape, asked, devices)
    if 0 < part < len(shape.layers):
        yield llama_fit.place(shape, asked, llama_fit.Split(devices, part), memory)


def layouts(
    shape: ModelShape, devices: list[Device], *, startable: bool = False
) -> Iterator[vllm_fit.Layout]:
    """Ways to use one device, two, and so on: the largest first, tensors before stages.

    Tensor parallelism wants a number that divides the heads, and equal devices, or it has of each
    no more than of the smallest; a stage of a pipeline may lie on another kind.
    """
    for count in range(1, min(len(devices), MOST_GPUS) + 1):
        if startable and count & (count - 1):
            continue
        for tensor in range(count, 0, -1):
            if count % tensor or not _splits(shape, tensor):
                continue
            pipeline = count // tensor
            if pipeline > len(shape.layers):
                continue
            chosen = devices[:count]
            if startable and len({device.name for device in chosen}) > 1:
                continue
            yield vllm_fit.Layout(chosen, tensor, pipeline)
            if shape.experts and tensor > 1:
                yield vllm_fit.Layout(chosen, tensor, pipeline, expert=True)


def _splits(shape: ModelShape, tensor: int) -> bool:
    if shape.heads % tensor:
        return False
    heads = {c.kv_heads for layer in shape.layers for c in layer.caches if isinstance(c, Attention)}
    return all(not count or count % tensor == 0 or tensor % count == 0 for count in heads)


def token_bytes(shape: ModelShape, asked: Asked) -> int:
    """Bytes of cache that one more token takes on one device, over layers that keep all."""
    if shape.format == "gguf":
        item = llama_fit.cache_of(asked).item_bytes
    else:
        item = vllm_fit.item_bytes(shape, asked)
    settings = CacheSettings(1, item_bytes=1)
    kept = [
        cache
        for layer in shape.layers
        for cache in layer.caches
        if isinstance(cache, Latent) or (isinstance(cache, Attention) and not cache.window)
    ]
    return int(sum(page_bytes(cache, shape, settings, 1) for cache in kept) * item)


def state_bytes(shape: ModelShape) -> int:
    """Bytes of recurrent states that one sequence takes, whatever its length."""
    states = [c for layer in shape.layers for c in layer.caches if isinstance(c, State)]
    return sum(page_bytes(cache, shape, CacheSettings(1), 1) for cache in states)
