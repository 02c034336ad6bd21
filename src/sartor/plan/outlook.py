"""What else there is: other ways to a stack, what to change on the host, who serves which GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sartor.plan.code_rules import READ, declared_verdicts, served
from sartor.plan.outcome import Alternative, Remedy, Share
from sartor.plan.remedies import remedies
from sartor.plan.split import Served as ServedKind
from sartor.plan.split import split
from sartor.plan.tried import Tried, Wants
from sartor.plan.ways import ways
from sartor.plan.words import name_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sartor.host.model import Host
    from sartor.plan.known import Known
    from sartor.plan.model import Request
    from sartor.plan.stages import Judged
    from sartor.verdict.model import FeatureGrade

MOST_OF_A_LINE = 40
"""Releases of a line that are told of; those before them are older than any remedy is for."""


class Outlook(msgspec.Struct, frozen=True):
    """The parts of a plan that speak of what is not taken."""

    alternatives: list[Alternative] = []
    remedies: list[Remedy] = []
    shares: list[Share] = []


def outlook(
    judged: Sequence[Judged], chosen: Judged | None, host: Host, request: Request, known: Known
) -> Outlook:
    """The ways beside ``chosen``, cheapest first; remedies of the host; a share for each GPU.

    Where a stack stands, other releases and engines are no ways to it.
    """
    tried = [_tried(one) for one in _told(judged)]
    engines = list(dict.fromkeys(one.case.engine.name for one in judged)) if request.engines else []
    found = ways(host, engines, tried, known.listings, request.as_of, frozenset(request.allow))
    beside = chosen is not None and chosen.case.on_cuda
    if beside:
        found = [way for way in found if way.strategy == "ahead-of-time"]
    if chosen is not None and not host.gpus:
        found = []
    verdicts = [verdict for one in judged for verdict in _kinds(one)]
    name = name_of(chosen.tried) if chosen is not None and chosen.case.on_cuda else None
    return Outlook(found, remedies(host, tried), split(host, verdicts, name) if verdicts else [])


def _told(judged: Sequence[Judged]) -> Iterator[Judged]:
    """Those of a version, the newest of each line."""
    counts: dict[tuple[str, str], int] = {}
    for one in judged:
        line = (one.case.engine.name, one.case.line.id)
        counts[line] = counts.get(line, 0) + 1
        if one.case.offer.version and counts[line] <= MOST_OF_A_LINE:
            yield one


def _tried(one: Judged) -> Tried:
    case, candidate = one.case, one.case.candidate
    return Tried(
        engine=candidate.engine,
        version=candidate.version or "",
        line=candidate.line,
        strategy=candidate.strategy,
        decisions=one.decisions,
        torch=candidate.torch,
        cuda=candidate.cuda,
        wants=Wants(
            glibc=_glibc(one),
            driver_cuda=_driver_cuda(one),
            python=next((f.requires_python for f in case.offer.files if f.requires_python), None),
            disk_bytes=case.line.disk_mb * 1_000_000,
            libraries=case.line.libraries,
            compilers=[*case.line.compilers, *case.line.compilers_wanted],
            first_use=_first_use(one),
        ),
    )


def _glibc(one: Judged) -> str | None:
    """The least that the release's wheels ask for, where that is what stands against it."""
    from sartor.plan.tags import least_glibc

    return least_glibc(one.case.offer.files, one.case.machine)


def _driver_cuda(one: Judged) -> str | None:
    """The CUDA version of a driver that has all of its parts run."""
    from sartor.matrix.parts import newest_need

    parts = [part for kind in served(one.case) for _, held in kind.held for part in held]
    return newest_need(parts)


def _first_use(one: Judged) -> str | None:
    """What the driver compiles of it, in words."""
    names = [
        part.name
        for kind in served(one.case)
        for _, held in kind.held
        for part in held
        if part.verdict == "jit"
    ]
    return ", ".join(dict.fromkeys(names)) or None


def _kinds(one: Judged) -> Iterator[ServedKind]:
    """What a candidate does on each kind of GPU, as far as it was judged."""
    if one.stage in {"listed", "metadata"} or one.case.line.how == "source":
        return
    name, cuda = name_of(one.tried), one.case.cuda
    if one.case.line.declared is not None:
        for device, said in declared_verdicts(one.case):
            grade: FeatureGrade = "unknown" if said.verdict == "maybe" else said.verdict
            yield ServedKind(
                candidate=name,
                compute_capability=device.compute_capability or "",
                verdict=grade,
                because=f"declared: {said.because}",
                cuda=cuda,
            )
        return
    unread = None in one.case.code.values()
    for kind in served(one.case):
        grades = set(kind.grades.values())
        grade = "missing" if kind.bad else "unknown" if kind.unsure or unread else "native"
        if grade == "native" and "jit" in grades:
            grade = "jit"
        yield ServedKind(
            candidate=name,
            compute_capability=kind.target.compute_capability,
            verdict=grade,
            because=f"{kind.why()} ({READ})",
            cuda=cuda,
        )
