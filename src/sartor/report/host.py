"""A host as people read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.paths import human_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sartor.host.model import Gpu, Host, Tool


def host_lines(host: Host) -> list[str]:
    """One line for each thing, with what could not be read at the end."""
    rows: list[tuple[str, str]] = [("gpu", _gpu(gpu)) for gpu in host.gpus]
    rows += [
        ("gpu", f"{g.name or g.device_id} at {g.pci_address}: NOT USABLE, {g.why or 'no driver'}")
        for g in host.undriven_gpus
    ]
    if not rows:
        rows.append(("gpu", "no NVIDIA GPU"))
    if host.driver and host.driver.version:
        cuda = f", supports CUDA {host.driver.cuda}" if host.driver.cuda else ""
        source = f" ({host.driver.source})" if host.driver.source else ""
        rows.append(("driver", f"{host.driver.version}{cuda}{source}"))
    rows += _cpu(host)
    rows += _system(host)
    rows += [("python", _tools(host.pythons)), ("compilers", _tools(host.compilers))]
    rows += [("nvcc", _tools(host.cuda_toolkits)), ("containers", _containers(host))]
    for soname, path in host.libraries.items():
        rows.append(("library", f"{soname}: {path or 'missing'}"))
    rows += [("unchecked", f"{n.what}: {n.why}") for n in host.not_checked]
    return [f"{name:11}{text}" for name, text in rows]


def _gpu(gpu: Gpu) -> str:
    parts = [gpu.name if gpu.index is None else f"{gpu.index}: {gpu.name}"]
    if gpu.compute_capability:
        parts.append(f"compute capability {gpu.compute_capability}")
    if gpu.memory_bytes:
        shared = " shared with the CPU" if gpu.unified_memory else ""
        parts.append(f"{human_bytes(gpu.memory_bytes)}{shared}")
    if gpu.uuid:
        parts.append(gpu.uuid)
    if gpu.mig is not None:
        made = ", ".join(f"{m.name} {m.uuid or ''}".strip() for m in gpu.mig)
        parts.append(f"MIG on: {made or 'no instance made'}")
    return ", ".join(parts)


def _cpu(host: Host) -> list[tuple[str, str]]:
    if host.cpu is None:
        return []
    cpu = host.cpu
    cores = f", {cpu.cores} cores" if cpu.cores else ""
    name = f"{cpu.model or cpu.name} ({cpu.name}, {cpu.generic})" if cpu.generic else str(cpu.name)
    shown = ("avx2", "avx512", "amx", "avx_vnni", "bf16", "asimd", "sve")
    features = [f for f in cpu.features if any(f.startswith(s) or s in f for s in shown)]
    return [("cpu", f"{name}{cores}"), ("features", " ".join(features) or "none of interest")]


def _system(host: Host) -> list[tuple[str, str]]:
    system, memory = host.system, host.memory
    wsl = f", WSL {system.wsl}" if system.wsl else ""
    names = [n for n in (system.distribution, host.architecture) if n]
    glibc = f", glibc {host.glibc}" if host.glibc else ""
    rows = [("system", f"{', '.join(names)}{glibc}{wsl}")]
    if memory.total_bytes:
        free = (
            f", {human_bytes(memory.available_bytes)} available" if memory.available_bytes else ""
        )
        rows.append(("memory", f"{human_bytes(memory.total_bytes)}{free}"))
    for disk in host.disks:
        state = "" if disk.writable else " (NOT writable)"
        text = f"{human_bytes(disk.free_bytes)} free for {disk.purpose} at {disk.path}{state}"
        rows.append(("disk", text))
    return rows


def _tools(tools: Iterable[Tool]) -> str:
    found = [f"{t.name} {t.version or ''} ({t.path})".replace("  ", " ") for t in tools]
    return ", ".join(found) or "none found"


def _containers(host: Host) -> str:
    inside = f"inside {host.containers.inside}; " if host.containers.inside else ""
    gpus = ", ".join(host.containers.gpu_passthrough) or "none found"
    names = ", ".join(t.name for t in host.containers.tools) or "none found"
    return f"{inside}tools: {names}; GPU passthrough: {gpus}"
