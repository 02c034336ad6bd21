"""The end of planning: from judged candidates to a `Plan`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace
from packaging.requirements import Requirement

from sartor import facts
from sartor.engines.facts import engine
from sartor.errors import IndexRefusedError
from sartor.host.summary import summary
from sartor.plan.known import (
    DEFAULT,
    ListingQuestion,
    ResolveQuestion,
    Unread,
    Unsolvable,
    Wanted,
)
from sartor.plan.memory import trained_context
from sartor.plan.model import (
    Accepted,
    IndexReport,
    Plan,
    Rejected,
    Tried,
)
from sartor.plan.native import defects
from sartor.plan.offers.releases import by_version
from sartor.plan.outcome import Found
from sartor.plan.outlook import may_be_built, outlook
from sartor.plan.planned import Planned
from sartor.plan.ranking import is_unread, is_unsure
from sartor.plan.rules.code import served
from sartor.plan.stack import stack_of
from sartor.plan.stages import Judged, resolve_question
from sartor.plan.words import name_of, reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sartor.errors import ErrorDocument
    from sartor.host.model import Host
    from sartor.models.model import Model
    from sartor.plan.known import Known, Listing
    from sartor.plan.model import Request, Status
    from sartor.plan.outcome import Alternative


def conclude(
    judged: Sequence[Judged],
    roots: tuple[str, ...],
    host: Host,
    model: Model | None,
    request: Request,
    known: Known,
) -> Planned | Wanted:
    """The plan of what stands; without anything that does, the conflicts are wanted first."""
    chosen = chosen_of(judged)
    conflicts = _conflicts(judged, roots, known) if chosen is None else Found([], complete=True)
    if isinstance(conflicts, Wanted):
        return conflicts
    rest = [_behind(j, chosen) for j in judged if j is not chosen]
    base = Plan(
        host=summary(host),
        request=request,
        status="impossible",
        because=_no_release(judged, request, known),
        model=model.reference if model else None,
        rejected=rest,
        conflict_sets=[one.premises for one in conflicts.conflicts],
        conflicts=conflicts.conflicts,
        all_conflicts=conflicts.complete,
        not_checked=[f"conflicts: {why}" for why in conflicts.not_looked_at],
        indexes=index_reports(known),
        facts=facts.digest(),
    )
    beside = outlook(judged, chosen, host, request, known)
    base = replace(
        base,
        alternatives=beside.alternatives,
        remedies=beside.remedies,
        shares=beside.shares,
    )
    if chosen is None:
        status = _status_without_stack(judged, beside.alternatives)
        return Planned(replace(base, status=status), error=_met(known))
    closure = chosen.closure
    planned = replace(
        base,
        status="ready",
        stack=stack_of(chosen, roots),
        chosen=chosen.tried,
        because=_because(chosen),
        warnings=_warnings(chosen, rest),
        grades=_grades(chosen),
        features=closure.features if closure else [],
        first_use_compiles=closure.first_use_compiles if closure else [],
        sizes=closure.sizes if closure else None,
        fit=chosen.fit,
        next=_next(chosen),
        not_checked=[
            *(f"{d.rule}: {d.why}" for d in chosen.tried.unchecked),
            *(closure.not_checked if closure else []),
            *unsaid(model),
        ],
    )
    return Planned(planned, chosen.resolution, _met(known), chosen.case.built is not None)


SOURCE_HELPS = {
    "abi",
    "cuda-major",
    "device-code",
    "glibc",
    "platform-tag",
    "ptx",
    "python",
    "torch-pin",
}
"""What stands against a wheel and not against a build of the same release."""


def _status_without_stack(judged: Sequence[Judged], ways: Sequence[Alternative]) -> Status:
    """Whether a build from source is a way out."""
    by_source = any(way.strategy == "source" for way in ways) and _source_is_the_way(judged)
    return "needs-source" if by_source else "impossible"


def _source_is_the_way(judged: Sequence[Judged]) -> bool:
    """Whether code for the machine is what is lacking: of no release was it found."""
    if any(may_be_built(one) for one in judged):
        return True
    found = (d for one in judged for d in one.decisions if one.case.on_cuda)
    if any(isinstance(d, Accepted) and d.rule == "device-code" for d in found):
        return False
    return any(_source_helps(one) for one in judged)


def _source_helps(judged: Judged) -> bool:
    """Whether a build of it would stand, on a GPU where there is one."""
    case = judged.case
    rules = {r.rule for r in judged.tried.rejections} - {"objective"}
    if case.on_cuda != bool(case.host.gpus):
        return False
    if case.line.how == "source":
        return rules == {"asked-for"}
    return bool(rules) and rules <= SOURCE_HELPS


def chosen_of(judged: Sequence[Judged]) -> Judged | None:
    """The candidate that stands as a whole."""
    return next((j for j in judged if j.stage == "whole" and not j.rejected), None)


def _conflicts(judged: Sequence[Judged], roots: tuple[str, ...], known: Known) -> Found | Wanted:
    """The minimal conflicts of the first candidate that the resolver refused.

    Only of what was asked for by name: of the newest of many the resolver's own words are enough.
    """
    if not any(_is_named(one.case.request) for one in judged[:1]):
        return Found([], complete=True)
    refused = (
        question
        for one in judged
        if one.stage == "whole" and one.case.line.how == "wheel"
        if isinstance(known.resolutions.get(question := _question(one, roots, known)), Unsolvable)
    )
    first = next(refused, None)
    if first is None:
        return Found([], complete=True)
    answer = known.conflicts.get(first)
    return Wanted(conflicts=(first,)) if answer is None else answer


def _is_named(request: Request) -> bool:
    """Whether more is asked for than an engine of any version."""
    return bool(request.pins) or len(request.engines) > 1 or any("=" in e for e in request.engines)


def _question(one: Judged, roots: tuple[str, ...], known: Known) -> ResolveQuestion:
    return resolve_question(one.case, roots, known)


def _behind(one: Judged, chosen: Judged | None) -> Tried:
    """A candidate that was not taken; where no rule stands against it, the objective does."""
    if is_unread(one) and (chosen is None or not chosen.case.on_cuda):
        return Tried(one.case.candidate, [*one.decisions, _unread(one)])
    if one.rejected or chosen is None:
        return one.tried
    objective = chosen.case.request.objective
    how = HOW_FAR[one.stage] if not is_unsure(one) else "its machine code was never read"
    found = f"{how}; {chosen.case.candidate.label} ranks before it"
    last = Rejected("objective", objective, found, "the order of candidates")
    return Tried(one.case.candidate, [*one.decisions, last])


def _unread(one: Judged) -> Rejected:
    """Nobody read its machine code: that nothing is known against it does not make it run."""
    names = [name for name, parts in one.case.code.items() if parts is None]
    hint = f"`{one.case.engine.name}=={one.case.offer.version}` by name takes it all the same"
    why = "it was never read"
    return Rejected("evidence", f"the machine code of {', '.join(names)}", why, "the store", hint)


def unsaid(model: Model | None) -> list[str]:
    """What the model's file does not say, and what happens then."""
    if model is None or model.chat_template is not False:
        return []
    return ["chat-template: no chat template in the file; the engine's default is used"]


def index_reports(known: Known) -> list[IndexReport]:
    """Each index that was asked, once; *not reached* counts before *reached*."""
    found: dict[str, IndexReport] = {}
    for listing in known.listings.values():
        before = found.get(listing.index)
        if before is None or before.state == "reached":
            found[listing.index] = IndexReport(listing.index, listing.state, listing.why)
    return list(found.values())


def _grades(chosen: Judged) -> dict[str, str]:
    """What the plan's word rests on, by aspect."""
    if chosen.closure is not None:
        return chosen.closure.grades
    return {"packages": "declared"}


def _met(known: Known) -> ErrorDocument | None:
    """The first error that was met at the user's own index, or by the resolver."""
    own = [one for one in known.listings.values() if one.index == DEFAULT]
    if own and all(one.state == "reached" and not one.files for one in own):
        return _of_another_kind(own)
    of_index = (one.error for one in own)
    answers = (one for one in known.resolutions.values() if isinstance(one, Unread))
    met = [*of_index, *(one.error for one in answers)]
    return next((error for error in met if error is not None), None)


def _next(chosen: Judged) -> list[str]:
    """The commands that follow."""
    case, request = chosen.case, chosen.case.request
    model = f" --model {case.model.reference}" if case.model else ""
    engine = f"{case.engine.name}=={case.offer.version}"
    if case.line.how == "source":
        engine = f"{case.engine.name} --build {case.line.id}"
    commands = [f"sartor lock {engine}{model}"] if case.line.how == "wheel" else []
    if case.line.launcher and len(request.engines) <= 1 and not request.pins:
        commands.append(f"sartor up --engine {engine}{model}")
    return commands


def _no_release(judged: Sequence[Judged], request: Request, known: Known) -> list[str]:
    """Which releases there are of engines of which none is what was asked for."""
    found = []
    for text in request.engines[:1] if not judged else ():
        line = engine(Requirement(text).name).line[:1]
        listing = (
            known.listings.get(ListingQuestion(DEFAULT, line[0].distribution)) if line else None
        )
        if listing is None or not listing.files:
            found.append(f"no release of {text} is known")
            continue
        releases = by_version(listing.files, listing.project, request.as_of)
        newest = ", ".join(str(v) for v in sorted(releases, reverse=True)[:SHOWN_PROJECTS])
        when = f" by {request.as_of[:10]}" if request.as_of else ""
        found.append(f"no release is {text}; the newest{when} are {newest or 'none'}")
    return found


def _of_another_kind(own: Sequence[Listing]) -> ErrorDocument:
    """The user's index answers, and has nothing of what is asked for: 404 for each."""
    names = ", ".join(f"`{one.project}`" for one in own[:SHOWN_PROJECTS])
    return IndexRefusedError(
        f"the package index has none of the projects that were asked for (404): {names}",
        hint="check the address of the index in your pip or uv configuration (UV_DEFAULT_INDEX)",
    ).document()


SHOWN_PROJECTS = 4
HOW_FAR = {
    "listed": "it is published, and was judged no further",
    "metadata": "nothing it declares stands against it, and it was judged no further",
    "code": "it has code for the GPUs, and was judged no further",
    "resolution": "it is a consistent set, and was judged no further",
    "whole": "no rule stands against it",
}
SHOWN = {"asked-for", "model-format", "cpu-isa", "device-code", "driver", "memory", "torch-pin"}


def _because(chosen: Judged) -> list[str]:
    case = chosen.case
    told = [d for d in chosen.decisions if isinstance(d, Accepted)]
    reasons = [f"{case.engine.name}: {case.candidate.label}"]
    reasons += [
        f"{d.rule}: wanted {d.wanted}; found {d.found}"
        for d in told
        if d.rule in SHOWN or "supplied" in d.found
    ]
    if not case.on_cuda and not (case.host.gpus or case.host.undriven_gpus):
        known = "stated" if case.host.described else "found"
        reasons.append(f"no NVIDIA GPU is {known}, so the engine runs on the CPU")
    return reasons


def _warnings(chosen: Judged, rest: Sequence[Tried]) -> list[str]:
    """What a person should hear even though the plan stands: above all, a GPU left idle."""
    case, warnings = chosen.case, []
    if not case.on_cuda and (case.host.gpus or case.host.undriven_gpus):
        names = [g.name for g in case.host.gpus] + [
            g.name or g.device_id for g in case.host.undriven_gpus
        ]
        warnings.append(f"the GPU is not used ({', '.join(names)}); the engine runs on the CPU")
        warnings += first_reasons(rest)
    elif case.on_cuda:
        warnings += [
            f"{gpu.name or gpu.device_id} at {gpu.pci_address} is not used: {gpu.why}"
            for gpu in case.host.undriven_gpus
        ]
    warnings += _lost(chosen)
    if case.line.how == "source":
        warnings += [
            f"compiled without {', '.join(row.features)}: {row.compiler} {version} gets them wrong "
            f"({row.symptom})"
            for row, version in defects(case)
        ]
    trained = trained_context(case)
    if case.request.context and trained and case.request.context > trained:
        warnings.append(
            f"the context is {chosen.fit.context} tokens: the model was trained for no more"
        )
    if case.line.provenance != "maker":
        warnings.append(f"{case.line.distribution} is a third party's build")
    return warnings


def _lost(chosen: Judged) -> list[str]:
    """The features that the stack lacks on a GPU which it serves."""
    found = []
    for one in served(chosen.case):
        names = [f"{part.name} ({part.verdict})" for _, part in one.lost]
        if one.runs and names:
            gpu = one.target.name or one.target.gpu
            found.append(f"not all of it runs on {gpu}: {', '.join(names)}")
        elif not one.runs:
            found.append(f"{one.target.name or one.target.gpu} is not served: {one.why()}")
    return found


def first_reasons(rest: Sequence[Tried]) -> list[str]:
    """One line for each line of an engine on GPUs: why its newest release was not taken."""
    found: dict[tuple[str, str], str] = {}
    for tried in rest:
        key = (tried.candidate.engine, tried.candidate.line)
        against = [r for r in tried.rejections if r.rule not in {"objective", "asked-for"}]
        if key not in found and against:
            found[key] = f"{name_of(tried)}: {reason(against[0])}"
    return list(found.values())
