"""From what a description states to a `Host`, with every fault collected on the way."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from sartor import facts
from sartor.errors import closest
from sartor.host.cpu import described_cpu, microarchitectures
from sartor.host.model import (
    Containers,
    Cpu,
    Disk,
    Driver,
    Gpu,
    Host,
    Memory,
    MigInstance,
    NotChecked,
    System,
    Tool,
)
from sartor.host.names import gpu_fact

if TYPE_CHECKING:
    from sartor.facts import GpuFact

VERSION = r"[0-9]{1,4}(?:\.[0-9]{1,6}){0,3}"
SIZE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*([KMGT])(?:i?B)?", re.IGNORECASE)
POWERS = {"K": 10, "M": 20, "G": 30, "T": 40}
MIG_PROFILE = re.compile(
    r"(?:[0-9]{1,2}c\.)?[0-9]{1,2}g\.([0-9]{1,4})gb(?:\+[\w.]+)?", re.IGNORECASE
)
ARCHITECTURES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}
COMPILERS = ("gcc", "g++", "clang", "clang++", "cc", "cmake", "ninja")
NOT_STATED = "not stated in the description"


class KeyForm(msgspec.Struct, frozen=True):
    """The form of one key's value: a pattern and an example for whoever misses it."""

    pattern: str
    example: str
    synonyms: tuple[str, ...] = ()


VERSION_OF_TOOL = KeyForm(VERSION, "13.2")
KEYS = {
    "driver": KeyForm(r"[0-9]{3,4}(?:\.[0-9]{1,4}){0,2}", "575.57", ("driver_version",)),
    "cuda": KeyForm(r"[0-9]{1,2}\.[0-9]{1,2}", "12.9"),
    "cpu": KeyForm(r"[\w.\- ]+", "zen5"),
    "cores": KeyForm(r"[1-9][0-9]{0,4}", "16"),
    "ram": KeyForm(SIZE.pattern, "64G", ("memory",)),
    "disk": KeyForm(SIZE.pattern, "200G"),
    "glibc": KeyForm(r"2\.[0-9]{1,3}", "2.39"),
    "python": KeyForm(
        r"3\.[0-9]{1,2}(?:\.[0-9]{1,3})?(?:\s*\+\s*3\.[0-9]{1,2}(?:\.[0-9]{1,3})?)*",
        "3.12+3.13",
        ("pythons",),
    ),
    "arch": KeyForm("|".join(ARCHITECTURES), "x86_64", ("architecture",)),
    "nvcc": KeyForm(VERSION, "12.9", ("cuda_toolkit",)),
    **dict.fromkeys(COMPILERS, VERSION_OF_TOOL),
    "compiler": KeyForm(
        rf"(?:{'|'.join(re.escape(name) for name in COMPILERS)})(?:[- ]{VERSION})?", "gcc-13"
    ),
    "wsl": KeyForm("[012]|no", "2"),
    "container": KeyForm(r"[a-z][a-z0-9-]*", "docker"),
    "distribution": KeyForm(
        r"[a-z][a-z_-]*(?:[ -]?[0-9][0-9.]*)?", "ubuntu-24.04", ("distro", "os")
    ),
}
"""The keys of a description."""


class StatedGpu(msgspec.Struct, frozen=True):
    """One GPU as it was stated; ``where`` is the word or path that stated it."""

    where: str
    name: str
    memory: str | None = None
    compute_capability: str | None = None
    mig: list[str] | None = None


class Stated(msgspec.Struct, frozen=True):
    """A whole description: the GPUs (None: nothing about them) and the text of every key."""

    gpus: list[StatedGpu] | None
    values: dict[str, str]


class Faults:
    """What is wrong with a description, collected so that it can be shown at once.

    ``without_gpu`` is said to whoever has a GPU of a kind that the facts never will know.
    """

    def __init__(self, without_gpu: str = "; the CPU path works with `cpu-only`") -> None:
        self.without_gpu = without_gpu
        self.lines: list[str] = []
        self.unknown_gpus = 0
        self.strangers = 0

    def add(self, where: str, what: str) -> None:
        """One more fault, at ``where``."""
        self.lines.append(f"`{where}`: {what}")

    def add_unknown_gpu(self, where: str, what: str, *, is_stranger: bool) -> None:
        """One more fault, which is a GPU that the facts do not know; a stranger never will be."""
        self.unknown_gpus += 1
        self.strangers += is_stranger
        self.add(where, what)

    @property
    def only_unknown_gpus(self) -> bool:
        """Whether unknown GPUs are all that is wrong."""
        return self.unknown_gpus == len(self.lines)


def host_of(stated: Stated, faults: Faults) -> Host:
    """The host that was stated. It only means something where ``faults`` stays empty."""
    values = well_formed(stated.values, faults)
    gpus = [gpu_of(gpu, values, faults) for gpu in stated.gpus or []]
    cpu = cpu_of(values, faults)
    wsl = values.get("wsl")
    host = Host(
        gpus=[msgspec.structs.replace(gpu, index=index) for index, gpu in enumerate(gpus)],
        driver=driver_of(values),
        cpu=cpu,
        architecture=architecture_of(values, cpu, stated.gpus or [], faults),
        glibc=values.get("glibc"),
        memory=Memory(size_in(values["ram"])) if "ram" in values else Memory(),
        disks=disks_of(values),
        system=System(
            distribution=distribution_of(values.get("distribution")),
            wsl=int(wsl) if wsl in {"1", "2"} else None,
        ),
        pythons=pythons_of(values.get("python")),
        compilers=compilers_of(values),
        cuda_toolkits=[Tool("nvcc", "", values["nvcc"])] if "nvcc" in values else [],
        containers=Containers(values.get("container")),
        described=True,
    )
    return msgspec.structs.replace(host, not_checked=unstated(host, stated, wsl_stated=bool(wsl)))


def well_formed(values: dict[str, str], faults: Faults) -> dict[str, str]:
    """The values that have the form of their key; a fault for every other."""
    good = {}
    for key, value in values.items():
        if re.fullmatch(KEYS[key].pattern, value, re.IGNORECASE | re.ASCII):
            good[key] = value
        else:
            faults.add(f"{key}={value}", f"write it like `{key}={KEYS[key].example}`")
    return good


def size_in(text: str) -> int | None:
    """Bytes of a size; None where it is none.

    ``64G``, ``64GB`` and ``64GiB`` are the same: memory is sold in powers of two.
    """
    match = SIZE.fullmatch(text.strip())
    return int(float(match[1]) * 2 ** POWERS[match[2].upper()]) if match else None


def gpu_of(stated: StatedGpu, values: dict[str, str], faults: Faults) -> Gpu:
    """One GPU, with what the facts say about its name."""
    memory = size_in(stated.memory) if stated.memory else None
    if stated.memory and memory is None:
        faults.add(stated.where, f"`{stated.memory}` is not a size; write it like `32G`")
    capability = stated.compute_capability
    if capability and not re.fullmatch(r"[0-9]{1,2}\.[0-9]", capability):
        faults.add(
            stated.where, f"`{capability}` is not a compute capability; write it like `12.0`"
        )
    fact = gpu_fact(stated.name, memory)
    unified = fact is not None and fact.unified_memory
    shared = size_in(values["ram"]) if unified and "ram" in values else None
    return Gpu(
        name=fact.name if fact else stated.name,
        compute_capability=capability or (fact.compute_capability if fact else None),
        memory_bytes=memory or shared or (memory_of(fact) if fact else None),
        unified_memory=unified,
        mig=None if stated.mig is None else [mig_of(stated, name, faults) for name in stated.mig],
    )


def memory_of(fact: GpuFact) -> int:
    """A product's memory in bytes. Makers count a GPU's own in powers of two, shared in tens."""
    return int(fact.memory_gb * (10**9 if fact.unified_memory else 2**30))


def mig_of(stated: StatedGpu, name: str, faults: Faults) -> MigInstance:
    """A MIG instance by its profile, whose name rounds its memory up: ``1g.10gb`` has 9.x GiB."""
    match = MIG_PROFILE.fullmatch(name)
    if match is None:
        faults.add(stated.where, f"`{name}` is not a MIG profile; write it like `mig-1g.10gb`")
        return MigInstance(name)
    return MigInstance(name, memory_bytes=int(match[1]) * 10**9)


def cpu_of(values: dict[str, str], faults: Faults) -> Cpu | None:
    """The processor: archspec's microarchitecture and the number of cores, as far as stated."""
    cores = int(values["cores"]) if "cores" in values else None
    if "cpu" not in values:
        return Cpu(None, cores=cores) if cores else None
    name = re.sub(r"[\s-]", "_", values["cpu"].lower())
    names = list(microarchitectures())
    if name not in names:
        near = " or ".join(f"`{known}`" for known in closest(name, names))
        hint = f"; did you mean {near}?" if near else "; x86_64_v3 and the like are known, too"
        faults.add(f"cpu={values['cpu']}", f"archspec knows no such microarchitecture{hint}")
        return None
    return described_cpu(name, cores)


def architecture_of(
    values: dict[str, str], cpu: Cpu | None, gpus: list[StatedGpu], faults: Faults
) -> str | None:
    """The architecture: stated, else the processor's, else the only one a GPU exists for."""
    stated = ARCHITECTURES[values["arch"].lower()] if "arch" in values else None
    family = microarchitectures()[cpu.name].family if cpu and cpu.name else None
    if stated and family and stated != family:
        faults.add(f"arch={values['arch']}", f"the processor `{values['cpu']}` is {family}")
    known = [fact for fact in (gpu_fact(gpu.name) for gpu in gpus) if fact]
    implied = next((fact.host_architecture for fact in known if fact.host_architecture), None)
    return stated or family or implied


def driver_of(values: dict[str, str]) -> Driver | None:
    """The driver, with the CUDA version that the facts give for its branch where none is stated."""
    version, cuda = values.get("driver"), values.get("cuda")
    if version is None and cuda is None:
        return None
    looked_up = facts.cuda_of_driver(version) if version and not cuda else None
    return Driver(
        version=version,
        cuda=cuda or looked_up,
        source="described",
        cuda_source="described" if cuda else "facts" if looked_up else None,
    )


def disks_of(values: dict[str, str]) -> list[Disk]:
    """The stated room, for both purposes: a description has one file system."""
    size = size_in(values["disk"]) if "disk" in values else None
    if size is None:
        return []
    return [Disk(purpose, "", size, writable=True) for purpose in ("data", "cache")]


def distribution_of(text: str | None) -> str | None:
    """``Ubuntu-24.04`` as ``ubuntu 24.04``."""
    if text is None:
        return None
    match = re.fullmatch(r"(.*?)[ -]?([0-9][0-9.]*)?", text.lower())
    return " ".join(part for part in match.groups() if part) if match else None


def pythons_of(text: str | None) -> list[Tool]:
    """The stated interpreters, which have no path."""
    versions = [version.strip() for version in text.split("+")] if text else []
    return [Tool(f"python{'.'.join(v.split('.')[:2])}", "", v) for v in dict.fromkeys(versions)]


def compilers_of(values: dict[str, str]) -> list[Tool]:
    """The stated compilers: ``gcc=13.2``, ``compiler=gcc-13``, ``compiler=gcc``."""
    tools = [Tool(name, "", values[name]) for name in COMPILERS if name in values]
    if "compiler" in values:
        name, _, version = values["compiler"].lower().replace(" ", "-").partition("-")
        tools.append(Tool(name, "", version or None))
    return tools


def unstated(host: Host, stated: Stated, *, wsl_stated: bool) -> list[NotChecked]:
    """A note for everything that the description leaves open."""
    driver, cpu = host.driver, host.cpu
    without_gpu = stated.gpus is not None and not stated.gpus
    is_open = {
        "gpus": stated.gpus is None,
        "driver": driver is None and not without_gpu,
        "driver.version": driver is not None and driver.version is None,
        "driver.cuda": driver is not None and driver.cuda is None,
        "cpu": cpu is None,
        "cpu.name": cpu is not None and cpu.name is None,
        "cpu.cores": cpu is not None and cpu.cores is None,
        "architecture": host.architecture is None,
        "glibc": host.glibc is None,
        "memory.total_bytes": host.memory.total_bytes is None,
        "memory.available_bytes": host.memory.available_bytes is None,
        "disks": not host.disks,
        "system.distribution": host.system.distribution is None,
        "system.wsl": not wsl_stated,
        "pythons": not host.pythons,
        "compilers": not host.compilers,
        "cuda_toolkits": not host.cuda_toolkits,
        "containers": True,
        "libraries": True,
    }
    memories = {f"gpus[{n}].memory_bytes": g.memory_bytes is None for n, g in enumerate(host.gpus)}
    return [NotChecked(what, NOT_STATED) for what, is_so in (is_open | memories).items() if is_so]
