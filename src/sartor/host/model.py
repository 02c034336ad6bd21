"""The `Host`: what Sartor knows about a machine, and what it could not read.

Every value that was not read is None (or an empty list) *and* has an entry in ``not_checked``;
a value that was looked for and is not there is an empty list or False without such an entry.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

Version = Annotated[str, msgspec.Meta(pattern=r"^[0-9]+(\.[0-9]+)*$")]
"""Numbers and dots, so that versions can be compared; held against when a document is read."""


class NotChecked(msgspec.Struct, frozen=True):
    """One thing that was not read, and why."""

    what: str
    why: str


class MigInstance(msgspec.Struct, frozen=True):
    """One MIG instance of a GPU: what CUDA sees in place of the whole."""

    name: str
    uuid: str | None = None
    memory_bytes: int | None = None


class Gpu(msgspec.Struct, frozen=True):
    """One NVIDIA GPU that the driver answers for, or that a description names.

    ``compute_capability`` is ``major.minor``. ``memory_bytes`` is what the driver reports; for a
    part that shares the system's memory (``unified_memory``) it is that memory. ``mig`` is None
    where MIG does not exist or is off, else the instances (an empty list: MIG on, none made).
    """

    name: str
    compute_capability: Version | None = None
    memory_bytes: int | None = None
    index: int | None = None
    uuid: str | None = None
    pci_address: str | None = None
    unified_memory: bool = False
    mig: list[MigInstance] | None = None


class UndrivenGpu(msgspec.Struct, frozen=True):
    """An NVIDIA GPU on the PCI bus that the NVIDIA driver does not answer for."""

    pci_address: str
    device_id: str
    name: str | None = None
    kernel_driver: str | None = None
    why: str | None = None


class Driver(msgspec.Struct, frozen=True):
    """The NVIDIA driver. ``cuda`` is the highest CUDA version it supports, as ``major.minor``.

    ``source`` says who answered: ``nvml``, ``nvidia-smi``, ``/proc/driver/nvidia/version``, or
    ``described``; ``cuda_source`` is ``driver`` (asked), ``facts`` (looked up by branch) or
    ``described``. ``kernel_module`` is ``open`` or ``proprietary``.
    """

    version: Version | None = None
    cuda: Version | None = None
    source: str | None = None
    cuda_source: str | None = None
    kernel_module: str | None = None


class Cpu(msgspec.Struct, frozen=True):
    """The processor. ``name`` is archspec's microarchitecture, ``model`` the maker's words.

    ``features`` are archspec's names (``avx2``, ``avx512_vnni``, ``sve2`` …); ``generic`` is the
    highest generic level that they cover (``x86_64_v4``), ``cores`` the physical ones.
    """

    name: str | None
    features: list[str] = []
    generic: str | None = None
    vendor: str | None = None
    model: str | None = None
    cores: int | None = None
    threads: int | None = None


class Memory(msgspec.Struct, frozen=True):
    """Main memory in bytes. ``available_bytes`` respects the limit of the container, if any."""

    total_bytes: int | None = None
    available_bytes: int | None = None


class Disk(msgspec.Struct, frozen=True):
    """Room at one place that Sartor writes to: ``data`` (environments) or ``cache`` (downloads)."""

    purpose: str
    path: str
    free_bytes: int
    writable: bool


class Tool(msgspec.Struct, frozen=True):
    """A program that was found: a compiler, an interpreter, a container tool."""

    name: str
    path: str
    version: str | None = None


class Containers(msgspec.Struct, frozen=True):
    """Container tools, and the ways a GPU can be passed through to a container.

    ``inside`` names the container runtime when Sartor itself runs in one. ``gpu_passthrough`` lists
    what was found: ``nvidia-container-toolkit``, ``nvidia-container-runtime``, ``cdi``.
    """

    inside: str | None = None
    tools: list[Tool] = []
    gpu_passthrough: list[str] = []


class System(msgspec.Struct, frozen=True):
    """The operating system: kernel family and release, distribution, WSL version (1, 2) if any."""

    kernel: str | None = None
    release: str | None = None
    distribution: str | None = None
    wsl: int | None = None


class Host(msgspec.Struct, frozen=True, tag_field="schema", tag="sartor.host/1"):
    """A machine, read or described.

    ``libraries`` maps the soname of a system library that some engine needs to the path it was
    found at, or to None where it was looked for and is missing. ``architecture`` is ``uname -m``.
    """

    gpus: list[Gpu] = []
    driver: Driver | None = None
    cpu: Cpu | None = None
    architecture: str | None = None
    glibc: Version | None = None
    memory: Memory = Memory()
    disks: list[Disk] = []
    system: System = System()
    pythons: list[Tool] = []
    compilers: list[Tool] = []
    cuda_toolkits: list[Tool] = []
    containers: Containers = Containers()
    libraries: dict[str, str | None] = {}
    undriven_gpus: list[UndrivenGpu] = []
    described: bool = False
    not_checked: list[NotChecked] = []
