"""NVIDIA GPUs and their driver, from whichever source answers.

NVML first, then ``nvidia-smi``, then ``/proc/driver/nvidia``. Whatever is on the PCI bus and no
source answers for becomes an `UndrivenGpu` with the reason.
"""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING, Final

import msgspec

from sartor import facts
from sartor.host import pci
from sartor.host.machine import CommandResult, NvmlSnapshot, Unread
from sartor.host.model import Driver, Gpu, MigInstance, NotChecked, UndrivenGpu
from sartor.host.names import gpu_fact

if TYPE_CHECKING:
    from sartor.host.machine import Machine, NvmlGpu
    from sartor.host.pci import PciGpu

VERSION_FILE: Final = "/proc/driver/nvidia/version"
GPU_FOLDER = "/proc/driver/nvidia/gpus"
CONTROL_DEVICE = "/dev/nvidiactl"
CUDA_LIBRARY = "libcuda.so.1"
SMI_PLACES = ("/usr/lib/wsl/lib/nvidia-smi", "/usr/local/nvidia/bin/nvidia-smi")
SMI_FIELDS = "index,name,uuid,memory.total,pci.bus_id,driver_version"
SMI_NEWER_FIELDS = "compute_cap,mig.mode.current"
TEGRA_MODEL = "/proc/device-tree/model"
TEGRA_COMPATIBLE = "/proc/device-tree/compatible"
TEGRA_DEVICES = ("/dev/nvgpu", "/dev/nvhost-gpu", "/dev/nvhost-ctrl-gpu")


class Answer(msgspec.Struct, frozen=True):
    """What one source says about the driver and the GPUs it answers for.

    ``refused`` maps a path (``gpus[0].memory_bytes``) to the source's reason for not giving it.
    """

    source: str
    version: str | None = None
    cuda: str | None = None
    gpus: list[Gpu] = []
    refused: dict[str, str] = {}


class Refusals(msgspec.Struct, frozen=True):
    """Why NVML and ``nvidia-smi`` gave no answer; None for one that did, or was not needed."""

    nvml: Unread | None = None
    smi: Unread | None = None

    def text(self) -> str:
        """Both reasons in one line."""
        named = (("NVML", self.nvml), ("nvidia-smi", self.smi))
        return "; ".join(f"{name}: {refusal.why}" for name, refusal in named if refusal)


class Kernel(msgspec.Struct, frozen=True):
    """The loaded kernel module: its version and whether it is ``open`` or ``proprietary``."""

    version: str | None = None
    module: str | None = None


class Trouble(msgspec.Struct, frozen=True):
    """Why GPUs may go unanswered: the sources, the module, and the container around us.

    ``device`` says whether this process has the driver's device node.
    """

    refusals: Refusals
    kernel: Kernel
    inside: str | None
    device: bool


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


# --- the sources -----------------------------------------------------------------------------


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


def ask_smi(machine: Machine) -> Answer | Unread:
    """What ``nvidia-smi`` says; `Unread` where it is not installed or fails."""
    program = find_smi(machine)
    if program is None:
        return Unread("not installed", missing=True)
    rows = query_smi(machine, program)
    if isinstance(rows, Unread):
        return rows
    header = machine.run([program])
    listing = machine.run([program, "-L"]) if any(row[-1] == "Enabled" for row in rows) else None
    return from_smi(rows, text_of(header), text_of(listing))


def find_smi(machine: Machine) -> str | None:
    """``nvidia-smi`` on PATH, or where WSL and GKE keep it."""
    found = machine.which("nvidia-smi")
    if found:
        return found
    return next((p for p in SMI_PLACES if not isinstance(machine.resolve(p), Unread)), None)


def query_smi(machine: Machine, program: str) -> list[list[str]] | Unread:
    """One row for each GPU, with the columns of `SMI_FIELDS` and `SMI_NEWER_FIELDS`.

    Drivers from before 510 do not know the newer columns; they are asked again without, and the
    columns are then empty.
    """
    answer = run_query(machine, program, f"{SMI_FIELDS},{SMI_NEWER_FIELDS}")
    if isinstance(answer, Unread) and "not a valid field" in answer.why:
        older = run_query(machine, program, SMI_FIELDS)
        return older if isinstance(older, Unread) else [[*row, "", ""] for row in older]
    return answer


def run_query(machine: Machine, program: str, fields: str) -> list[list[str]] | Unread:
    """The rows of one ``--query-gpu``; a row of the wrong length makes the answer unreadable."""
    result = machine.run([program, f"--query-gpu={fields}", "--format=csv,noheader,nounits"])
    if isinstance(result, Unread):
        return result
    if result.returncode != 0:
        return Unread(one_line(result.stderr or result.stdout) or f"status {result.returncode}")
    rows = [[cell.strip() for cell in row] for row in csv.reader(result.stdout.splitlines()) if row]
    if any(len(row) != fields.count(",") + 1 for row in rows):
        return Unread(f"unexpected output: {one_line(result.stdout)}")
    return rows


def one_line(text: str) -> str:
    """``text`` on one line, for a reason."""
    return " ".join(text.split())


def text_of(result: CommandResult | Unread | None) -> str:
    """What a program printed; empty where it did not run or failed."""
    return result.stdout if isinstance(result, CommandResult) and result.returncode == 0 else ""


def from_smi(rows: list[list[str]], header: str, listing: str) -> Answer:
    """The answer in the query's rows, the plain table and the ``-L`` list."""
    cuda = re.search(r"CUDA(?: \w+)? Version\s*:\s*(\d+\.\d+)", header)
    instances = mig_by_gpu(listing)
    return Answer(
        source="nvidia-smi",
        version=known(rows[0][5]) if rows else None,
        cuda=cuda[1] if cuda else None,
        gpus=[gpu_of_smi(row, instances) for row in rows],
        refused={
            f"gpus[{n}].{field}": f"nvidia-smi: {row[column] or 'it does not know this field'}"
            for n, row in enumerate(rows)
            for field, column in (("memory_bytes", 3), ("compute_capability", 6))
        },
    )


def gpu_of_smi(row: list[str], instances: dict[str, list[MigInstance]]) -> Gpu:
    """One GPU from its row of the query."""
    index, name, uuid, mebibytes, address, _, capability, mig = row
    size = known(mebibytes)
    return Gpu(
        name=name,
        compute_capability=known(capability),
        memory_bytes=int(size) * 2**20 if size and size.isdecimal() else None,
        index=int(index) if index.isdecimal() else None,
        uuid=known(uuid),
        pci_address=pci.normal_address(address) if known(address) else None,
        mig=instances.get(uuid, []) if mig == "Enabled" else None,
    )


def known(cell: str) -> str | None:
    """A cell's text; None for an empty one and for ``[N/A]``, ``[Not Supported]`` and the like."""
    return None if not cell or cell.startswith("[") or cell == "N/A" else cell


def mig_by_gpu(listing: str) -> dict[str, list[MigInstance]]:
    """The MIG instances in the output of ``nvidia-smi -L``, by the UUID of their GPU."""
    found: dict[str, list[MigInstance]] = {}
    parent = ""
    for line in listing.splitlines():
        if gpu := re.match(r"GPU \d+: .*\(UUID: (GPU-[^)]+)\)", line):
            parent = gpu[1]
        elif mig := re.match(r"\s+MIG (\S+)\s+Device\s+\d+: \(UUID: ([^)]+)\)", line):
            found.setdefault(parent, []).append(MigInstance(mig[1], mig[2]))
    return found


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


# --- what the sources leave out --------------------------------------------------------------


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


def notes_on_names(gpus: list[UndrivenGpu]) -> list[NotChecked]:
    """A note for every GPU on the bus that has no name here."""
    why = "the system has no list of PCI names (pci.ids), or the GPU is not in it"
    return [
        NotChecked(f"undriven_gpus[{n}].name", why) for n, g in enumerate(gpus) if g.name is None
    ]


def driver_of(
    answer: Answer | None, kernel: Kernel, refusals: Refusals
) -> tuple[Driver | None, list[NotChecked]]:
    """The driver; None without a note where there is none."""
    version = (answer and answer.version) or kernel.version
    if answer is None and version is None:
        return None, [NotChecked("driver", refusals.text())] if failed(refusals) else []
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
    if answer is None and (kernel.version or failed(refusals)):
        notes.append(NotChecked("gpus", refusals.text() + library_version(machine, refusals)))
    return notes


def failed(refusals: Refusals) -> bool:
    """Whether something of the driver is installed and does not work."""
    return any(refusal and not refusal.missing for refusal in (refusals.nvml, refusals.smi))


def library_version(machine: Machine, refusals: Refusals) -> str:
    """For a mismatch: the version of the library on the disk, to set beside the module's."""
    if not is_mismatch(refusals):
        return ""
    path = machine.library("libnvidia-ml.so.1")
    real = machine.resolve(path) if path else None
    version = re.search(r"\.so\.(\d+\.[\d.]+)$", real) if isinstance(real, str) else None
    return f" (the library is {version[1]})" if version else ""


def is_mismatch(refusals: Refusals) -> bool:
    """Whether a source says that the loaded module and the installed library differ.

    NVML itself words it ``Driver/library version mismatch``, `pynvml` ``NVML/RM version mismatch``.
    """
    return "version mismatch" in refusals.text()


# --- GPUs that nobody answers for ------------------------------------------------------------


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
    if is_mismatch(trouble.refusals):
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
