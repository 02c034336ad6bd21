"""The rules about the model's own format on the GPUs: how it is stored, and in what it computes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.plan.devices import devices
from sartor.plan.model import Accepted, Decision, Rejected
from sartor.plan.rules.code import usable_devices
from sartor.plan.rules.formats import dtype, quantisation, stored

if TYPE_CHECKING:
    from collections.abc import Callable

    from sartor.plan.case import Case, Rule


def model_quantisation(case: Case) -> Decision | None:
    """The engine serves the model's quantisation on a GPU that it would run on."""
    if case.model is None or not case.on_cuda or case.model.format == "gguf":
        return None
    how = stored(case.model)
    name, version = case.engine.name, case.offer.version or ""
    return _best(case, lambda capability: quantisation(name, version, how, capability))


def model_dtype(case: Case) -> Decision | None:
    """The engine computes in the model's dtype on a GPU that it would run on."""
    shape = case.model.shape if case.model else None
    if shape is None or not case.on_cuda or shape.format != "safetensors":
        return None
    name, version = case.engine.name, case.offer.version or ""
    family = shape.family
    return _best(case, lambda capability: dtype(name, version, shape.dtype, capability, family))


def _best(case: Case, decide: Callable[[str | None], Decision | None]) -> Decision | None:
    """The best word for any of the GPUs; where there are several, one that serves is enough."""
    able = usable_devices(case) or devices(case.host)
    capabilities = dict.fromkeys(d.compute_capability for d in able)
    found = [said for c in capabilities if (said := decide(c)) is not None]
    return min(found, key=_badness, default=None)


def _badness(said: Decision) -> int:
    return 0 if isinstance(said, Accepted) else 2 if isinstance(said, Rejected) else 1


MODEL_RULES: tuple[Rule, ...] = (model_quantisation, model_dtype)
