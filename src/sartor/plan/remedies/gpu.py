"""Remedies for GPUs that nothing drives: kernel modules, `nouveau`, containers, MIG."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.facts import remedies as known
from sartor.host.remedies import distribution
from sartor.plan.gpu_driver import arch_of, branch_of, gpus_of, is_tegra
from sartor.plan.outcome import Remedy
from sartor.plan.tried import DRIVER_RULES, GPU_RULES, Tried

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sartor.host.model import Host
    from sartor.plan.gpu_driver import Driven

OUTSIDE = "on the machine that runs the container, not inside of it"


def gpu_remedies(host: Host, tried: Sequence[Tried]) -> Iterator[Remedy]:
    """What keeps a GPU of the machine from being used at all."""
    unlocks = [t.name for t in tried if t.blocked_by(GPU_RULES | DRIVER_RULES)]
    yield from _nouveau(host, unlocks)
    yield from _modules(host, unlocks)
    yield from _container(host, unlocks)
    yield from _mig(host, unlocks)


def _nouveau(host: Host, unlocks: list[str]) -> Iterator[Remedy]:
    bound = [gpu for gpu in host.undriven_gpus if gpu.kernel_driver == "nouveau"]
    if bound:
        row = known.nouveau()
        yield Remedy(
            kind="kernel-modules",
            what="NVIDIA's driver in place of `nouveau`",
            unlocks=unlocks,
            because=f"`nouveau` is bound to {bound[0].name or bound[0].device_id} at "
            f"{bound[0].pci_address}",
            commands=row.commands,
            evidence=f"the host; {row.source}",
        )


def _modules(host: Host, unlocks: list[str]) -> Iterator[Remedy]:
    """The other flavour of kernel modules, where the GPU takes only that one."""
    if is_tegra(host) or host.system.wsl:
        return
    have = host.driver.kernel_module if host.driver else None
    for gpu in gpus_of(host):
        needs = _needs(gpu)
        if needs is None or needs.needs == "either":
            continue
        if have is None or have == needs.needs or (gpu.has_driver and _answers(host)):
            continue
        branch = branch_of(host)
        install = known.driver_install(distribution(host).id)
        steps = (install.open if needs.needs == "open" else install.proprietary) if install else []
        commands = [step.format(branch=branch) for step in steps] if branch else []
        yield Remedy(
            kind="kernel-modules",
            what=f"the driver's {needs.needs} kernel modules",
            unlocks=unlocks,
            because=f"{gpu.name} works with the {needs.needs} modules alone; the {have} ones are "
            "loaded",
            commands=commands,
            evidence=needs.source,
        )
        return


def _answers(host: Host) -> bool:
    """Whether a driver was asked, on the machine itself, and answered for its GPUs."""
    return not host.described


def _needs(gpu: Driven) -> known.ModulesFact | None:
    arch = arch_of(gpu.compute_capability)
    return known.modules_for(arch.architecture) if arch else None


def _container(host: Host, unlocks: list[str]) -> Iterator[Remedy]:
    """GPUs for a container that has none; the toolkit for those that are to be started."""
    inside, row = host.containers.inside, known.container()
    checked = not any(note.what == "containers" for note in host.not_checked)
    if inside and not host.gpus:
        seen = host.undriven_gpus
        because = (
            f"{seen[0].name or seen[0].device_id} is on the bus, and the container has no driver"
            if seen
            else f"inside of {inside} no GPU is seen; whether the machine has one was not seen"
        )
        yield Remedy(
            kind="container-toolkit",
            what=f"the container started with its GPUs, {OUTSIDE}",
            unlocks=unlocks,
            because=because,
            commands=[*row.commands, *row.start],
            evidence=row.source,
        )
    elif checked and host.gpus and host.containers.tools and not host.containers.gpu_passthrough:
        names = ", ".join(tool.name for tool in host.containers.tools)
        yield Remedy(
            kind="container-toolkit",
            what="NVIDIA's container toolkit, for images",
            unlocks=[],
            because=f"{names}: there, and no way to pass a GPU to a container was found",
            commands=row.commands,
            evidence=row.source,
        )


def _mig(host: Host, unlocks: list[str]) -> Iterator[Remedy]:
    empty = [gpu for gpu in host.gpus if gpu.mig == []]
    if empty:
        row = known.mig()
        yield Remedy(
            kind="mig",
            what="a MIG instance, or MIG switched off",
            unlocks=unlocks,
            because=f"{empty[0].name}: MIG is on and no instance has been made",
            commands=[*row.commands, *row.off],
            evidence=f"the host; {row.source}",
        )
