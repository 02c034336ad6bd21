"""NVML's answers, from a stand-in for the `pynvml` module."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, NamedTuple

from sartor.host.machine import NvmlGpu, NvmlMig, NvmlSnapshot, Unread
from sartor.host.nvml import Handle, Nvml, cuda_version, read

if TYPE_CHECKING:
    from collections.abc import Sequence


class FakeError(Exception):
    pass


class Memory(NamedTuple):
    total: int


class Pci(NamedTuple):
    busId: str  # noqa: N815


class FakeNvml(Nvml):
    """Two GPUs, the first with one MIG instance in the second of two slots; ``refuse`` by name."""

    NVMLError = FakeError

    def __init__(self, **refuse: str) -> None:
        self.refuse = refuse
        self.running = False

    def check(self, name: str) -> None:
        if name in self.refuse:
            raise FakeError(self.refuse[name])

    def nvmlInit(self) -> None:  # noqa: N802
        self.check("init")
        self.running = True

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.running = False
        self.check("shutdown")

    def nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802
        self.check("driver")
        return "570.172.08"

    def nvmlSystemGetCudaDriverVersion_v2(self) -> int:  # noqa: N802
        self.check("cuda")
        return 12080

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        self.check("count")
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Handle:  # noqa: N802
        self.check(f"handle{index}")
        return ctypes.c_void_p(index + 1)

    def nvmlDeviceGetName(self, handle: Handle) -> str:  # noqa: N802
        self.check("name")
        return "NVIDIA H100 80GB HBM3 MIG 1g.10gb" if handle.value == 9 else "NVIDIA H100 80GB HBM3"

    def nvmlDeviceGetUUID(self, handle: Handle) -> str:  # noqa: N802
        return f"GPU-{handle.value}"

    def nvmlDeviceGetMemoryInfo(self, handle: Handle) -> Memory:  # noqa: N802
        self.check("memory")
        return Memory(10 if handle.value == 9 else 80)

    def nvmlDeviceGetPciInfo(self, handle: Handle) -> Pci:  # noqa: N802
        return Pci(f"00000000:0{handle.value}:00.0")

    def nvmlDeviceGetCudaComputeCapability(self, handle: Handle) -> Sequence[int]:  # noqa: N802
        return (9, 0)

    def nvmlDeviceGetMigMode(self, handle: Handle) -> Sequence[int]:  # noqa: N802
        self.check("mig")
        return (1, 1) if handle.value == 1 else (0, 0)

    def nvmlDeviceGetMaxMigDeviceCount(self, handle: Handle) -> int:  # noqa: N802
        self.check("slots")
        return 2

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: Handle, index: int) -> Handle:  # noqa: N802
        if index == 0:
            raise FakeError("Not Found")
        return ctypes.c_void_p(9)


def snapshot(**refuse: str) -> NvmlSnapshot:
    nvml = FakeNvml(**refuse)
    answer = read(nvml)
    assert isinstance(answer, NvmlSnapshot)
    assert not nvml.running
    return answer


def test_everything() -> None:
    assert snapshot() == NvmlSnapshot(
        "570.172.08",
        "12.8",
        [
            NvmlGpu(
                0,
                "NVIDIA H100 80GB HBM3",
                "GPU-1",
                80,
                "9.0",
                "00000000:01:00.0",
                [NvmlMig("NVIDIA H100 80GB HBM3 MIG 1g.10gb", "GPU-9", 10)],
            ),
            NvmlGpu(1, "NVIDIA H100 80GB HBM3", "GPU-2", 80, "9.0", "00000000:02:00.0"),
        ],
    )


def test_nvml_that_does_not_start() -> None:
    assert read(FakeNvml(init="Driver Not Loaded")) == Unread("Driver Not Loaded")


def test_a_lost_gpu_leaves_the_others() -> None:
    answer = snapshot(handle0="GPU is lost")
    assert [gpu.index for gpu in answer.gpus] == [1]
    assert answer.unread == ["GPU 0: GPU is lost"]


def test_a_refused_value_has_its_reason() -> None:
    gpu = snapshot(memory="Not Supported", mig="Not Supported").gpus[0]
    assert (gpu.memory_bytes, gpu.mig) == (None, None)
    assert gpu.unread == {"memory_bytes": "Not Supported"}


def test_refused_system_values() -> None:
    answer = snapshot(driver="Unknown Error", cuda="Unknown Error", count="No Permission")
    assert (answer.driver_version, answer.cuda, answer.gpus) == (None, None, [])
    assert len(answer.unread) == 3


def test_mig_whose_instances_cannot_be_asked_for() -> None:
    assert snapshot(slots="No Permission").gpus[0].mig == []


def test_an_unclean_end_changes_nothing() -> None:
    assert snapshot(shutdown="Uninitialized") == snapshot()


def test_cuda_versions() -> None:
    assert [cuda_version(n) for n in (9020, 11080, 12090, 13000, 13010)] == [
        "9.2",
        "11.8",
        "12.9",
        "13.0",
        "13.1",
    ]
