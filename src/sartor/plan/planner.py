"""From host, facts and request to a `Plan`. Pure: nothing here touches the world."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sartor import facts
from sartor.engines.facts import engine as engine_facts
from sartor.engines.facts import engines
from sartor.errors import (
    CompilerMissingError,
    DiskFullError,
    ModelTooLargeError,
    NothingFitsError,
    SartorError,
    SystemLibraryMissingError,
    UsageError,
    did_you_mean,
)
from sartor.host.summary import summary
from sartor.plan.case import Case
from sartor.plan.gpu_rules import compute_capability
from sartor.plan.memory import fit, trained_context
from sartor.plan.model import (
    Accepted,
    Candidate,
    Decision,
    Fit,
    IndexUse,
    Plan,
    Rejected,
    Request,
    Unchecked,
    environment_key,
)
from sartor.plan.native import defects
from sartor.plan.rules import RULES
from sartor.plan.stack import index_use, stack_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from sartor.host.model import Host
    from sartor.models.model import Model


class Judged(msgspec.Struct, frozen=True):
    """A case with everything that was decided about it."""

    case: Case
    candidate: Candidate
    fit: Fit


def normalise(request: Request) -> Request:
    """The request with the engine's canonical name and a build that exists.

    Raises `UnknownEngineError`, or `UsageError` for a build that nobody offers.
    """
    if request.engine:
        request = msgspec.structs.replace(request, engine=engine_facts(request.engine).name)
    known = {"published", "native"} | {b.id for e in engines() for b in e.build}
    if request.build and request.build not in known:
        raise UsageError(
            f"`{request.build}` is not a build that Sartor knows",
            found=[f"builds: {', '.join(sorted(known))}"],
            hint=did_you_mean(request.build, known),
        )
    return request


def plan(
    host: Host,
    request: Request,
    model: Model | None = None,
    indexes: dict[str, IndexUse] | None = None,
    built: Collection[str] = (),
) -> Plan:
    """The stack for ``host``, why it, and what was decided about every other candidate.

    ``model`` is None for the demo model. ``indexes`` are the makers' own indexes that were asked,
    ``built`` the keys (see `environment_key`) of the environments that are there. Raises the error
    of the rule that stood in the way where no candidate is left.
    """
    request = normalise(request)
    judged = [judge(case) for case in _cases(host, request, model, indexes or {}, built)]
    judged.sort(key=lambda j: _rank(j.case))
    fitting = [j for j in judged if not j.candidate.rejections]
    if not fitting:
        raise why_nothing_fits(judged, request)
    chosen = fitting[0]
    return Plan(
        host=summary(host),
        model=model.reference if model else None,
        stack=stack_of(chosen.case, chosen.fit),
        fit=chosen.fit,
        because=_because(chosen),
        warnings=_warnings(chosen, judged),
        candidates=[j.candidate for j in judged],
        not_checked=[f"{d.rule}: {d.why}" for d in chosen.candidate.unchecked] + unsaid(model),
    )


def unsaid(model: Model | None) -> list[str]:
    """What the model's file does not say, and what happens then."""
    if model is None or model.chat_template is not False:
        return []
    return ["chat-template: no chat template in the file; the engine's default is used"]


def judge(case: Case) -> Judged:
    """Put one candidate before every rule, and the model into its memory."""
    decisions: list[Decision] = [d for d in (rule(case) for rule in RULES) if d is not None]
    rejected = any(isinstance(decision, Rejected) for decision in decisions)
    place, memory = fit(case, explain=not rejected)
    if memory is not None:
        decisions.append(memory)
    candidate = Candidate(case.engine.name, case.build.id, case.build.label, decisions)
    return Judged(case, candidate, place)


def _cases(
    host: Host,
    request: Request,
    model: Model | None,
    indexes: dict[str, IndexUse],
    built: Collection[str],
) -> list[Case]:
    cases = [Case(host, e, b, model, request, indexes) for e in engines() for b in e.build]
    return (
        [msgspec.structs.replace(c, built=_is_built(c, built)) for c in cases] if built else cases
    )


def _is_built(case: Case, built: Collection[str]) -> bool:
    """Whether the very environment is there that the candidate would get: its whole stack."""
    place, _ = fit(case)
    return environment_key(stack_of(case, place)) in built


def indexes_to_ask(
    host: Host, request: Request, model: Model | None, built: Collection[str] = ()
) -> list[IndexUse]:
    """The makers' own indexes that stand between a candidate and being chosen.

    Candidates that rank behind one that fits without such an index are left alone.
    """
    request = normalise(request)
    rows = {row.id: row for row in facts.indexes()}
    wanted: dict[str, IndexUse] = {}
    for case in sorted(_cases(host, request, model, {}, built), key=_rank):
        if judge(case).candidate.rejections:
            continue
        if case.built:
            break
        wanted |= {i: index_use(case.build, rows[i]) for i in case.build.indexes}
        if case.build.index_optional or not case.build.indexes:
            break
    return list(wanted.values())


def _rank(case: Case) -> tuple[bool, int, bool, int]:
    """On a GPU first, then by the engine's rank there, then in the order of the facts.

    Of one engine's builds, those that are declared for a GPU come before those that may run on it.
    """
    position = case.engine.build.index(case.build)
    accelerator = case.build.accelerator
    is_unsure = isinstance(compute_capability(case), Unchecked)
    return (accelerator != "cuda", case.engine.rank[accelerator], is_unsure, position)


def _because(chosen: Judged) -> list[str]:
    case = chosen.case
    reasons = [f"{case.engine.name}: {case.build.label}"]
    shown = {"asked-for", "model-format", "cpu-isa", "compute-capability", "driver", "memory"}
    told = [d for d in chosen.candidate.decisions if isinstance(d, Accepted)]
    reasons += [
        f"{d.rule}: wanted {d.wanted}; found {d.found}"
        for d in told
        if d.rule in shown or "supplied" in d.found
    ]
    if case.build.accelerator == "cpu" and not (case.host.gpus or case.host.undriven_gpus):
        known = "stated" if case.host.described else "found"
        reasons.append(f"no NVIDIA GPU is {known}, so the engine runs on the CPU")
    return reasons


def _warnings(chosen: Judged, judged: list[Judged]) -> list[str]:
    """What a person should hear even though the plan stands: above all, a GPU left idle."""
    case, warnings = chosen.case, []
    if case.build.accelerator == "cpu" and (case.host.gpus or case.host.undriven_gpus):
        names = [g.name for g in case.host.gpus] + [
            g.name or g.device_id for g in case.host.undriven_gpus
        ]
        warnings.append(f"the GPU is not used ({', '.join(names)}); the engine runs on the CPU")
        rivals = [j for j in judged if j.case.build.accelerator == "cuda"]
        warnings += [f"{_label(j)}: {_first_reason(j)}" for j in rivals]
    elif case.build.accelerator == "cuda":
        warnings += [
            f"{gpu.name or gpu.device_id} at {gpu.pci_address} is not used: {gpu.why}"
            for gpu in case.host.undriven_gpus
        ]
    if case.build.how == "source":
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
    return warnings


def _label(judged: Judged) -> str:
    return f"{judged.case.engine.name} ({judged.case.build.id})"


def _first_reason(judged: Judged) -> str:
    rejection = judged.candidate.rejections[0]
    hint = f" ({rejection.hint})" if rejection.hint else ""
    return f"{rejection.rule}: wanted {rejection.wanted}; found {rejection.found}{hint}"


_OWN_ERRORS: dict[str, type[SartorError]] = {
    "memory": ModelTooLargeError,
    "compiler": CompilerMissingError,
    "system-libraries": SystemLibraryMissingError,
    "disk": DiskFullError,
}


def why_nothing_fits(judged: list[Judged], request: Request) -> SartorError:
    """The error for a request that no candidate meets: the nearest misses first.

    Candidates that the user ruled out by name are not listed; where one rule alone stands between
    the best candidate and a plan, the error is that rule's own.
    """
    asked = [j for j in judged if not _ruled_out_by_request(j)]
    nearest = sorted(asked or judged, key=_distance)
    best = nearest[0].candidate.rejections
    found = [f"{_label(j)}: {_first_reason(j)}" for j in nearest]
    kind = _OWN_ERRORS.get(best[0].rule, NothingFitsError) if len(best) == 1 else NothingFitsError
    what = f"{request.engine or 'an engine'}" + (f" ({request.build})" if request.build else "")
    messages = {
        ModelTooLargeError: f"the model does not fit: it needs {best[0].wanted} at least, "
        f"and there is {best[0].found}",
        CompilerMissingError: f"building from source needs {best[0].wanted}: {best[0].found}",
        SystemLibraryMissingError: f"{what} needs system libraries: {best[0].found}",
        DiskFullError: f"there is no room for {what}: it needs {best[0].wanted}, "
        f"and there are {best[0].found}",
    }
    message = messages.get(kind, f"no build of {what} fits this host")
    hints = [r.hint for r in best if r.hint]
    return kind(message, found=found, hint=hints[0] if hints else None)


def _distance(judged: Judged) -> tuple[bool, int]:
    """How far a candidate is from being taken: one that wants another machine is farthest."""
    rejections = judged.candidate.rejections
    return any(r.rule in {"gpu", "architecture"} for r in rejections), len(rejections)


def _ruled_out_by_request(judged: Judged) -> bool:
    rules = {r.rule for r in judged.candidate.rejections}
    return "asked-for" in rules or "model-format" in rules
