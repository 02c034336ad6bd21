"""The features of a resolution on each GPU, and whether what is essential has code there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.version import Version

from sartor import facts
from sartor.facts.versions import known_version, leaves_open
from sartor.matrix.parts import because, counted, newest_need, parts_of, together
from sartor.plan.decision import Accepted, Decision, Rejected, Unchecked
from sartor.plan.known import Parts
from sartor.plan.outcome import PlannedFeature
from sartor.verdict.case import TORCH, linked_majors
from sartor.verdict.feature import sentence

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from sartor.facts import CompressionFact
    from sartor.host.model import Host
    from sartor.matrix.model import Part
    from sartor.plan.closure_members import Member, Members
    from sartor.verdict.model import Target

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


def decisions(
    members: Members, parts: Judged, targets: Sequence[Target], essential: Collection[str]
) -> Iterator[Decision]:
    """Whether the packages that are ``essential`` have code for every GPU, and a driver for it.

    Of the others what they lack is in the features alone, unless they lack all of it: whether the
    engine does without them is not known.
    """
    if not targets:
        yield from _without_gpu(members, essential)
    for member in members.every:
        if member.name not in parts:
            if member.name in essential and member.is_unread and targets:
                why = "its wheel was not read"
                yield Unchecked(CODE, f"code of {member.titled} for the GPU", why)
            continue
        for target, found in zip(targets, parts[member.name].targets, strict=True):
            decision = _decided(member, target, found, is_essential=member.name in essential)
            if decision is not None:
                yield decision


def _decided(
    member: Member, target: Target, parts: Sequence[Part], *, is_essential: bool
) -> Decision | None:
    grade = together(parts)
    wanted = f"code of {member.titled} for {target.name or target.gpu} ({target.gpu})"
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
    members: Members, parts: Judged, targets: Sequence[Target], essential: Collection[str]
) -> Iterator[Decision]:
    """Whether the driver can decompress the device code of what is essential."""
    for row in facts.compressions():
        users = [m for m in members.named(essential) if _compressed(m, row.name)]
        if row.driver_min is None or not users:
            continue
        names = ", ".join(member.titled for member in users)
        wanted = f"driver {row.driver_min} or newer: {row.name} in {names}"
        for target in {target.driver: target for target in targets}.values():
            yield _decompressed(row, wanted, target, _missing(parts, users, targets, target))


def _compressed(member: Member, how: str) -> bool:
    libraries = member.evidence.libraries if member.evidence else []
    return any(image.compression == how for library in libraries for image in library.images)


def _missing(
    parts: Judged, users: Sequence[Member], targets: Sequence[Target], target: Target
) -> bool:
    """Whether the core of one of them is missing on a GPU."""
    place = targets.index(target)
    own = [parts[user.name].targets[place] for user in users if user.name in parts]
    return any(together(found) == "missing" for found in own)


def _decompressed(row: CompressionFact, wanted: str, target: Target, is_missing: bool) -> Decision:
    rule, evidence = "compression", f"{READ}; {row.source}"
    have, least = known_version(target.driver), Version(str(row.driver_min))
    if have is None or leaves_open(have, least):
        why = f"of the driver's version {target.driver or 'nothing'} is known"
        return Unchecked(rule, wanted, why)
    if have >= least:
        return Accepted(rule, wanted, f"driver {target.driver}", evidence)
    if is_missing:
        hint = f"a driver of version {row.driver_min} or newer would unlock it"
        return Rejected(rule, wanted, f"driver {target.driver}", evidence, hint)
    why = f"driver {target.driver}: what is compressed so is lost, and not all of the core is"
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
