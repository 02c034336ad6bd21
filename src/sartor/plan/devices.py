"""The devices of a host as CUDA sees them, and what a build is declared to do on each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec
from packaging.version import Version

from sartor import facts
from sartor.facts.versions import known_version
from sartor.plan.model import Device

if TYPE_CHECKING:
    from sartor.engines.facts import DeclaredCode
    from sartor.host.model import Gpu, Host


def devices(host: Host) -> list[Device]:
    """Every whole GPU and MIG instance, largest memory first."""
    found = [device for gpu in host.gpus for device in _of_gpu(gpu, host)]
    return sorted(found, key=lambda d: -(d.memory_bytes or 0))


def _of_gpu(gpu: Gpu, host: Host) -> list[Device]:
    if gpu.mig is not None:
        return [
            Device(m.uuid or m.name, m.name, gpu.compute_capability, m.memory_bytes)
            for m in gpu.mig
        ]
    name = gpu.uuid or ("" if gpu.index is None else str(gpu.index))
    memory = host.memory.available_bytes if gpu.unified_memory else gpu.memory_bytes
    return [Device(name, gpu.name, gpu.compute_capability, memory or gpu.memory_bytes)]


class Coverage(msgspec.Struct, frozen=True):
    """What a build holds for one device, and why that is said.

    ``maybe``: machine code for an older minor version of the device's major one, which runs unless
    it is architecture-specific. ``unknown``: the device or its driver is not known well enough.
    """

    verdict: Literal["native", "jit", "maybe", "missing", "unknown"]
    because: str

    @property
    def is_sure(self) -> bool:
        """Whether the makers' word is that the build runs there."""
        return self.verdict in {"native", "jit"}


def coverage(build: DeclaredCode, device: Device, driver_cuda: str | None) -> Coverage:
    """What the makers declare that ``build`` does on ``device`` under that driver.

    Plain PTX serves any newer or equal device where the driver's CUDA is at least the one that
    introduced its ISA, plain machine code any newer minor version of its own major one (measured
    on an H200); the facts do not say which machine code is plain.
    """
    capability = device.compute_capability
    found = known_version(capability)
    if capability is None or found is None:
        return Coverage("unknown", "its compute capability is not known")
    if capability in build.native:
        return Coverage("native", f"machine code is declared for {capability}")
    compiled = _by_ptx(build, found, driver_cuda)
    older = None if compiled.is_sure else _older_native(build, found)
    if older is None:
        return compiled
    return Coverage(
        "maybe",
        f"machine code for {older} is declared and may run on {capability}; whether it is "
        f"architecture-specific ({older}a) is not read",
    )


def _older_native(build: DeclaredCode, found: Version) -> str | None:
    """The newest declared machine code of the same major version that is older than ``found``.

    Tegra parts and others do not run each other's.
    """
    fitting = [
        native
        for native in build.native
        if Version(native).major == found.major
        and Version(native) < found
        and not {_is_tegra(Version(native)), _is_tegra(found)} >= {True, False}
    ]
    return max(fitting, key=Version, default=None)


def _is_tegra(capability: Version) -> bool | None:
    """Whether the compute capability is a Tegra part's; None where it is not in the facts."""
    rows = (row for row in facts.archs() if Version(row.compute_capability) == capability)
    return next((row.tegra for row in rows), None)


def _by_ptx(build: DeclaredCode, found: Version, driver_cuda: str | None) -> Coverage:
    """What the declared PTX does on a device of compute capability ``found``."""
    older = [p for p in build.ptx if Version(p) <= found]
    if not older:
        return Coverage("missing", f"nothing is declared for {found}")
    ptx = max(older, key=Version)
    wanted = build.driver_cuda_for_ptx
    have = known_version(driver_cuda)
    if wanted is None or have is None:
        return Coverage("unknown", f"only PTX {ptx}, and the driver's CUDA version is not known")
    if have < Version(wanted):
        return Coverage(
            "missing",
            f"only PTX {ptx}, for drivers of CUDA {wanted} or newer; this one is for {driver_cuda}",
        )
    return Coverage("jit", f"PTX {ptx} is compiled by the driver at first use")


def compilable(device: Device, toolkit: str) -> bool | None:
    """Whether a CUDA toolkit (``12.8``) can compile for the device; None where not known."""
    rows = [a for a in facts.archs() if a.compute_capability == device.compute_capability]
    found = known_version(toolkit)
    if not rows or found is None:
        return None
    newest = rows[0].max_toolkit
    return Version(rows[0].min_toolkit) <= found and (newest is None or found <= Version(newest))
