"""Remedies for a driver that is too old, or too new, for the GPUs or for the packages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.version import Version

from sartor import facts
from sartor.facts import remedies as known
from sartor.host.remedies import distribution
from sartor.plan.gpu_driver import (
    arch_of,
    branch_of,
    branch_to_install,
    gpus_of,
    is_tegra,
    window_of,
)
from sartor.plan.outcome import Remedy
from sartor.plan.tried import DRIVER_RULES, GPU_RULES, Tried

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sartor.facts import DriverBranchFact
    from sartor.host.model import Host
    from sartor.plan.gpu_driver import Driven, Window


def driver_remedies(host: Host, tried: Sequence[Tried]) -> Iterator[Remedy]:
    """Driver branches, JetPack and `cuda-compat`, with what each would unlock."""
    gpus = gpus_of(host)
    if not gpus:
        return
    branch = branch_of(host)
    no_driver = branch is None and any(not gpu.has_driver for gpu in gpus)
    rules = DRIVER_RULES | GPU_RULES if no_driver else DRIVER_RULES
    blocked = [t for t in tried if t.blocked_by(rules)]
    window = window_of(gpus)
    if is_tegra(host):
        yield from _jetpack(gpus, blocked)
        return
    if window.is_empty:
        yield _none_for_all(window)
        return
    outside = branch is not None and not window.holds(branch)
    yield from _branches(host, blocked, window, outside=outside)
    if not outside:
        yield from _forward(host, blocked)


def _none_for_all(window: Window) -> Remedy:
    return Remedy(
        kind="driver",
        what=f"{window.first_by} and {window.last_by} in different machines",
        unlocks=[],
        because=f"no driver drives both: {window.first} is the first branch for "
        f"{window.first_by}, {window.last} the last for {window.last_by}",
        evidence="facts/gpus.toml, facts/archs.toml",
    )


def _branches(
    host: Host, blocked: list[Tried], window: Window, *, outside: bool
) -> Iterator[Remedy]:
    """One remedy for each branch that somebody would install, the oldest first."""
    have = branch_of(host)
    offered: dict[int, tuple[DriverBranchFact, list[str]]] = {}
    for tried in blocked:
        least = tried.needs_branch() or (have if outside else None)
        if least is None:
            continue
        row = branch_to_install(max(least, window.first or 0), window)
        if row is None or (row.branch == have and not outside):
            continue
        offered.setdefault(row.branch, (row, []))[1].append(tried.name)
    if outside and not offered:
        row = branch_to_install(window.first or 0, window)
        offered = {row.branch: (row, [])} if row else {}
    for branch, (row, _) in sorted(offered.items()):
        unlocks = [n for number, (_, names) in offered.items() if number <= branch for n in names]
        yield _install(host, row, unlocks, window)


def _install(host: Host, row: DriverBranchFact, unlocks: list[str], window: Window) -> Remedy:
    version = f" ({row.first_linux} or newer)" if row.first_linux else ""
    limits = []
    have = branch_of(host)
    if window.last_by is not None:
        limits.append(f"{window.last} is the last branch for {window.last_by}")
    if window.first_by is not None and (have is None or have < (window.first or 0)):
        limits.append(f"{window.first} is the first for {window.first_by}")
    version_now = host.driver.version if host.driver else None
    now = f"the driver is {version_now}" if version_now else "no driver was found"
    return Remedy(
        kind="driver",
        what=f"the driver of branch {row.branch}{version}, for CUDA {row.cuda_max}"
        + _flavour(host),
        unlocks=unlocks,
        because="; ".join([now, *limits]) + _where(host),
        commands=_commands(host, row.branch),
        evidence=f"{row.source} ({row.checked_on})",
    )


def _wants(host: Host) -> str:
    """``open`` or ``proprietary`` where the GPUs take one kind of kernel modules alone."""
    found = set()
    for gpu in gpus_of(host):
        arch = arch_of(gpu.compute_capability)
        row = known.modules_for(arch.architecture) if arch else None
        found |= {row.needs} if row else set()
    if {"open", "proprietary"} <= found:
        return "both"
    return next((kind for kind in ("open", "proprietary") if kind in found), "open")


def _flavour(host: Host) -> str:
    if host.system.wsl:
        return ", on Windows"
    wants = _wants(host)
    if wants == "both":
        return ": no kind of its kernel modules works with all of these GPUs"
    return f", with its {wants} kernel modules"


def _where(host: Host) -> str:
    if host.system.wsl:
        return "; in WSL the driver is that of Windows: none is installed in Linux"
    if host.containers.inside:
        return "; it is installed on the machine that runs the container"
    return ""


def _commands(host: Host, branch: int) -> list[str]:
    row = known.driver_install(distribution(host).id)
    wants = _wants(host)
    if row is None or host.system.wsl or wants == "both":
        return []
    steps = row.proprietary if wants == "proprietary" else row.open
    return [step.format(branch=branch) for step in steps]


def _jetpack(gpus: list[Driven], blocked: list[Tried]) -> Iterator[Remedy]:
    """The driver of a Tegra part comes with its board's software."""
    capabilities = {gpu.compute_capability for gpu in gpus}
    for row in known.jetpacks():
        unlocks = [t.name for t in blocked if t.cuda and _major(t.cuda) <= _major(row.cuda)]
        if row.compute_capability in capabilities and unlocks:
            yield Remedy(
                kind="jetpack",
                what=f"JetPack {row.jetpack} or newer, for CUDA {row.cuda}",
                unlocks=unlocks,
                because="the driver comes with JetPack" + (f"; {row.note}" if row.note else ""),
                evidence=f"{row.source} ({row.checked_on})",
            )


def _major(cuda: str) -> int:
    return Version(cuda).major


def _forward(host: Host, blocked: list[Tried]) -> Iterator[Remedy]:
    """`cuda-compat`: libraries of a newer driver on an older one, on data-centre GPUs alone."""
    row, branch = known.forward(), branch_of(host)
    klasses = {gpu.fact.klass if gpu.fact else None for gpu in gpus_of(host)}
    if branch is None or not klasses <= set(row.classes) or host.system.wsl:
        return
    for base in known.forward_bases():
        top = facts.cuda_of_driver(f"{branch}.0")
        if branch not in base.branches or (top and Version(top) >= Version(base.cuda)):
            continue
        unlocks = [t.name for t in blocked if _runs_with(t, base.cuda)]
        if unlocks:
            yield Remedy(
                kind="cuda-compat",
                what=f"NVIDIA's forward-compatibility libraries of CUDA {base.cuda} on the driver "
                "that is there",
                unlocks=unlocks,
                because=f"all GPUs are data-centre ones, and branch {branch} is one of those that "
                f"they are said to work on",
                commands=[
                    c.format(cuda=base.cuda.replace(".", "-"), dotted=base.cuda)
                    for c in row.commands
                ],
                evidence=f"{row.source}; {base.source}",
            )


def _runs_with(tried: Tried, cuda: str) -> bool:
    """Whether the libraries of a CUDA version are new enough for a candidate and its PTX."""
    if tried.cuda is None or _major(tried.cuda) > _major(cuda):
        return False
    ptx = tried.wants.driver_cuda
    return ptx is None or Version(ptx) <= Version(cuda)
