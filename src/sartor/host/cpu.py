"""The processor: its microarchitecture by archspec, from captured text instead of this machine."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import msgspec

from sartor.host.machine import Unread
from sartor.host.model import Cpu, NotChecked
from sartor.host.reading import Reading

if TYPE_CHECKING:
    from sartor.host.machine import Machine

CPUINFO = "/proc/cpuinfo"
SMT = "/sys/devices/system/cpu/smt/active"
SIBLINGS = "/sys/devices/system/cpu/cpu0/topology/thread_siblings_list"
GENERIC = "generic"
ARM_PREFIX = "aarch64"


class Microarchitecture(msgspec.Struct, frozen=True):
    """One of archspec's microarchitectures, as plain values.

    ``features`` are its own and inherited ones; ``ancestors`` all it descends from; ``part`` the
    Arm part number (``0xd4f``), empty elsewhere; ``generic`` the best generic level among them.
    """

    name: str
    vendor: str
    family: str
    generic: str
    part: str
    features: frozenset[str]
    ancestors: frozenset[str]

    @property
    def depth(self) -> tuple[int, int]:
        """How special it is: archspec's own order among those that fit."""
        return len(self.ancestors), len(self.features)


@cache
def microarchitectures() -> dict[str, Microarchitecture]:
    """Every microarchitecture that archspec knows, by name."""
    from archspec.cpu import TARGETS

    return {
        name: Microarchitecture(
            name=name,
            vendor=target.vendor,
            family=str(target.family),
            generic=str(target.generic),
            part=target.cpu_part,
            features=frozenset(target.features),
            ancestors=frozenset(str(ancestor) for ancestor in target.ancestors),
        )
        for name, target in TARGETS.items()
    }


@cache
def arm_vendors() -> dict[str, str]:
    """The names of Arm implementers by the code in ``/proc/cpuinfo``."""
    from archspec.cpu.schema import TARGETS_JSON

    vendors: dict[str, str] = TARGETS_JSON["conversions"]["arm_vendors"]
    return vendors


class CpuInfo(msgspec.Struct, frozen=True):
    """What ``/proc/cpuinfo`` says, in archspec's words.

    ``part`` is empty where the machine mixes several kinds of core.
    """

    vendor: str
    features: frozenset[str]
    part: str
    model: str | None
    threads: int
    cores: int | None


def read_cpu(machine: Machine) -> Reading[Cpu | None]:
    """The processor of a machine; None with a note where ``/proc/cpuinfo`` cannot be read."""
    text = machine.read_text(CPUINFO)
    if isinstance(text, Unread):
        return Reading(None, [NotChecked("cpu", text.why)])
    family = machine.uname().machine
    info = parse_cpuinfo(text)
    cpu = describe_cpu(family, info)
    if cpu.cores is None and info.threads:
        cpu = msgspec.structs.replace(cpu, cores=cores_by_siblings(machine, info.threads))
    return Reading(cpu, notes_on(cpu))


def notes_on(cpu: Cpu) -> list[NotChecked]:
    """What ``/proc/cpuinfo`` does not say on this architecture."""
    missing = {
        "cpu.name": cpu.name,
        "cpu.model": cpu.model,
        "cpu.cores": cpu.cores,
        "cpu.threads": cpu.threads,
    }
    return [
        NotChecked(w, f"{CPUINFO} does not say it") for w, value in missing.items() if not value
    ]


def describe_cpu(family: str, info: CpuInfo) -> Cpu:
    """What was read as a `Cpu`, with the microarchitecture that fits best."""
    best = best_fit(family, info.vendor, info.features, info.part)
    return Cpu(
        name=best.name if best else None,
        features=sorted(info.features & names_of_features(family)),
        generic=best.generic if best else None,
        vendor=info.vendor or None,
        model=info.model,
        cores=info.cores,
        threads=info.threads or None,
    )


@cache
def names_of_features(family: str) -> frozenset[str]:
    """Every feature that archspec tells microarchitectures of a family apart by."""
    own = (known.features for known in microarchitectures().values() if known.family == family)
    return frozenset().union(*own)


def best_fit(
    family: str, vendor: str, features: frozenset[str], part: str = ""
) -> Microarchitecture | None:
    """The most special microarchitecture whose features are all there; None for an unknown family.

    The rules are archspec's: of the maker or generic; on Arm the part decides where it is known,
    and generic levels other than the first are not told by features; and what lacks the best
    generic level that fits is left out, so that one switched-off feature costs little.
    """
    fitting = [
        known
        for known in microarchitectures().values()
        if known.family == family
        and known.vendor in {vendor, GENERIC}
        and known.features <= features
        and not (family == ARM_PREFIX and known.vendor == GENERIC and known.ancestors)
    ]
    generic = max((f for f in fitting if f.vendor == GENERIC), key=lambda f: f.depth, default=None)
    if generic is None:
        return None
    same_part = [f for f in fitting if part and f.part == part]
    above = [f for f in same_part or fitting if generic.name in f.ancestors]
    return max(above, key=lambda f: f.depth, default=generic)


def parse_cpuinfo(text: str) -> CpuInfo:
    """``/proc/cpuinfo`` of x86-64 or aarch64; features are those that every core has."""
    blocks = [fields for block in text.split("\n\n") if "processor" in (fields := fields_of(block))]
    sets = [features_of(fields) for fields in blocks]
    common = frozenset.intersection(*sets) if sets else frozenset()
    first = blocks[0] if blocks else {}
    parts = {fields.get("CPU part", "") for fields in blocks}
    return CpuInfo(
        vendor=vendor_of(first),
        features=common | {"sse3"} if "ssse3" in common else common,
        part=parts.pop() if len(parts) == 1 else "",
        model=first.get("model name"),
        threads=len(blocks),
        cores=count_cores(blocks),
    )


def fields_of(block: str) -> dict[str, str]:
    """The ``key : value`` lines of one processor."""
    pairs = (line.partition(":") for line in block.splitlines())
    return {key.strip(): value.strip() for key, colon, value in pairs if colon}


def features_of(fields: dict[str, str]) -> frozenset[str]:
    """The flags of one processor: ``flags`` on x86, ``Features`` on Arm."""
    return frozenset((fields.get("flags") or fields.get("Features") or "").split())


def vendor_of(fields: dict[str, str]) -> str:
    """The maker in archspec's spelling."""
    if "vendor_id" in fields:
        return fields["vendor_id"]
    code = fields.get("CPU implementer", "")
    return arm_vendors().get(code, code) if code else ""


def count_cores(blocks: list[dict[str, str]]) -> int | None:
    """The physical cores, where every processor says which one it belongs to."""
    cores = {(fields.get("physical id"), fields.get("core id")) for fields in blocks}
    return len(cores) if cores and all(None not in core for core in cores) else None


def cores_by_siblings(machine: Machine, threads: int) -> int | None:
    """The physical cores, from how many threads share the first one; None where nothing says."""
    smt = machine.read_text(SMT)
    if isinstance(smt, str) and smt.strip() == "0":
        return threads
    siblings = machine.read_text(SIBLINGS)
    if isinstance(siblings, Unread):
        return None
    return max(1, threads // count_list(siblings.strip()))


def count_list(text: str) -> int:
    """How many numbers a kernel list such as ``0-3,8`` has; at least one."""
    total = 0
    for part in text.split(","):
        low, _, high = part.partition("-")
        if low.isdecimal():
            total += int(high) - int(low) + 1 if high.isdecimal() else 1
    return max(1, total)


def described_cpu(name: str, cores: int | None = None) -> Cpu:
    """The processor that archspec's ``name`` stands for; raises KeyError for an unknown name."""
    known = microarchitectures()[name]
    generic = known.vendor == GENERIC
    return Cpu(
        name=name,
        features=sorted(known.features),
        generic=known.generic,
        vendor=None if generic else known.vendor,
        cores=cores,
    )
