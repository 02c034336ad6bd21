"""NVIDIA GPUs and their driver, from whichever source answers.

NVML first, then ``nvidia-smi``, then ``/proc/driver/nvidia``. Whatever is on the PCI bus and no
source answers for becomes an `UndrivenGpu` with the reason.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from sartor import facts
from sartor.host import pci
from sartor.host.machine import NvmlSnapshot, Unread
from sartor.host.model import Driver, Gpu, NotChecked, UndrivenGpu
from sartor.host.names import gpu_fact
from sartor.host.nvidia_answer import Answer, Refusals
from sartor.host.nvidia_kernel import (
    Kernel,
    from_device_tree,
    from_proc,
    has_device,
    read_kernel,
)
from sartor.host.nvidia_smi import ask_smi
from sartor.host.nvml import LIBRARY, from_nvml
from sartor.host.signs import VERSION_FILE
from sartor.host.undriven import Trouble, explain, notes_on_names, unanswered, undriven_gpu

if TYPE_CHECKING:
    from sartor.host.machine import Machine
    from sartor.host.pci import PciGpu


class Nvidia(msgspec.Struct, frozen=True):
    """Everything about NVIDIA on one machine."""

    gpus: list[Gpu]
    driver: Driver | None
    undriven: list[UndrivenGpu]
    not_checked: list[NotChecked]


def read_nvidia(machine: Machine, inside: str | None, system_memory: int | None) -> Nvidia:
    """The GPUs, the driver and what stands in their way.

    ``inside`` names the container that Sartor runs in, if any; ``system_memory`` is the memory of
    the whole machine, which parts without their own share.
    """
    kernel = read_kernel(machine)
    bus = pci.scan(machine)
    answer, refusals = ask_sources(machine, kernel)
    gpus = [complete(gpu, system_memory) for gpu in answer.gpus] if answer else []
    driver, driver_notes = driver_of(answer, kernel, refusals)
    trouble = Trouble(refusals, kernel, inside, has_device(machine))
    lost = answer.refused.get("gpus") if answer else None
    undriven = [
        undriven_gpu(machine, gpu, explain(gpu, trouble, lost)) for gpu in unanswered(bus, gpus)
    ]
    notes = [
        *notes_on_gpus(gpus, answer.refused if answer else {}),
        *driver_notes,
        *missing_sources(machine, answer, refusals, kernel, bus),
        *notes_on_names(undriven),
    ]
    return Nvidia(gpus, driver, undriven, notes)


def ask_sources(machine: Machine, kernel: Kernel) -> tuple[Answer | None, Refusals]:
    """The first source that answers, and why the ones before it did not."""
    nvml = machine.nvml()
    if isinstance(nvml, NvmlSnapshot):
        return from_nvml(nvml), Refusals()
    smi = ask_smi(machine)
    if isinstance(smi, Answer):
        return smi, Refusals(nvml)
    refusals = Refusals(nvml, smi)
    if not nvml.missing:
        return None, refusals
    return from_proc(machine, kernel) or from_device_tree(machine), refusals


def complete(gpu: Gpu, system_memory: int | None) -> Gpu:
    """One GPU with its capability from the facts, and the system's memory where it shares that."""
    fact = gpu_fact(gpu.name, gpu.memory_bytes)
    unified = gpu.unified_memory or (fact is not None and fact.unified_memory)
    memory = system_memory if unified and gpu.memory_bytes is None else gpu.memory_bytes
    return msgspec.structs.replace(
        gpu,
        compute_capability=gpu.compute_capability or (fact.compute_capability if fact else None),
        memory_bytes=memory,
        unified_memory=unified,
    )


GPU_FIELDS = ("compute_capability", "memory_bytes", "index", "uuid", "pci_address")


def notes_on_gpus(gpus: list[Gpu], refused: dict[str, str]) -> list[NotChecked]:
    """A note for everything about the GPUs that no source gave, with the source's reason."""
    notes = [NotChecked(w, why) for w, why in refused.items() if w == "gpus" or w.endswith(".name")]
    for n, gpu in enumerate(gpus):
        for field in GPU_FIELDS:
            if getattr(gpu, field) is None:
                what = f"gpus[{n}].{field}"
                notes.append(NotChecked(what, refused.get(what, "the driver does not say it")))
        for m, instance in enumerate(gpu.mig or []):
            if instance.memory_bytes is None:
                what = f"gpus[{n}].mig[{m}].memory_bytes"
                notes.append(NotChecked(what, "the driver does not say it"))
    return notes


def driver_of(
    answer: Answer | None, kernel: Kernel, refusals: Refusals
) -> tuple[Driver | None, list[NotChecked]]:
    """The driver; None without a note where there is none."""
    version = (answer and answer.version) or kernel.version
    if answer is None and version is None:
        return None, [NotChecked("driver", refusals.text())] if refusals.failed else []
    asked = answer.cuda if answer else None
    looked_up = facts.cuda_of_driver(version) if version and not asked else None
    driver = Driver(
        version=version,
        cuda=asked or looked_up,
        source=source_of(answer, kernel),
        cuda_source="driver" if asked else "facts" if looked_up else None,
        kernel_module=kernel.module,
    )
    return driver, driver_notes(driver, refusals)


def source_of(answer: Answer | None, kernel: Kernel) -> str | None:
    """Who gave the driver's version; None where nobody did."""
    if answer and answer.version:
        return answer.source
    return VERSION_FILE if kernel.version else None


def driver_notes(driver: Driver, refusals: Refusals) -> list[NotChecked]:
    """What is not known about a driver that is there."""
    notes = []
    if driver.version is None:
        notes.append(NotChecked("driver.version", refusals.text() or "the driver does not say"))
    if driver.cuda is None:
        version = driver.version
        why = f"no driver branch of {version} is known" if version else "no source gives a version"
        notes.append(NotChecked("driver.cuda", why))
    return notes


def missing_sources(
    machine: Machine,
    answer: Answer | None,
    refusals: Refusals,
    kernel: Kernel,
    bus: list[PciGpu] | Unread,
) -> list[NotChecked]:
    """Notes on sources that should have answered; none where no driver is installed at all."""
    notes = []
    if isinstance(bus, Unread):
        notes.append(NotChecked("undriven_gpus", f"the PCI bus cannot be read: {bus.why}"))
    if answer is None and (kernel.version or refusals.failed):
        notes.append(NotChecked("gpus", refusals.text() + library_version(machine, refusals)))
    return notes


def library_version(machine: Machine, refusals: Refusals) -> str:
    """For a mismatch: the version of the library on the disk, to set beside the module's."""
    if not refusals.mismatch:
        return ""
    path = machine.library(LIBRARY)
    real = machine.resolve(path) if path else None
    version = re.search(r"\.so\.(\d+\.[\d.]+)$", real) if isinstance(real, str) else None
    return f" (the library is {version[1]})" if version else ""
