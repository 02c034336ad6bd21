"""Which driver branches drive the GPUs of a machine, and what toolkits and drivers do with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from packaging.version import Version

from sartor import facts
from sartor.facts import GpuFact
from sartor.facts.versions import known_version
from sartor.host.names import gpu_fact

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sartor.facts import ArchFact, DriverBranchFact
    from sartor.host.model import Host


class Window(msgspec.Struct, frozen=True):
    """Driver branches from ``first`` to ``last`` (None: no bound), and which GPUs set them."""

    first: int | None = None
    last: int | None = None
    first_by: str | None = None
    last_by: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether no branch drives all of the GPUs."""
        return self.first is not None and self.last is not None and self.first > self.last

    def holds(self, branch: int) -> bool:
        """Whether a branch drives all of the GPUs."""
        return (self.first or branch) <= branch <= (self.last or branch)


class Driven(msgspec.Struct, frozen=True):
    """A GPU that the machine has, whether or not its driver answers for it."""

    name: str
    compute_capability: str | None
    fact: GpuFact | None
    has_driver: bool


def gpus_of(host: Host) -> list[Driven]:
    """Every GPU of the machine, those on the bus that nothing drives included."""
    driven = [Driven(g.name, g.compute_capability, gpu_fact(g.name), True) for g in host.gpus]
    for gpu in host.undriven_gpus:
        fact = gpu_fact(gpu.name) if gpu.name else None
        capability = fact.compute_capability if fact else None
        driven.append(Driven(gpu.name or gpu.device_id, capability, fact, False))
    return driven


def arch_of(compute_capability: str | None) -> ArchFact | None:
    """The row of a compute capability."""
    rows = facts.archs()
    return next((row for row in rows if row.compute_capability == compute_capability), None)


def is_tegra(host: Host) -> bool:
    """Whether the driver of a GPU comes with its board."""
    archs = [arch_of(gpu.compute_capability) for gpu in gpus_of(host)]
    return any(arch is not None and arch.tegra for arch in archs)


def window_of(gpus: Iterable[Driven]) -> Window:
    """The branches that drive all of these GPUs, as far as the facts know them."""
    window = Window()
    for gpu in gpus:
        known = facts.driver_range(gpu.compute_capability)
        first = gpu.fact.driver_min_branch if gpu.fact else None
        if first is None and known is not None:
            first = known.first_branch
        last = known.last_branch if known else None
        if first is not None and first > (window.first or 0):
            window = msgspec.structs.replace(window, first=first, first_by=gpu.name)
        if last is not None and last < (window.last or 1 << 30):
            window = msgspec.structs.replace(window, last=last, last_by=gpu.name)
    return window


def branch_of(host: Host) -> int | None:
    """The branch of the machine's driver."""
    version = known_version(host.driver.version if host.driver else None)
    return version.major if version else None


def branch_to_install(needed: int, window: Window) -> DriverBranchFact | None:
    """The branch that somebody should install who needs ``needed`` or newer.

    One that is still mended before others, then a long-term or production one, the older before
    the newer; None where no known branch is within the window.
    """
    fitting = [b for b in facts.driver_branches() if b.branch >= needed and window.holds(b.branch)]
    mended = [b for b in fitting if b.end_of_life is not None and b.end_of_life > b.checked_on]
    kept = [b for b in fitting if b.kind in {"LTS", "production"}]
    return next(iter(mended or kept or fitting), None)


def toolkits_for(capabilities: Iterable[str]) -> tuple[str, str | None] | None:
    """The oldest and the newest CUDA toolkit (None: no bound) that compile for all of them.

    None where one of them is not in the facts; the oldest may be newer than the newest: then there
    is no such toolkit.
    """
    rows = [arch_of(capability) for capability in capabilities]
    if not rows or any(row is None for row in rows):
        return None
    known = [row for row in rows if row is not None]
    oldest = max((row.min_toolkit for row in known), key=Version)
    limits = [row.max_toolkit for row in known if row.max_toolkit]
    return oldest, min(limits, key=Version) if limits else None


def has_toolkit(range_of: tuple[str, str | None], cuda: str) -> bool | None:
    """Whether builds of a CUDA version can have machine code for GPUs of that range.

    Of ``13`` alone, a whole major, None where only some of its versions can.
    """
    oldest, newest = range_of
    if "." in cuda:
        found = Version(cuda)
        return Version(oldest) <= found and (newest is None or found <= Version(newest))
    major = int(cuda)
    if Version(oldest).major > major or (newest is not None and Version(newest).major < major):
        return False
    return True if Version(oldest).major < major and newest is None else None
