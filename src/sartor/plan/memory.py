"""Where the model goes: on which devices, or in main memory, and whether that is enough."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.models.demo_weights import DEMO_SHAPE
from sartor.models.model import estimate_memory
from sartor.paths import human_bytes
from sartor.plan.gpu_rules import usable_devices
from sartor.plan.model import Accepted, Decision, Device, Fit, Rejected, Unchecked

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sartor.engines.facts import EngineFacts
    from sartor.models.model import Model
    from sartor.plan.case import Case

EVIDENCE = "weights and KV cache, from the model's own header; a lower bound"


def choose_context(case: Case) -> int:
    """The context in tokens: what was asked for, else the engine's default; never past training."""
    wanted = case.request.context or case.engine.default_context
    return within_training(wanted, trained_context(case))


def trained_context(case: Case) -> int | None:
    """The context in tokens that the model, or else the demo model, was trained for."""
    return case.model.context_length if case.model else DEMO_SHAPE.context


def within_training(context: int, trained: int | None) -> int:
    """No more tokens than a model was trained for; None where that is not known."""
    return min(context, trained) if trained else context


def needed_bytes(model: Model, context: int, engine: EngineFacts, accelerator: str) -> int:
    """What the weights take, and the KV cache of all sequences the engine keeps room for."""
    return estimate_memory(model, context * engine.sequences[accelerator])


def fit(case: Case) -> tuple[Fit, Decision | None]:
    """The place for the model and the decision whether it fits there.

    The decision is None where there is no model yet (a demo model of a few MB fits anywhere).
    """
    context = choose_context(case)
    where = case.build.accelerator
    needed = needed_bytes(case.model, context, case.engine, where) if case.model else None
    if where == "cpu":
        return _in_main_memory(case, context, needed)
    return _on_devices(case, context, needed)


def _in_main_memory(case: Case, context: int, needed: int | None) -> tuple[Fit, Decision | None]:
    available = case.host.memory.available_bytes or case.host.memory.total_bytes
    place = Fit(context=context, needed_bytes=needed, available_bytes=available)
    if needed is None:
        return place, None
    wanted = f"{human_bytes(needed)} of memory"
    if available is None:
        return place, Unchecked("memory", wanted, "the host's memory is not known")
    found = f"{human_bytes(available)} available"
    if needed <= available:
        return place, Accepted("memory", wanted, found, EVIDENCE)
    return place, Rejected("memory", wanted, found, EVIDENCE, SMALLER)


SMALLER = "take a smaller model or a smaller quantisation (Q4_K_M), or lower `--context`"


def _on_devices(case: Case, context: int, needed: int | None) -> tuple[Fit, Decision | None]:
    usable = usable_devices(case)
    fraction = case.engine.default_gpu_memory_fraction
    if needed is None or not usable:
        return Fit(context=context, devices=usable[:1], needed_bytes=needed), None
    wanted = f"{human_bytes(needed)} of GPU memory"
    if any(d.memory_bytes is None for d in usable):
        where = Fit(context=context, devices=usable[:1], needed_bytes=needed)
        return where, Unchecked("memory", wanted, "the GPU's memory is not known")
    groups = list(_groups(case, usable))
    for group in groups:
        room = int(_total(group) * fraction)
        if needed <= room:
            place = Fit(context, group, needed, room)
            names = ", ".join(d.name for d in group)
            return place, Accepted("memory", wanted, f"{human_bytes(room)} on {names}", EVIDENCE)
    largest = max(groups, key=_total)
    room = int(_total(largest) * fraction)
    found = f"at most {human_bytes(room)} on {len(largest)} of the GPUs together"
    place = Fit(context, largest, needed, room)
    return place, Rejected("memory", wanted, found, EVIDENCE, SMALLER)


def _groups(case: Case, usable: list[Device]) -> Iterable[list[Device]]:
    """Sets of devices to try, the fewest first: one, then as many as the engine can split over.

    Layers are spread over any mixture; tensor parallelism wants equal parts, as many as a power of
    two.
    """
    yield usable[:1]
    if case.engine.split == "layers":
        for count in range(2, len(usable) + 1):
            yield usable[:count]
        return
    alike = [d for d in usable if d.name == usable[0].name]
    count = 2
    while count <= len(alike):
        yield alike[:count]
        count *= 2


def _total(group: list[Device]) -> int:
    return sum(d.memory_bytes or 0 for d in group)
