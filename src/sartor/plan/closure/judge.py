"""A resolution judged on a host: its features, what is compiled, and which rules it breaks.

A pure function: the evidences of the wheels that were read before are laid out as an installer
would, and the rules that judge an environment speak of it. What was not read is named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sartor.facts.run import essential_to
from sartor.plan.closure import code, torch
from sartor.plan.closure.compiles import by_compilers, by_driver, environment
from sartor.plan.closure.cuda import built_with
from sartor.plan.closure.libraries import (
    glibc_decisions,
    library_decisions,
    package_decisions,
    system_packages,
)
from sartor.plan.closure.members import Member, Members, Place, members_of, weakest
from sartor.plan.closure.rules import cuda_decisions, found, rule_decisions
from sartor.plan.decision import Accepted, Decision, Unchecked
from sartor.plan.outcome import Compile, PlannedFeature, Share, Sizes, SystemPackage
from sartor.verdict.model import Finding

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from sartor.artifact.model import Evidence, Package
    from sartor.host.model import Host
    from sartor.plan.known import Machine, Parts, Resolution
    from sartor.verdict.model import Target


class Closure(msgspec.Struct, frozen=True, kw_only=True):
    """What a resolution is on a host.

    ``decisions``: a `Rejected` rules it out. ``findings`` are what `sartor inspect` would say of
    the environment, PyTorch's symbols aside. ``shares``: which kinds of GPU are served; one that is
    not rules nothing out where another is. ``grades``: the weakest grade of evidence that what is
    said of each aspect rests on. ``cuda``: the version that each package was built with.
    """

    decisions: list[Decision]
    findings: list[Finding]
    shares: list[Share]
    features: list[PlannedFeature]
    first_use_compiles: list[Compile]
    sizes: Sizes
    system_packages: list[SystemPackage]
    env: dict[str, str]
    grades: dict[str, str]
    cuda: dict[str, str | None]
    not_checked: list[str]


def closure(  # noqa: PLR0913, PLR0917 - each is an answer of its own
    resolution: Resolution,
    evidence: Mapping[str, Evidence | None],
    metadata: Mapping[str, Package | None],
    host: Host,
    machine: Machine,
    targets: Sequence[Target],
    roots: Sequence[str],
    *,
    parts: Mapping[str, Parts] | None = None,
    left_out: Collection[str] = (),
) -> Closure:
    """Judge ``resolution`` for ``host``, whose GPUs and driver are ``targets``.

    ``evidence`` is by sha256, ``metadata`` by normalised name (for what has no evidence), and so
    are ``roots``, what was asked for. ``parts`` are those that were judged already, by sha256, for
    these targets in their order: nothing is judged twice. ``left_out``: projects that were left out
    on purpose, whose absence is no fault.
    """
    members = members_of(resolution, evidence, metadata, Place(host, machine, targets), left_out)
    judged = code.judged(members, targets, parts or {})
    essential = essential_to(frozenset(roots))
    gpus = code.by_gpu(members, judged, targets, essential)
    findings, unsettled = found(members)
    needed = system_packages(members.case)
    cuda = built_with(members.every)
    return Closure(
        decisions=[
            *code.decisions(members, gpus, essential),
            *code.compression_decisions(members, gpus, essential),
            *rule_decisions(members, findings, essential),
            *cuda_decisions(members, cuda, findings),
            *torch.torch_decisions(members),
            *glibc_decisions(members, essential),
            *library_decisions(members, needed, essential),
            *package_decisions(members, essential),
            *_evidence(members),
        ],
        findings=findings,
        shares=code.shares(gpus),
        features=code.features(judged, targets),
        first_use_compiles=[*by_driver(members, judged, targets), *by_compilers(members)],
        sizes=sizes(members.every),
        system_packages=needed,
        env=environment(members),
        grades=_grades(members, essential),
        cuda=cuda,
        not_checked=[*_not_read(members), *unsettled],
    )


def sizes(members: Sequence[Member]) -> Sizes:
    """What is to be fetched. What it takes when installed is said by no index and no evidence."""
    stated = [m.locked.file.size or (m.evidence.size if m.evidence else None) for m in members]
    known = [size for size in stated if size is not None]
    unknown = len(stated) - len(known)
    return Sizes(download_bytes=sum(known), files=len(stated), files_of_unknown_size=unknown)


def _evidence(members: Members) -> Iterator[Decision]:
    """Whether the wheels that may hold machine code were read."""
    wanted = "the machine code of every wheel that may hold any"
    unread = [member.titled for member in members.unread]
    if unread:
        yield Unchecked("evidence", wanted, f"not read: {', '.join(unread)}")
    else:
        read = f"{len(members.read)} wheels read"
        yield Accepted("evidence", wanted, read, "read from the machine code; declared by tags")


def _not_read(members: Members) -> Iterator[str]:
    """What nobody read, package by package; those without machine code by their tags together."""
    for member in members.unread:
        yield f"{member.titled}: its wheel was not read ({member.locked.file.name})"
    plain = [m.titled for m in members.every if m.by_tag and m.evidence is None]
    if plain:
        yield f"{len(plain)} packages hold no machine code by their tag: {', '.join(plain)}"
    for note in members.case.evidence.not_read:
        yield f"{note.path}: {note.why}"
    for library in members.case.libraries:
        yield from (f"{note.path}: {note.why}" for note in library.not_read)


def _grades(members: Members, essential: Collection[str]) -> dict[str, str]:
    """The weakest grade that each aspect rests on."""
    core = weakest(m for m in members.named(essential) if not m.by_tag)
    every = weakest(m for m in members.every if not m.by_tag)
    return {
        "features": core,
        "cuda": core,
        "libraries": every,
        "requirements": weakest(members.every),
        "sizes": "declared",
    }
