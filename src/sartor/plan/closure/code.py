"""The features of a resolution on each GPU, and whether what is essential has code there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from packaging.version import Version

from sartor import facts
from sartor.facts.versions import known_version, leaves_open
from sartor.matrix.parts import because, counted, newest_need, parts_of, together
from sartor.plan.decision import Accepted, Decision, Rejected, Unchecked
from sartor.plan.known import Parts
from sartor.plan.outcome import PlannedFeature, Share
from sartor.verdict.case import TORCH, linked_majors
from sartor.verdict.feature import sentence
from sartor.verdict.model import Target

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from sartor.facts import CompressionFact
    from sartor.host.model import Host
    from sartor.matrix.model import Part
    from sartor.plan.closure.members import Member, Members

    Judged = Mapping[str, Parts]
    """Parts by the package's name."""

CODE = "device-code"
DRIVER = "driver"
READ = "read from the machine code"
LOST = {"missing", "partial", "unknown"}
MOST_NAMED = 6


def judged(
    members: Members, targets: Sequence[Target], known: Mapping[str, Parts]
) -> dict[str, Parts]:
    """The parts of every wheel that was read; ``known`` are those that are there, by sha256.

    What is there is taken only where it is for as many targets: the question named them.
    """
    found: dict[str, Parts] = {}
    for member in members.read:
        parts = known.get(member.locked.file.sha256 or "")
        if parts is not None and len(parts.targets) == len(targets):
            found[member.name] = parts
        elif member.evidence is not None and targets:
            are_features, own = parts_of(member.evidence, targets)
            found[member.name] = Parts("features" if are_features else "libraries", own, "")
    return found


def features(parts: Judged, targets: Sequence[Target]) -> list[PlannedFeature]:
    """Every part of every package on every GPU."""
    return [
        PlannedFeature(
            package=package,
            name=part.name,
            gpu=target.gpu,
            verdict=part.verdict,
            because=sentence(part.reasons),
            core=part.core,
            needs_driver_cuda=part.needs_driver_cuda,
        )
        for package, own in parts.items()
        for target, found in zip(targets, own.targets, strict=True)
        for part in found
    ]


class GpuCode(msgspec.Struct, frozen=True):
    """What is said of the packages' code on one kind of GPU.

    ``essential`` are the decisions about essential packages, ``others`` those about the rest.
    """

    target: Target
    essential: list[Decision]
    others: list[Decision]

    @property
    def is_served(self) -> bool:
        """Whether every essential package is accepted, and there is one."""
        return bool(self.essential) and all(isinstance(d, Accepted) for d in self.essential)


def by_gpu(
    members: Members, parts: Judged, targets: Sequence[Target], essential: Collection[str]
) -> list[GpuCode]:
    """What is decided about each kind of GPU, one decision for each package with device code.

    Of a package that is not essential what it lacks is in the features alone, unless it lacks all
    of it: whether the engine does without is not known.
    """
    found = []
    for place, target in enumerate(targets):
        core: list[Decision] = []
        others: list[Decision] = []
        for member in members.every:
            own = parts.get(member.name)
            needed = member.name in essential
            if own is not None:
                decision = _decided(member, target, own.targets[place], is_essential=needed)
                (core if needed else others).extend([decision] if decision else [])
            elif needed and member.is_unread:
                wanted = f"code of {member.titled} for {_called(target)}"
                core.append(Unchecked(CODE, wanted, "its wheel was not read"))
        found.append(GpuCode(target, core, others))
    return found


def decisions(
    members: Members, gpus: Sequence[GpuCode], essential: Collection[str]
) -> Iterator[Decision]:
    """Every decision; where one kind of GPU is served, another that is not rules nothing out."""
    if not gpus:
        yield from _without_gpu(members, essential)
    served = [_called(gpu.target) for gpu in gpus if gpu.is_served]
    for gpu in gpus:
        for decision in gpu.essential:
            if served and isinstance(decision, Rejected):
                found = f"not served: {decision.found}; {', '.join(served)} is"
                wanted = f"{decision.wanted}, or another GPU that is served"
                yield Accepted(decision.rule, wanted, found, decision.evidence)
            else:
                yield decision
        yield from gpu.others


def shares(gpus: Sequence[GpuCode]) -> list[Share]:
    """Each kind of GPU, and whether all that is essential is there for it."""
    return [
        Share(
            gpus=[gpu.target.name or gpu.target.gpu],
            compute_capability=gpu.target.compute_capability,
            served=gpu.is_served,
            because="; ".join(map(_because, gpu.essential)) or "no essential package was judged",
        )
        for gpu in gpus
    ]


def _because(decision: Decision) -> str:
    match decision:
        case Unchecked(wanted=wanted, why=why):
            return f"not checked: {wanted}: {why}"
        case _:
            return f"{decision.wanted}: {decision.found}"


def _called(target: Target) -> str:
    return f"{target.name or target.gpu} ({target.gpu})"


def _decided(
    member: Member, target: Target, parts: Sequence[Part], *, is_essential: bool
) -> Decision | None:
    grade = together(parts)
    wanted = f"code of {member.titled} for {_called(target)}"
    core = [part for part in parts if part.core] or list(parts)
    if grade == "no-device-code":
        return None
    if grade in {"native", "jit", "partial", "not-applicable"}:
        return Accepted(CODE, wanted, _found(parts), READ) if is_essential else None
    why = because(grade, parts)
    if grade == "unknown":
        return Unchecked(CODE, wanted, why)
    if not is_essential:
        why = f"it holds none: {why}; whether the engine does without it is not known"
        return Unchecked(CODE, wanted, why)
    return _by_driver(member, target, core) or Rejected(CODE, wanted, why, READ)


def _found(parts: Sequence[Part]) -> str:
    """``24 native, 1 missing (FlashAttention 2)``."""
    lost = [part.name for part in parts if part.verdict in LOST]
    names = ", ".join(lost[:MOST_NAMED])
    more = f" and {len(lost) - MOST_NAMED} more" if len(lost) > MOST_NAMED else ""
    return f"{counted(parts)} ({names}{more})" if lost else counted(parts)


def _by_driver(member: Member, target: Target, core: Sequence[Part]) -> Rejected | None:
    """The rejection where a newer driver alone is wanting; None where code is."""
    missing = [part for part in core if part.verdict == "missing"]
    need, have = newest_need(missing), known_version(target.driver_cuda)
    if need is None or have is None or have >= Version(need):
        return None
    since = next((p.needs_driver for p in missing if p.needs_driver_cuda == need), None)
    branch = f" (driver branch {since} or newer)" if since else ""
    found = f"driver {target.driver or 'of CUDA'} supports CUDA {target.driver_cuda}"
    hint = f"a driver of branch {since} or newer would unlock it" if since else None
    wanted = f"a driver of CUDA {need}{branch} for {member.titled}"
    why = next((reason.why for part in missing for reason in part.reasons), "")
    return Rejected(DRIVER, wanted, f"{found}: {why}", READ, hint)


def compression_decisions(
    members: Members, gpus: Sequence[GpuCode], essential: Collection[str]
) -> Iterator[Decision]:
    """Whether the driver can decompress the device code of what is essential."""
    for row in facts.compressions():
        users = [m for m in members.named(essential) if _compressed(m, row.name)]
        if row.driver_min is None or not users:
            continue
        names = ", ".join(member.titled for member in users)
        wanted = f"driver {row.driver_min} or newer: {row.name} in {names}"
        for driver in dict.fromkeys(gpu.target.driver for gpu in gpus):
            is_lost = not any(gpu.is_served for gpu in gpus)
            yield _decompressed(row, wanted, driver, is_lost=is_lost)


def _compressed(member: Member, how: str) -> bool:
    libraries = member.evidence.libraries if member.evidence else []
    return any(image.compression == how for library in libraries for image in library.images)


def _decompressed(
    row: CompressionFact, wanted: str, driver: str | None, *, is_lost: bool
) -> Decision:
    rule, evidence = "compression", f"{READ}; {row.source}"
    have, least = known_version(driver), Version(str(row.driver_min))
    if have is None or leaves_open(have, least):
        return Unchecked(rule, wanted, f"of the driver's version {driver or 'nothing'} is known")
    if have >= least:
        return Accepted(rule, wanted, f"driver {driver}", evidence)
    if is_lost:
        hint = f"a driver of version {row.driver_min} or newer would unlock it"
        return Rejected(rule, wanted, f"driver {driver}", evidence, hint)
    why = f"driver {driver}: what is compressed so is lost, and not all of the core is"
    return Unchecked(rule, wanted, why)


def _without_gpu(members: Members, essential: Collection[str]) -> Iterator[Decision]:
    """No GPU was asked about: an engine's build for CUDA wants one; PyTorch's runs on the CPU."""
    host = members.case.host
    for member in members.named(essential):
        libraries = member.evidence.libraries if member.evidence else []
        if member.name == TORCH or not any(lib.units or linked_majors(lib) for lib in libraries):
            continue
        wanted = f"an NVIDIA GPU: {member.titled} is a build for CUDA"
        why = _why_no_gpu(host)
        if why is None:
            yield Rejected("gpu", wanted, "none", "the host; its machine code")
        else:
            yield Unchecked("gpu", wanted, why)


def _why_no_gpu(host: Host | None) -> str | None:
    """Why it is not known which GPU there is; None where there is none."""
    if host is None:
        return "the host is not known"
    if host.gpus:
        return "the GPU's compute capability is not known"
    return next((note.why for note in host.not_checked if note.what == "gpus"), None)
