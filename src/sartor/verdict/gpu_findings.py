"""Rules that hold the GPUs that were asked about against their drivers and a target's machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.facts import archs
from sartor.host.names import gpu_fact
from sartor.verdict.case import listed
from sartor.verdict.model import Finding
from sartor.verdict.unit import driver_too_old, driver_without_gpu

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sartor.artifact.model import Library
    from sartor.verdict.case import Case
    from sartor.verdict.model import Target


def gpu_not_known(case: Case) -> Iterator[Finding]:
    """No GPU of that compute capability is known: what is said of it is the load rule's alone."""
    known = {row.compute_capability for row in archs()}
    unknown = [t.compute_capability for t in case.gpus if t.compute_capability not in known]
    if unknown:
        yield Finding(
            code="gpu-not-known",
            severity="warning",
            text=(
                f"no GPU of compute capability {listed(unknown)} is known: a slip of the keyboard,"
                f" or newer than the facts. The verdict follows the driver's load rule alone."
            ),
        )


def driver_range(case: Case) -> Iterator[Finding]:
    """The driver that was stated does not drive the GPU, not yet or no longer: nothing runs."""
    found: dict[str, list[Target]] = {}
    for target in case.gpus:
        why = driver_without_gpu(target)
        if why is not None:
            found.setdefault(why, []).append(target)
    for why, targets in found.items():
        yield Finding(
            code="driver-range",
            severity="error",
            text=f"{listed(map(_name, targets))}: {why}. Nothing runs there with it.",
        )


def driver_cuda(case: Case) -> Iterator[Finding]:
    """Libraries are made for a newer CUDA major than the driver that was stated supports."""
    found: dict[str, tuple[list[Target], list[Library]]] = {}
    for target in case.gpus:
        for library in case.evidence.libraries:
            why = driver_too_old(library, target) if library.images else None
            if why is None or case.alternatives(library) or driver_without_gpu(target):
                continue
            targets, libraries = found.setdefault(why, ([], []))
            targets.append(target)
            libraries.append(library)
    for why, (targets, libraries) in found.items():
        names = listed(library.path.rpartition("/")[2] for library in libraries)
        yield Finding(
            code="driver-cuda",
            severity="error",
            text=(
                f"{names}: {why}. Nothing of that starts on {listed(map(_name, targets))},"
                f" unless NVIDIA's cuda-compat is there (data-centre GPUs and Jetson)."
            ),
        )


def other_machine(case: Case) -> Iterator[Finding]:
    """No library is for the processor that the GPU is beside: another build is meant."""
    machines = {library.machine for library in case.libraries if library.machine}
    if not machines:
        return
    wanted: dict[str, list[str]] = {}
    host = case.host.architecture if case.host else None
    for target in case.gpus:
        fact = gpu_fact(target.name) if target.name else None
        machine = (fact.host_architecture if fact else None) or host
        if machine and machine not in machines:
            wanted.setdefault(machine, []).append(_name(target))
    for machine, gpus in wanted.items():
        yield Finding(
            code="other-machine",
            severity="error",
            text=(
                f"{listed(gpus)}: the processor there is {machine}, and the libraries are for"
                f" {' and '.join(sorted(machines))}, so they do not load. A build for {machine}"
                f" may hold other code: inspect that one."
            ),
        )


def _name(target: Target) -> str:
    return target.name or target.gpu
