"""A host in one line."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from sartor.paths import human_bytes

if TYPE_CHECKING:
    from sartor.host.model import Cpu, Driver, Gpu, Host

SEPARATOR = " · "


def summary(host: Host) -> str:
    """The host in one line; what is not known is left out, except whether there is a GPU.

    ``NVIDIA H200 140 GiB · driver 580.159 (CUDA 13.0) · sapphirerapids, 16 cores · 128 GiB ·
    glibc 2.39``
    """
    memory = host.memory.total_bytes
    parts = [
        gpus_text(host),
        undriven_text(host),
        driver_text(host.driver),
        cpu_text(host.cpu, host.architecture),
        gibibytes(memory) if memory else None,
        f"glibc {host.glibc}" if host.glibc else None,
        f"WSL {host.system.wsl}" if host.system.wsl else None,
        f"in {host.containers.inside}" if host.containers.inside else None,
    ]
    return SEPARATOR.join(part for part in parts if part)


def gpus_text(host: Host) -> str:
    """The GPUs, equal ones counted; or that there are none, or that nobody knows."""
    if host.gpus:
        counts = Counter(gpu_text(gpu) for gpu in host.gpus)
        return ", ".join(f"{n}x {text}" if n > 1 else text for text, n in counts.items())
    if host.undriven_gpus:
        return "no usable NVIDIA GPU"
    unknown = any(note.what == "gpus" for note in host.not_checked)
    return "NVIDIA GPUs not checked" if unknown else "no NVIDIA GPU"


def gpu_text(gpu: Gpu) -> str:
    """One GPU with its memory, and its MIG instances."""
    parts = [gpu.name]
    if gpu.memory_bytes:
        parts.append(f"{gibibytes(gpu.memory_bytes)}{' shared' if gpu.unified_memory else ''}")
    if gpu.mig is not None:
        instances = " + ".join(instance.name for instance in gpu.mig)
        parts.append(f"MIG {instances or 'without instances'}")
    return " ".join(parts)


def undriven_text(host: Host) -> str | None:
    """How many GPUs on the bus cannot be used, and who holds them."""
    gpus = host.undriven_gpus
    if not gpus:
        return None
    drivers = dict.fromkeys(gpu.kernel_driver for gpu in gpus)
    holders = ", ".join(f"held by {name}" if name else "without a driver" for name in drivers)
    return f"{len(gpus)}{' more' if host.gpus else ''} on the PCI bus, not usable here ({holders})"


def driver_text(driver: Driver | None) -> str | None:
    """The driver and the highest CUDA version it supports."""
    if driver is None:
        return None
    cuda = f" (CUDA {driver.cuda})" if driver.cuda else ""
    return f"driver {driver.version or 'of unknown version'}{cuda}"


def cpu_text(cpu: Cpu | None, architecture: str | None) -> str | None:
    """The microarchitecture and the cores."""
    name = (cpu and cpu.name) or architecture
    cores = f"{cpu.cores} core{'s' if cpu.cores > 1 else ''}" if cpu and cpu.cores else None
    return ", ".join(part for part in (name, cores) if part) or None


def gibibytes(count: int) -> str:
    """Bytes as people read them, without a needless ``.0``: ``128 GiB``, ``23.5 GiB``."""
    return human_bytes(count).replace(".0 ", " ")
