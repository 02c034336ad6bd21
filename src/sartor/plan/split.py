"""Mixed GPUs: one stack for all of them where the evidence allows it, else who is left out, why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from packaging.version import Version

from sartor.facts.versions import known_version
from sartor.plan.devices import devices
from sartor.plan.gpu_driver import arch_of, gpus_of, window_of
from sartor.plan.outcome import Share
from sartor.verdict.model import FeatureGrade

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sartor.host.model import Host
    from sartor.plan.model import Device

SERVES = ("native", "jit")


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """What one candidate does on the GPUs of one compute capability.

    ``candidate`` is its name; ``cuda`` what it is built with. ``verdict`` is of its core: a GPU is
    served where that is ``native`` or ``jit``, and *unknown* is not served.
    """

    candidate: str
    compute_capability: str
    verdict: FeatureGrade
    because: str
    cuda: str | None = None


def split(host: Host, verdicts: Sequence[Served], chosen: str | None = None) -> list[Share]:
    """A share for each kind of GPU: whether the stack serves it, and why, or what would.

    ``chosen`` is the candidate that is planned (None: the one that serves the most memory, the
    first of equals). Nothing for a machine without GPUs.
    """
    kinds = _kinds(devices(host))
    if not kinds:
        return []
    by_name: dict[str, dict[str, Served]] = {}
    for verdict in verdicts:
        by_name.setdefault(verdict.candidate, {})[verdict.compute_capability] = verdict
    if chosen is None:
        chosen = max(by_name, key=lambda name: _memory(kinds, by_name[name]), default=None)
    own = by_name.get(chosen or "", {})
    return [_share(host, kind, own, by_name, chosen) for kind in kinds]


class Kind(msgspec.Struct, frozen=True):
    """The devices of one name and compute capability."""

    gpus: list[str]
    name: str
    compute_capability: str | None
    memory: int


def _kinds(found: Sequence[Device]) -> list[Kind]:
    groups: dict[tuple[str, str | None], list[Device]] = {}
    for device in found:
        groups.setdefault((device.name, device.compute_capability), []).append(device)
    return [
        Kind([name] * len(group), name, capability, _total(group))
        for (name, capability), group in groups.items()
    ]


def _total(group: Sequence[Device]) -> int:
    return sum(device.memory_bytes or 0 for device in group)


def _memory(kinds: Sequence[Kind], own: dict[str, Served]) -> tuple[int, int]:
    """What a candidate serves: bytes, then GPUs."""
    served = [kind for kind in kinds if _serves(own.get(kind.compute_capability or ""))]
    return sum(kind.memory for kind in served), sum(len(kind.gpus) for kind in served)


def _serves(verdict: Served | None) -> bool:
    return verdict is not None and verdict.verdict in SERVES


def _share(
    host: Host,
    kind: Kind,
    own: dict[str, Served],
    by_name: dict[str, dict[str, Served]],
    chosen: str | None,
) -> Share:
    verdict = own.get(kind.compute_capability or "")
    served = _serves(verdict)
    if verdict is None:
        because = f"not checked: what {chosen or 'a candidate'} holds for {kind.name}"
    elif served:
        because = f"{chosen}: {verdict.because}"
    else:
        because = _left_out(host, kind, verdict, by_name)
    return Share(
        gpus=kind.gpus,
        compute_capability=kind.compute_capability,
        served=served,
        because=because,
    )


def _left_out(
    host: Host, kind: Kind, verdict: Served, by_name: dict[str, dict[str, Served]]
) -> str:
    """Why a kind of GPU is left out, whether any stack has it with the others, what serves it."""
    parts = [f"{verdict.candidate}: {verdict.because}"]
    if verdict.verdict == "unknown":
        parts[0] = f"not checked: {parts[0]}"
    arch, cuda = arch_of(kind.compute_capability), known_version(verdict.cuda)
    if arch and arch.max_toolkit and cuda and cuda > Version(arch.max_toolkit):
        parts.append(
            f"CUDA {arch.max_toolkit} is the last that compiles for {kind.compute_capability}: "
            f"no build of CUDA {cuda.major} has code for it"
        )
    window = window_of(gpus_of(host))
    if window.is_empty:
        parts.append(f"no driver drives {window.first_by} and {window.last_by} at once")
    others = [
        name
        for name, own in by_name.items()
        if name != verdict.candidate and _serves(own.get(kind.compute_capability or ""))
    ]
    parts.append(f"served by {', '.join(others)}" if others else "nothing that was tried serves it")
    return "; ".join(parts)
