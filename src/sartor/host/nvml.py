"""NVML, NVIDIA's management library, as a source: asked once, and turned into plain values.

`pynvml` (the package ``nvidia-ml-py``) is imported only where ``libnvidia-ml.so.1`` can be loaded.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Protocol, TypeVar

from sartor.host import pci
from sartor.host.machine import NvmlGpu, NvmlMig, NvmlSnapshot, Unread
from sartor.host.model import Gpu, MigInstance
from sartor.host.nvidia_answer import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LIBRARY = "libnvidia-ml.so.1"
UNUSUAL_FOLDERS = ("/usr/lib/wsl/lib", "/usr/local/nvidia/lib64", "/run/opengl-driver/lib")
"""Where WSL, GKE and NixOS keep the driver's libraries, on some machines outside the cache."""

T = TypeVar("T")
Handle = ctypes.c_void_p


class MemoryInfo(Protocol):
    """What ``nvmlDeviceGetMemoryInfo`` gives, in bytes."""

    @property
    def total(self) -> int:
        """All of it, what the driver keeps for itself included."""


class PciInfo(Protocol):
    """What ``nvmlDeviceGetPciInfo`` gives."""

    @property
    def busId(self) -> str:  # noqa: N802
        """``00000000:01:00.0``."""


class Nvml(Protocol):
    """The part of the `pynvml` module that is used here; every call may raise ``NVMLError``."""

    NVMLError: type[Exception]

    def nvmlInit(self) -> None: ...  # noqa: D102, N802
    def nvmlShutdown(self) -> None: ...  # noqa: D102, N802
    def nvmlSystemGetDriverVersion(self) -> str: ...  # noqa: D102, N802
    def nvmlSystemGetCudaDriverVersion_v2(self) -> int: ...  # noqa: D102, N802
    def nvmlDeviceGetCount(self) -> int: ...  # noqa: D102, N802
    def nvmlDeviceGetHandleByIndex(self, index: int) -> Handle: ...  # noqa: D102, N802
    def nvmlDeviceGetName(self, handle: Handle) -> str: ...  # noqa: D102, N802
    def nvmlDeviceGetUUID(self, handle: Handle) -> str: ...  # noqa: D102, N802
    def nvmlDeviceGetMemoryInfo(self, handle: Handle) -> MemoryInfo: ...  # noqa: D102, N802
    def nvmlDeviceGetPciInfo(self, handle: Handle) -> PciInfo: ...  # noqa: D102, N802
    def nvmlDeviceGetCudaComputeCapability(  # noqa: D102, N802
        self, handle: Handle
    ) -> Sequence[int]: ...
    def nvmlDeviceGetMigMode(self, handle: Handle) -> Sequence[int]: ...  # noqa: D102, N802
    def nvmlDeviceGetMaxMigDeviceCount(self, handle: Handle) -> int: ...  # noqa: D102, N802
    def nvmlDeviceGetMigDeviceHandleByIndex(  # noqa: D102, N802
        self, handle: Handle, index: int
    ) -> Handle: ...


def snapshot() -> NvmlSnapshot | Unread:
    """Everything detection wants from NVML, or why there is nothing."""
    if (reason := load_library()) is not None:
        return Unread(reason, missing=True)
    import pynvml

    return read(pynvml)


def load_library() -> str | None:
    """Load NVML's library; the reason where that is not possible.

    Once it is loaded from an unusual folder, `pynvml` finds it by its name alone.
    """
    reason = ""
    for name in (LIBRARY, *(f"{folder}/{LIBRARY}" for folder in UNUSUAL_FOLDERS)):
        try:
            ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
        except OSError as error:
            reason = reason or str(error)
        else:
            return None
    return reason


def read(nvml: Nvml) -> NvmlSnapshot | Unread:
    """Start NVML, read every GPU, and stop it."""
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        return Unread(str(error))
    try:
        return read_started(nvml)
    finally:
        ask(nvml, nvml.nvmlShutdown)


def ask(nvml: Nvml, question: Callable[[], T]) -> T | Unread:
    """The answer to one question, or NVML's reason for not giving it."""
    try:
        return question()
    except nvml.NVMLError as error:
        return Unread(str(error))


def read_started(nvml: Nvml) -> NvmlSnapshot:
    """Read the driver and every GPU from an NVML that was started."""
    count = ask(nvml, nvml.nvmlDeviceGetCount)
    answers = [] if isinstance(count, Unread) else [read_gpu(nvml, i) for i in range(count)]
    version = ask(nvml, nvml.nvmlSystemGetDriverVersion)
    cuda = ask(nvml, nvml.nvmlSystemGetCudaDriverVersion_v2)
    refused = {"number of GPUs": count, "driver version": version, "CUDA version": cuda}
    unread = [f"{what}: {a.why}" for what, a in refused.items() if isinstance(a, Unread)]
    return NvmlSnapshot(
        driver_version=None if isinstance(version, Unread) else version,
        cuda=None if isinstance(cuda, Unread) else cuda_version(cuda),
        gpus=[a for a in answers if isinstance(a, NvmlGpu)],
        unread=unread + [a.why for a in answers if isinstance(a, Unread)],
    )


def cuda_version(number: int) -> str:
    """NVML's CUDA version as text: 12090 is ``12.9``."""
    return f"{number // 1000}.{number % 1000 // 10}"


def read_gpu(nvml: Nvml, index: int) -> NvmlGpu | Unread:
    """One GPU; `Unread` where NVML gives no handle for it."""
    handle = ask(nvml, lambda: nvml.nvmlDeviceGetHandleByIndex(index))
    if isinstance(handle, Unread):
        return Unread(f"GPU {index}: {handle.why}")
    name = ask(nvml, lambda: nvml.nvmlDeviceGetName(handle))
    uuid = ask(nvml, lambda: nvml.nvmlDeviceGetUUID(handle))
    memory = ask(nvml, lambda: nvml.nvmlDeviceGetMemoryInfo(handle).total)
    capability = ask(nvml, lambda: capability_of(nvml, handle))
    address = ask(nvml, lambda: nvml.nvmlDeviceGetPciInfo(handle).busId)
    refused = {
        "name": name,
        "uuid": uuid,
        "memory_bytes": memory,
        "compute_capability": capability,
        "pci_address": address,
    }
    return NvmlGpu(
        index=index,
        name=value(name),
        uuid=value(uuid),
        memory_bytes=value(memory),
        compute_capability=value(capability),
        pci_address=value(address),
        mig=read_mig(nvml, handle),
        unread={what: a.why for what, a in refused.items() if isinstance(a, Unread)},
    )


def value(answer: T | Unread) -> T | None:
    """The answer, or None where there is none."""
    return None if isinstance(answer, Unread) else answer


def capability_of(nvml: Nvml, handle: Handle) -> str:
    """The compute capability as ``major.minor``."""
    major, minor = nvml.nvmlDeviceGetCudaComputeCapability(handle)
    return f"{major}.{minor}"


def read_mig(nvml: Nvml, handle: Handle) -> list[NvmlMig] | None:
    """The MIG instances; None where the GPU has no MIG or it is off."""
    mode = ask(nvml, lambda: nvml.nvmlDeviceGetMigMode(handle))
    if isinstance(mode, Unread) or not mode[0]:
        return None
    slots = ask(nvml, lambda: nvml.nvmlDeviceGetMaxMigDeviceCount(handle))
    if isinstance(slots, Unread):
        return []
    return [found for slot in range(slots) if (found := read_instance(nvml, handle, slot))]


def read_instance(nvml: Nvml, parent: Handle, slot: int) -> NvmlMig | None:
    """The MIG instance in one slot; None where the slot is empty."""
    handle = ask(nvml, lambda: nvml.nvmlDeviceGetMigDeviceHandleByIndex(parent, slot))
    if isinstance(handle, Unread):
        return None
    name = ask(nvml, lambda: nvml.nvmlDeviceGetName(handle))
    uuid = ask(nvml, lambda: nvml.nvmlDeviceGetUUID(handle))
    memory = ask(nvml, lambda: nvml.nvmlDeviceGetMemoryInfo(handle).total)
    return NvmlMig(value(name) or f"instance {slot}", value(uuid), value(memory))


def from_nvml(snapshot: NvmlSnapshot) -> Answer:
    """NVML's snapshot as an answer."""
    refused = {
        f"gpus[{n}].{field}": f"NVML: {why}"
        for n, gpu in enumerate(snapshot.gpus)
        for field, why in gpu.unread.items()
    }
    if snapshot.unread:
        refused["gpus"] = f"NVML: {'; '.join(snapshot.unread)}"
    return Answer(
        source="nvml",
        version=snapshot.driver_version,
        cuda=snapshot.cuda,
        gpus=[gpu_of_nvml(gpu) for gpu in snapshot.gpus],
        refused=refused,
    )


def gpu_of_nvml(gpu: NvmlGpu) -> Gpu:
    """One GPU of NVML's; a name that NVML refuses is said to be unknown."""
    instances = [MigInstance(profile(m.name), m.uuid, m.memory_bytes) for m in gpu.mig or []]
    return Gpu(
        name=gpu.name or "unknown NVIDIA GPU",
        compute_capability=gpu.compute_capability,
        memory_bytes=gpu.memory_bytes,
        index=gpu.index,
        uuid=gpu.uuid,
        pci_address=pci.normal_address(gpu.pci_address) if gpu.pci_address else None,
        mig=None if gpu.mig is None else instances,
    )


def profile(mig_name: str) -> str:
    """The profile in an instance's name: ``NVIDIA H100 80GB HBM3 MIG 1g.10gb`` has ``1g.10gb``."""
    return mig_name.rpartition("MIG ")[2]
