"""Whether an engine serves a model's stored format, and its dtype, on a GPU.

By what the engines' own source says (`facts/quantisation.toml`); what no row speaks of is
*not checked*.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec
from packaging.version import Version

from sartor.facts.quantisation import QuantisationFact, dtype_of, formats_of
from sartor.plan.decision import Accepted, Decision, Rejected, Unchecked

if TYPE_CHECKING:
    from sartor.models.model import Model
    from sartor.models.shape import ModelShape

RULE = "quantisation"
DTYPE_RULE = "dtype"


class Stored(msgspec.Struct, frozen=True):
    """How a model's weights are stored.

    ``method`` is the config's ``quant_method`` (None: not quantised), or ``gguf``; ``algorithm``
    its ``quant_algo`` or scheme (``NVFP4``, ``W8A8FP8``), None where it is not known.
    """

    method: str | None
    algorithm: str | None = None


def stored(model: Model) -> Stored | None:
    """How a model is stored; None where that is not known (its shape was not read)."""
    if model.format == "gguf":
        return Stored("gguf", model.quantization)
    return stored_shape(model.shape)


def stored_shape(shape: ModelShape | None) -> Stored | None:
    """How the weights of a shape are stored, as far as it says."""
    if shape is None or shape.format == "stated":
        return None
    if shape.format == "gguf":
        return Stored("gguf")
    method = shape.quantization
    return Stored(None) if method is None else Stored(method.method)


def quantisation(
    engine: str, version: str, how: Stored | None, compute_capability: str | None
) -> Decision | None:
    """Whether a release of an engine serves a stored format on a GPU; None: nothing is quantised.

    Where several formats are meant by one method and the model does not say which, they must agree.
    """
    if how is not None and how.method is None:
        return None
    if how is None:
        return Unchecked(RULE, "a format that the engine serves", "the model's is not known")
    name = how.method if how.algorithm is None else f"{how.method} ({how.algorithm})"
    wanted = f"{engine} {version} serves {name} on {compute_capability}"
    if compute_capability is None:
        return Unchecked(RULE, f"a GPU for {name}", "its compute capability is not known")
    rows = _rows(engine, version, how)
    if not rows:
        why = f"no fact says on which GPUs {engine} {version} serves {name}"
        return Unchecked(RULE, wanted, why)
    found = [_of_row(row, name or "", compute_capability) for row in rows]
    if len({type(decision) for decision in found}) > 1:
        kinds = ", ".join(str(row.algorithm) for row in rows)
        return Unchecked(RULE, wanted, f"which of {kinds} the model has is not known")
    return max(found, key=lambda d: len(d.found) if isinstance(d, Accepted) else 0)


def _rows(engine: str, version: str, how: Stored) -> list[QuantisationFact]:
    """The rows that are meant: those of the algorithm where it is known."""
    rows = [row for row in formats_of(engine, version) if how.method in row.methods]
    if how.algorithm is None:
        return rows
    spelled = how.algorithm.upper().replace("_", "").replace("-", "")
    spelled = re.sub(r"^W\d+A16", "WNA16", spelled)
    exact = [row for row in rows if row.algorithm and spelled.startswith(row.algorithm)]
    return exact or [row for row in rows if row.algorithm is None]


def _of_row(row: QuantisationFact, name: str, capability: str) -> Decision:
    evidence = f"{row.source} ({row.checked_on})"
    if not row.least:
        wanted, why = f"a reader for {name}", f"{row.engine} has none" + _note(row)
        return Rejected(RULE, wanted, why, evidence, "take the model in another format")
    wanted = f"compute capability {row.least} or newer for {name}"
    if Version(capability) < Version(row.least):
        hint = "take the model in another format, or another engine"
        return Rejected(RULE, wanted, capability, evidence, hint)
    found = capability
    if row.native is not None and Version(capability) < Version(row.native):
        found += f": only the weights are kept in it; computed in it from {row.native} on"
    return Accepted(RULE, wanted, found, evidence)


def _note(row: QuantisationFact) -> str:
    return f": {row.note}" if row.note else ""


def dtype(
    engine: str,
    version: str,
    name: str | None,
    compute_capability: str | None,
    family: str | None = None,
) -> Decision | None:
    """Whether a release of an engine computes in a dtype (``bfloat16``) on a GPU.

    None where the model names none. An engine that falls back by itself is accepted, and the
    decision says to what.
    """
    if name is None:
        return None
    if compute_capability is None:
        return Unchecked(DTYPE_RULE, f"a GPU for {name}", "its compute capability is not known")
    row = dtype_of(engine, version, name)
    if row is None:
        wanted = f"{engine} {version} computes in {name} on {compute_capability}"
        return Unchecked(DTYPE_RULE, wanted, "no fact says so")
    wanted = f"compute capability {row.least} or newer for {name}"
    evidence = f"{row.source} ({row.checked_on})"
    if Version(compute_capability) >= Version(row.least):
        return Accepted(DTYPE_RULE, wanted, compute_capability, evidence)
    if row.fallback is not None:
        instead = row.families.get(family or "", row.fallback)
        found = f"{compute_capability}: {instead} is taken instead"
        return Accepted(DTYPE_RULE, wanted, found, evidence)
    hint = f"start it with `{row.option}`" if row.option else None
    return Rejected(DTYPE_RULE, wanted, compute_capability, evidence, hint)
