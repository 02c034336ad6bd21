"""Whether a machine is the kind that a bundle is for. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sartor.errors import TargetUnfitError
from sartor.lock.changes_host import host_changes
from sartor.lock.host_class import host_class
from sartor.plan.known import Machine
from sartor.plan.machine import architecture, glibc, two_numbers

if TYPE_CHECKING:
    from sartor.bundle.model import Bundle
    from sartor.host.model import Host
    from sartor.lock.model import HostClass

GPU_ONLY = ("driver", "the driver's CUDA", "GPUs")
HINT = (
    "lock for this machine and bundle that: `sartor lock --host`, with its `sartor detect --json`"
)


def refuse_unfit(bundle: Bundle, host: Host) -> list[str]:
    """Raise `TargetUnfitError` with each thing that the machine is not; else what to know of it.

    More than is wanted is no fault: a newer driver, GPUs of other kinds beside those that the
    stack is for. On the CPU no GPU and no driver counts.
    """
    was, now = bundle.host, of(host, bundle.host.python)
    others = sorted({gpu for gpu in now.gpus if gpu not in was.gpus})
    now = msgspec.structs.replace(now, gpus=[gpu for gpu in now.gpus if gpu in was.gpus])
    changes, unknown = host_changes(was, now)
    on_cpu = bundle.stack.accelerator == "cpu"
    found = [c for c in changes if not (on_cpu and c.what.startswith(GPU_ONLY))]
    faults = [
        f"{c.what}: wanted {c.was or 'none'}; found {c.now or 'none'} ({c.because})"
        for c in found
        if c.consequence != "still holds"
    ]
    if faults:
        raise TargetUnfitError(
            "this machine is not the kind that the bundle is for", found=faults, hint=HINT
        )
    notes = [f"{c.what}: {c.was or 'none'} wanted, {c.now or 'none'} here" for c in found]
    notes += [
        f"{u.what}: not checked, {u.why}"
        for u in unknown
        if not (on_cpu and u.what.startswith(GPU_ONLY))
    ]
    if others and not on_cpu:
        notes.append(f"GPUs of compute capability {', '.join(others)} are not what it is for")
    return notes


def of(host: Host, python: str) -> HostClass:
    """The host's kind, with that Python where it has it, or where its Pythons are not known."""
    versions = [two_numbers(tool.version) for tool in host.pythons if tool.version]
    newest = max(versions, key=lambda v: [int(n) for n in v.split(".")], default=python)
    chosen = python if python in versions else newest
    return host_class(host, Machine(architecture(host), glibc(host), chosen))
