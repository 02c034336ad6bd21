"""Where the model goes: on which devices, or in main memory, and whether that is enough.

The sizes are those of the `fit` room; here they become a decision about one candidate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sartor.fit.model import Asked
from sartor.fit.report import Question, report
from sartor.host.model import Host, Memory
from sartor.models.demo_weights import DEMO_SHAPE
from sartor.models.shape import sized
from sartor.paths import human_bytes
from sartor.plan.model import Accepted, Decision, Fit, Rejected, Unchecked
from sartor.plan.rules.code import usable_devices

if TYPE_CHECKING:
    from sartor.engines.facts import EngineFacts
    from sartor.fit.model import FitReport, Placement
    from sartor.models.model import Model
    from sartor.plan.case import Case
    from sartor.plan.model import Device

EVIDENCE = "the model's own headers; the engine's rules for its cache and its largest step"
WEIGHTS_ALONE = "the size of the weights alone: no more is known of the model"
SMALLER = "take a smaller model or a smaller quantisation (Q4_K_M), or lower `--context`"


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


def question(
    model: Model, engine: EngineFacts, asked: Asked, host: Host, devices: list[Device] | None
) -> Question:
    """What `fit` is asked about ``model`` on ``devices`` (None: on the CPU)."""
    shape = model.shape or sized(model.size_bytes, model.block_count, model.format)
    memory = host.memory.available_bytes or host.memory.total_bytes
    return Question(
        model.reference,
        shape,
        engine.name,
        engine.split,
        "",
        devices or [],
        asked,
        memory,
        on_cpu=devices is None,
    )


def startable(asking: Question) -> Question:
    """The question whether a server would start, and no more."""
    return msgspec.structs.replace(asking, startable=True, judge_only=True)


def fit(case: Case, *, explain: bool = False) -> tuple[Fit, Decision | None]:
    """The place for the model and the decision whether it fits there; ``explain``: else what would.

    The decision is None where there is no model yet (a demo model of a few MB fits anywhere), or
    nothing is known of its size.
    """
    context, engine = choose_context(case), case.engine
    on_gpus = case.on_cuda
    devices = usable_devices(case) if on_gpus else None
    if case.model is None or (on_gpus and not devices):
        return Fit(context=context, devices=(devices or [])[:1]), None
    asked = Asked(
        context,
        engine.sequences[case.line.accelerator],
        engine.default_gpu_memory_fraction if on_gpus else 1.0,
    )
    asking = startable(question(case.model, engine, asked, case.host, devices))
    found = report(asking)
    if explain and found.verdict == "does not fit":
        found = report(msgspec.structs.replace(asking, judge_only=False))
    return decided(case.model, found, devices, context)


def decided(
    model: Model, found: FitReport, devices: list[Device] | None, context: int
) -> tuple[Fit, Decision | None]:
    """The place that a report gives the model, and whether it fits; None: nothing is known."""
    place = Fit(context, (devices or [])[:1], found.weights.likely or None)
    if found.weights.likely == 0:
        return place, None
    what = "memory" if devices is None else "GPU memory"
    if found.chosen is None or found.verdict == "not checked":
        wanted = f"{human_bytes(found.weights.likely)} of {what} for the weights"
        return place, Unchecked("memory", wanted, f"how much {what} there is, is not known")
    place = placed(found.chosen, context)
    wanted = f"{human_bytes(place.needed_bytes or 0)} of {what}"
    names = ", ".join(device.name for device in place.devices)
    there = f"{human_bytes(place.available_bytes or 0)} {f'on {names}' if names else 'available'}"
    evidence = EVIDENCE if model.shape else WEIGHTS_ALONE
    if found.verdict == "does not fit":
        return place, Rejected("memory", wanted, there, evidence, way_out(found))
    return place, Accepted("memory", wanted, there, evidence)


def placed(placement: Placement, context: int) -> Fit:
    """The `Fit` of a placement: its devices, and the least that it needs of what there is."""
    return Fit(
        context,
        [share.device for share in placement.shares if share.device is not None],
        sum(share.needed.least for share in placement.shares),
        sum(share.room.likely for share in placement.shares),
        sum(p.bytes.least for s in placement.shares for p in s.parts if p.name == "kv cache"),
    )


def refitted(place: Fit, model: Model, engine: EngineFacts, accelerator: str) -> Fit:
    """``place`` for the very ``model`` at hand, of which more is known than when it was chosen."""
    context = within_training(place.context, model.context_length)
    asked = Asked(context, engine.sequences[accelerator], engine.default_gpu_memory_fraction)
    devices = place.devices or None
    asking = question(model, engine, asked, Host(memory=Memory(available_bytes=1)), devices)
    chosen = report(startable(asking)).chosen
    if chosen is None:
        return msgspec.structs.replace(place, context=context)
    found = placed(chosen, context)
    return msgspec.structs.replace(
        place,
        context=context,
        needed_bytes=found.needed_bytes,
        cache_bytes=found.cache_bytes,
    )


def way_out(found: FitReport) -> str:
    """What to change first, with its effect; the usual advice where nothing small helps."""
    if not found.changes:
        return SMALLER
    first = found.changes[0]
    others = [change.what for change in found.changes[1:3]]
    more = f"; else {' or '.join(others)}" if others else ""
    return f"it would fit with {first.what}{more} (`sartor fit` shows the sums)"
