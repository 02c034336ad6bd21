"""NVIDIA GPUs on the PCI bus, whether or not a driver answers for them."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import msgspec

from sartor.host.machine import Unread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sartor.host.machine import Machine

DEVICES = "/sys/bus/pci/devices"
NVIDIA = "10de"
DISPLAY_CLASSES = ("0300", "0302")  # VGA controller, 3D controller
ADDRESS = re.compile(r"([0-9a-f]+):([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])", re.IGNORECASE)


class PciGpu(msgspec.Struct, frozen=True):
    """One NVIDIA display or 3D controller; ``kernel_driver`` is None where none is bound."""

    address: str
    device_id: str
    kernel_driver: str | None = None


def scan(machine: Machine) -> list[PciGpu] | Unread:
    """Every NVIDIA GPU on the bus, by address."""
    names = machine.list_folder(DEVICES)
    if isinstance(names, Unread):
        return names
    return [gpu for name in names if (gpu := gpu_at(machine, name))]


def gpu_at(machine: Machine, name: str) -> PciGpu | None:
    """The NVIDIA GPU at one address, or None where something else is there."""
    folder = f"{DEVICES}/{name}"
    if hexadecimal(machine.read_text(f"{folder}/vendor")) != NVIDIA:
        return None
    if not hexadecimal(machine.read_text(f"{folder}/class")).startswith(DISPLAY_CLASSES):
        return None
    driver = machine.resolve(f"{folder}/driver")
    bound = None if isinstance(driver, Unread) else PurePosixPath(driver).name
    return PciGpu(name, hexadecimal(machine.read_text(f"{folder}/device")), bound)


def hexadecimal(text: str | Unread) -> str:
    """``0x10de\\n`` as ``10de``; empty where it was not read."""
    return "" if isinstance(text, Unread) else text.strip().lower().removeprefix("0x")


def normal_address(text: str) -> str:
    """A PCI address as the kernel writes it: NVML's ``00000000:C1:00.0`` is ``0000:c1:00.0``.

    Text that is no address comes back as it is.
    """
    match = ADDRESS.fullmatch(text.strip())
    if match is None:
        return text
    domain, bus, device, function = match.groups()
    return f"{int(domain, 16):04x}:{bus}:{device}.{function}".lower()


def pci_ids_files() -> tuple[str, ...]:
    """Where distributions keep the list of PCI names."""
    return ("/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids")


def name_in(pci_ids: str, vendor: str, device: str) -> str | None:
    """The name of ``device`` in the text of a ``pci.ids``: ``GB202 [GeForce RTX 5090]``."""
    for line in lines_of_vendor(pci_ids, vendor):
        if line.startswith(f"\t{device}  "):
            return line[len(device) + 3 :].strip()
    return None


def lines_of_vendor(pci_ids: str, vendor: str) -> Iterator[str]:
    """The lines below a vendor's own, up to the next vendor."""
    start = pci_ids.find(f"\n{vendor}  ")
    if start < 0:
        return
    for line in pci_ids[start + 1 :].splitlines()[1:]:
        if line and not line.startswith(("\t", "#")):
            return
        yield line
