"""From what was asked (names, compute capabilities, hosts, a driver) to the GPUs of a verdict."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from sartor import facts
from sartor.errors import HostDescriptionError, UnknownGpuError, UsageError
from sartor.host.describe import gpus_in_word, parse_host, unknown_gpu
from sartor.host.model import Driver, Host
from sartor.host.stated import KEYS, Faults, gpu_of
from sartor.verdict.model import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sartor.errors import SartorError
    from sartor.host.model import Gpu

NAME_HINT = (
    "write the name as `nvidia-smi -L` prints it, or give the compute capability: `--sm 12.0`"
)
HOW_TO_ASK = (
    "for example `--gpu rtx-5090 --driver 575.57`, or `--sm 12.0`, or `--host 'h200, driver=580'`"
)
CAPABILITY = re.compile(r"(?:(?:sm|compute)_?)?([0-9]{1,2})\.?([0-9])([a-z]?)", re.IGNORECASE)
SM = re.compile(r"sm_?[0-9]{2,3}[a-z]?", re.IGNORECASE)
CUDA_VERSION = re.compile(r"(?:cuda[ =-]?)?([0-9]{1,2}\.[0-9]{1,2})", re.IGNORECASE)


class Ways(msgspec.Struct, frozen=True):
    """How a command's GPUs are named, for whoever did it in another way: its own options alone."""

    name: str = NAME_HINT
    example: str = HOW_TO_ASK


INSPECT = Ways()


class Asked(msgspec.Struct, frozen=True):
    """The words of `sartor inspect` that say which GPUs a verdict is for."""

    gpus: list[str] = []
    sms: list[str] = []
    hosts: list[str] = []
    driver: str | None = None

    @property
    def names_a_gpu(self) -> bool:
        """Whether any GPU was asked for; if not, those of this machine are meant."""
        return bool(self.gpus or self.sms or self.hosts)


class Meant(msgspec.Struct, frozen=True):
    """The GPUs that were asked for, and the host that has them, where a single one has them all."""

    gpus: list[Target]
    host: Host | None = None


def resolve(
    asked: Asked,
    this_machine: Callable[[], Host],
    read_host: Callable[[str], Host] = parse_host,
    ways: Ways = INSPECT,
) -> Meant:
    """The GPUs that were asked for, in the order of ``--gpu``, ``--sm``, ``--host``; none twice.

    Where none was, those of ``this_machine``, with the driver that was asked for or its own; where
    it has none, no GPU. Raises one error with every fault: `UnknownGpuError` where unknown names
    are the only ones, `HostDescriptionError` where a description alone is at fault, `UsageError`
    else.
    """
    faults = Faults(without_gpu="")
    driver = driver_stated(asked.driver, faults)
    found = [t for word in asked.gpus for t in named(word, driver, faults)]
    found += [t for word in asked.sms for t in by_capability(word, driver, faults)]
    hosts, errors = described(asked, read_host, faults)
    raise_faults(faults, errors, ways)
    if not asked.names_a_gpu:
        host = this_machine()
        hosts = [msgspec.structs.replace(host, driver=driver or host.driver)]
    alone = hosts[0] if len(hosts) == 1 and not found else None
    return Meant(folded([*found, *(t for host in hosts for t in targets_of(host))]), alone)


def described(
    asked: Asked, read_host: Callable[[str], Host], faults: Faults
) -> tuple[list[Host], list[SartorError]]:
    """The hosts of ``--host``, with the driver of ``--driver``, and what is wrong with the others.

    One without any GPU of known compute capability is a fault.
    """
    hosts: list[Host] = []
    errors: list[SartorError] = []
    for text in asked.hosts:
        try:
            host = with_driver(read_host(text), asked.driver, faults, text)
        except (HostDescriptionError, UnknownGpuError) as error:
            errors.append(error)
            continue
        hosts.append(host)
        if not targets_of(host):
            faults.add(text, "no GPU in it whose compute capability is known")
    return hosts, errors


def targets_of(host: Host) -> list[Target]:
    """One target for each kind of GPU of a host, without those of unknown compute capability."""
    found = [target_of(gpu, host.driver) for gpu in host.gpus if gpu.compute_capability]
    counts = Counter(found)
    return [msgspec.structs.replace(target, count=n) for target, n in counts.items()]


def target_of(gpu: Gpu, driver: Driver | None) -> Target:
    """One GPU of a host. Its compute capability must be known."""
    capability = gpu.compute_capability or ""
    version = driver.version if driver else None
    cuda = driver.cuda if driver else None
    return Target(architecture(capability), capability, gpu.name, version, cuda)


def architecture(capability: str) -> str:
    """``12.0`` as ``sm_120``."""
    return f"sm_{capability.replace('.', '')}"


def folded(targets: Iterable[Target]) -> list[Target]:
    """The targets in their order, none twice; of two that differ in number, the larger."""
    most: dict[Target, int] = {}
    for target in targets:
        one = msgspec.structs.replace(target, count=1)
        most[one] = max(target.count, most.get(one, 0))
    return [msgspec.structs.replace(target, count=n) for target, n in most.items()]


# --- one word --------------------------------------------------------------------------------


def named(word: str, driver: Driver | None, faults: Faults) -> list[Target]:
    """The GPU with this name, written as in the description of a host, or as ``sm_120``."""
    if SM.fullmatch(word.strip()):
        return by_capability(word, driver, faults, "--gpu")
    stated = gpus_in_word(word.strip(), faults)
    if not stated:
        return []
    target = target_of(gpu_of(stated[0], {}, faults), driver)
    return [msgspec.structs.replace(target, count=len(stated))]


def by_capability(
    word: str, driver: Driver | None, faults: Faults, option: str = "--sm"
) -> list[Target]:
    """The GPU of this compute capability: ``12.0``, ``120`` or ``sm_120``.

    Code has suffixes and GPUs have none: ``sm_120a`` is a fault. So is ``12``, which would be the
    compute capability 1.2.
    """
    match = CAPABILITY.fullmatch(word.strip())
    if match is None:
        faults.add(f"{option} {word}", "not a compute capability; write it like `12.0`")
        return []
    capability = f"{match[1]}.{match[2]}"
    known = {row.compute_capability for row in facts.archs()}
    meant = f"{word.strip()}.0"
    if match[3]:
        is_gpu = option == "--gpu"
        one = architecture(capability) if is_gpu else capability
        what = f"code has suffixes, a GPU has none: `{option} {one}` is the GPU"
    elif capability not in known and meant in known:
        what = f"that would be {capability}; did you mean `{meant}`?"
    else:
        version, cuda = (driver.version, driver.cuda) if driver else (None, None)
        return [Target(architecture(capability), capability, None, version, cuda)]
    faults.add(f"{option} {word}", what)
    return []


def driver_stated(version: str | None, faults: Faults) -> Driver | None:
    """The driver of ``--driver``, with the CUDA version of its branch."""
    if version is None:
        return None
    if not re.fullmatch(KEYS["driver"].pattern, version, re.ASCII):
        faults.add(f"--driver {version}", f"not a driver's version{driver_of_cuda(version)}")
        return None
    return Driver(version, facts.cuda_of_driver(version), "described", "facts")


def driver_of_cuda(text: str) -> str:
    """What to write for a CUDA version that was given as a driver's; an example for the rest."""
    match = CUDA_VERSION.fullmatch(text)
    if match:
        branch = facts.branch_for_cuda(match[1])
        if branch:
            return f", but CUDA's: drivers support {match[1]} from `--driver {branch}` on"
    return f"; write it like `{KEYS['driver'].example}`, as `nvidia-smi` prints it"


def with_driver(host: Host, version: str | None, faults: Faults, where: str) -> Host:
    """The host with the driver of ``--driver``; a fault where it states another."""
    driver, own = driver_stated(version, Faults()), host.driver
    if version is None or driver is None:
        return host
    if own is not None and own.version is not None:
        if f"{own.version}.".startswith(f"{version}."):
            return host
        faults.add(where, f"states the driver {own.version}, and `--driver` says {version}")
    elif own is not None and own.cuda not in {None, driver.cuda}:
        faults.add(
            where, f"states CUDA {own.cuda}, and `--driver` {version} supports {driver.cuda}"
        )
    return msgspec.structs.replace(host, driver=driver)


def raise_faults(faults: Faults, described: list[SartorError], ways: Ways) -> None:
    """One error with all that was found, or none."""
    if not faults.lines and len(described) == 1:
        raise described[0]
    if faults.lines and not described and faults.only_unknown_gpus:
        raise unknown_gpu(faults, ways.name, ways.name)
    lines = [*faults.lines, *(line for error in described for line in error.found)]
    if not lines:
        return
    hints = [ways.name] if faults.unknown_gpus else []
    hints += [error.hint for error in described if error.hint]
    message = "the GPUs to judge for are not well stated"
    if not faults.lines and len({type(error) for error in described}) == 1:
        raise type(described[0])(message, found=lines, hint=hints[0] if hints else None)
    raise UsageError(message, found=lines, hint=hints[0] if hints else ways.example)
