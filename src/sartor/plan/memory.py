"""Where the model goes: on which devices, or in main memory, and whether that is enough."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.models.model import estimate_memory
from sartor.paths import human_bytes
from sartor.plan.gpu_rules import usable_devices
from sartor.plan.model import Accepted, Decision, Device, Fit, Rejected, Unchecked

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sartor.models.model import Model
    from sartor.plan.case import Case

EVIDENCE = "weights and KV cache, from the model's own header; a lower bound"


def choose_context(case: Case) -> int:
    """The context in tokens: what was asked for, else the engine's default; never past training."""
    wanted = case.request.context or case.engine.default_context
    return within_training(wanted, case.model) if case.model else wanted


def within_training(context: int, model: Model) -> int:
    """No more tokens than the model was trained for."""
    return min(context, model.context_length) if model.context_length else context


def fit(case: Case) -> tuple[Fit, Decision | None]:
    """The place for the model and the decision whether it fits there.

    The decision is None where there is no model yet (a demo model of a few MB fits anywhere).
    """
    context = choose_context(case)
    needed = estimate_memory(case.model, context) if case.model else None
    if case.build.accelerator == "cpu":
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
