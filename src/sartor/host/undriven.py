"""NVIDIA GPUs that are on the PCI bus and that no source answers for, each with the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sartor.host import pci
from sartor.host.machine import Unread
from sartor.host.model import Gpu, NotChecked, UndrivenGpu
from sartor.host.nvidia_answer import Refusals
from sartor.host.nvidia_kernel import Kernel

if TYPE_CHECKING:
    from sartor.host.machine import Machine
    from sartor.host.pci import PciGpu


class Trouble(msgspec.Struct, frozen=True):
    """Why GPUs may go unanswered: the sources, the module, and the container around us.

    ``device`` says whether this process has the driver's device node.
    """

    refusals: Refusals
    kernel: Kernel
    inside: str | None
    device: bool


def unanswered(bus: list[PciGpu] | Unread, gpus: list[Gpu]) -> list[PciGpu]:
    """The GPUs on the bus that are not among those that were answered for."""
    if isinstance(bus, Unread):
        return []
    answered = {gpu.pci_address for gpu in gpus}
    return [gpu for gpu in bus if gpu.address not in answered]


def undriven_gpu(machine: Machine, gpu: PciGpu, why: str) -> UndrivenGpu:
    """The GPU with its name from the system's list of PCI names, if there is one."""
    name = machine.pci_name(pci.NVIDIA, gpu.device_id)
    return UndrivenGpu(gpu.address, gpu.device_id, name, gpu.kernel_driver, why)


def explain(gpu: PciGpu, trouble: Trouble, lost: str | None) -> str:
    """Why the NVIDIA driver does not answer for a GPU, and what would change that.

    ``lost``: what the driver says about GPUs that it lists and cannot reach.
    """
    match gpu.kernel_driver:
        case "nvidia":
            return lost or explain_driven(trouble)
        case None:
            return (
                "no kernel driver is bound to it: the NVIDIA driver is not installed, is not"
                " loaded, or does not know this GPU"
            )
        case "vfio-pci":
            return "set aside for a virtual machine: the kernel driver `vfio-pci` holds it"
        case "nouveau" | "nova_core":
            return (
                f"the kernel driver `{gpu.kernel_driver}`, which cannot run CUDA, holds it: install"
                " the NVIDIA driver and restart"
            )
        case other:
            return f"the kernel driver `{other}` holds it"


def explain_driven(trouble: Trouble) -> str:
    """Why a GPU that the NVIDIA kernel module holds cannot be used from here."""
    nvml = trouble.refusals.nvml
    if trouble.refusals.mismatch:
        return (
            f"the loaded kernel module ({trouble.kernel.version or 'version unknown'}) and the"
            " installed driver libraries differ: restart, or reload the module"
        )
    if nvml is not None and not nvml.missing:
        return f"the driver does not answer: {nvml.why}"
    if trouble.inside and not trouble.device:
        return (
            f"the machine's driver holds it, but this container ({trouble.inside}) was given no"
            " GPU: start it with one, for example with `--gpus all`"
        )
    if nvml is not None:
        return f"its kernel module is loaded, but the driver's libraries are missing ({nvml.why})"
    if trouble.inside:
        return f"the machine's driver holds it, but this container ({trouble.inside}) has others"
    return "the NVIDIA kernel module holds it, but the driver does not list it"


def notes_on_names(gpus: list[UndrivenGpu]) -> list[NotChecked]:
    """A note for every GPU on the bus that has no name here."""
    why = "the system has no list of PCI names (pci.ids), or the GPU is not in it"
    return [
        NotChecked(f"undriven_gpus[{n}].name", why) for n, g in enumerate(gpus) if g.name is None
    ]
