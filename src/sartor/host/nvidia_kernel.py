"""The kernel's own files as a source: ``/proc/driver/nvidia``, and a Jetson's device tree."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from sartor.host import pci
from sartor.host.machine import Unread
from sartor.host.model import Gpu
from sartor.host.nvidia_answer import Answer
from sartor.host.signs import CONTROL_DEVICE, TEGRA_DEVICES, VERSION_FILE

if TYPE_CHECKING:
    from sartor.host.machine import Machine

GPU_FOLDER = "/proc/driver/nvidia/gpus"
CUDA_LIBRARY = "libcuda.so.1"
TEGRA_MODEL = "/proc/device-tree/model"
TEGRA_COMPATIBLE = "/proc/device-tree/compatible"


class Kernel(msgspec.Struct, frozen=True):
    """The loaded kernel module: its version and whether it is ``open`` or ``proprietary``."""

    version: str | None = None
    module: str | None = None


def read_kernel(machine: Machine) -> Kernel:
    """The NVIDIA kernel module by its own file; empty where none is loaded."""
    text = machine.read_text(VERSION_FILE)
    return Kernel() if isinstance(text, Unread) else parse_kernel(text)


def parse_kernel(text: str) -> Kernel:
    """The first line of ``/proc/driver/nvidia/version``, which has two forms.

    ``NVIDIA UNIX x86_64 Kernel Module  535.183.01  …`` and, for the open modules, ``NVIDIA UNIX
    Open Kernel Module for x86_64  575.57.08  …``.
    """
    line = next((line for line in text.splitlines() if line.startswith("NVRM version:")), "")
    version = re.search(r"\b(\d{3,}\.\d+(?:\.\d+)?)\b", line)
    if version is None:
        return Kernel()
    return Kernel(version[1], "open" if "Open Kernel Module" in line else "proprietary")


def from_proc(machine: Machine, kernel: Kernel) -> Answer | None:
    """The GPUs the kernel module lists, where CUDA can use them: with its library and device.

    A container that was given ``NVIDIA_DRIVER_CAPABILITIES=compute`` has no NVML, for example.
    """
    if kernel.version is None or not has_device(machine) or not machine.library(CUDA_LIBRARY):
        return None
    names = machine.list_folder(GPU_FOLDER)
    if isinstance(names, Unread):
        return None
    texts = [machine.read_text(f"{GPU_FOLDER}/{name}/information") for name in names]
    gpus = [gpu_of_information(text) for text in texts if isinstance(text, str)]
    why = "only /proc/driver/nvidia answers, which does not say it"
    fields = [f"gpus[{n}].{field}" for n in range(len(gpus)) for field in ("memory_bytes", "index")]
    return Answer(VERSION_FILE, kernel.version, gpus=gpus, refused=dict.fromkeys(fields, why))


def has_device(machine: Machine) -> bool:
    """Whether the device node is there that every program on the GPU opens first."""
    return not isinstance(machine.resolve(CONTROL_DEVICE), Unread)


def gpu_of_information(text: str) -> Gpu:
    """One GPU from its ``information`` file."""
    pairs = (line.partition(":") for line in text.splitlines())
    fields = {key.strip(): value.strip() for key, _, value in pairs}
    uuid, address = fields.get("GPU UUID", ""), fields.get("Bus Location", "")
    return Gpu(
        name=fields.get("Model") or "unknown NVIDIA GPU",
        uuid=uuid if uuid and "?" not in uuid else None,
        pci_address=pci.normal_address(address) if address else None,
    )


def from_device_tree(machine: Machine) -> Answer | None:
    """The GPU of a Jetson whose system has no NVML (JetPack 5 and older)."""
    compatible = machine.read_text(TEGRA_COMPATIBLE)
    if isinstance(compatible, Unread) or "nvidia,tegra" not in compatible:
        return None
    if all(isinstance(machine.resolve(path), Unread) for path in TEGRA_DEVICES):
        return None
    model = machine.read_text(TEGRA_MODEL)
    board = "" if isinstance(model, Unread) else model.rstrip("\0\n")
    name = board.removesuffix(" Developer Kit") or "unknown Jetson"
    gpu = Gpu(name=name, index=0, unified_memory=True)
    return Answer(VERSION_FILE, gpus=[gpu])
