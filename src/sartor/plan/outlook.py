"""What else there is: other ways to a stack, what to change on the host, who serves which GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sartor.engines.facts import engines
from sartor.plan.outcome import Alternative, Cost, Remedy, Share
from sartor.plan.remedies.collect import remedies
from sartor.plan.rules.code import READ, declared_verdicts, served
from sartor.plan.split import Served as ServedKind
from sartor.plan.split import split
from sartor.plan.tried import Tried, Wants
from sartor.plan.ways.collect import ways
from sartor.plan.words import name_of, reason

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
    if chosen is None:
        found = [*found, *built_here(judged), *_on_the_cpu(judged, host, request)]
    verdicts = [verdict for one in judged for verdict in _kinds(one)]
    name = name_of(chosen.tried) if chosen is not None and chosen.case.on_cuda else None
    changes = [*remedies(host, tried), *_another_python(judged if chosen is None else ())]
    return Outlook(found, changes, split(host, verdicts, name) if verdicts else [])


def may_be_built(one: Judged) -> bool:
    """Whether the resolver refused a release of which a part was published as source alone."""
    refused = [r for r in one.tried.rejections if r.rule == "resolution"]
    only = {r.rule for r in one.tried.rejections} == {"resolution"}
    allowed = "source" in one.case.request.allow
    lacking = any(name in r.found for r in refused for name in one.case.line.sdists)
    return only and lacking and not allowed


def built_here(judged: Sequence[Judged]) -> Iterator[Alternative]:
    """What would stand if something were compiled here, which nobody allowed."""
    for one in judged:
        case, rules = one.case, {r.rule for r in one.tried.rejections}
        compiled = case.line.how == "source" and rules == {"asked-for"}
        if not compiled and not may_be_built(one):
            continue
        what = case.candidate.label if compiled else f"{', '.join(case.line.sdists)} from source"
        own = f"sartor up --engine {case.engine.name} --build {case.line.id}"
        name = f"{case.engine.name}=={case.offer.version}"
        yield Alternative(
            strategy="source",
            what=what,
            because=reason(one.tried.rejections[0]).splitlines()[0],
            cost=Cost(
                disk_bytes=case.line.disk_mb * 1_000_000, trust="own build", because=case.declared
            ),
            commands=[own if compiled else f"sartor plan {name} --allow source"],
            needs="source",
        )


def _another_python(judged: Sequence[Judged]) -> Iterator[Remedy]:
    """Another Python, where the resolver lacks wheels for this one."""
    lacking = [
        one
        for one in judged
        if {r.rule for r in one.tried.rejections} == {"resolution"}
        and any("no usable wheels" in r.found for r in one.tried.rejections)
    ]
    usual = {one.case.engine.usual_python for one in lacking}
    used = {one.case.machine.python for one in lacking}
    for python in sorted(usual - used):
        yield Remedy(
            kind="python",
            what=f"Python {python}",
            unlocks=[name_of(one.tried) for one in lacking],
            because=f"what they require has no wheel for Python {', '.join(sorted(used))}",
            commands=[f"uv python install {python}"],
            evidence="the resolver's words",
        )


def _on_the_cpu(judged: Sequence[Judged], host: Host, request: Request) -> Iterator[Alternative]:
    """Engines that run without a GPU, for a machine that has none and asked for others."""
    if host.gpus or not request.engines:
        return
    asked = {one.case.engine.name for one in judged}
    for engine in engines():
        able = [line for line in engine.line if line.accelerator == "cpu"]
        if able and engine.name not in asked:
            yield Alternative(
                strategy="engine",
                what=f"{engine.name} in place of {' and '.join(sorted(asked)) or 'it'}",
                because=f"it runs on the CPU: {able[0].source} ({able[0].checked_on})",
                cost=Cost(trust="third-party", because="facts of its builds"),
                commands=[f"sartor plan {engine.name}"],
            )


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
    from sartor.plan.offers.tags import least_glibc

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
