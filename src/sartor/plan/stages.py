"""How far a case is judged with what is known, and what must be asked to judge it further.

The order is that of cost: lists of files, metadata of wheels, what was read of their machine code,
one consistent set by the resolver, and what that set will be on the host.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec
from packaging.requirements import Requirement

from sartor.facts.packages import normalized
from sartor.plan.case import Case
from sartor.plan.known import (
    IndexPin,
    ListingQuestion,
    MetadataQuestion,
    PartsQuestion,
    Resolution,
    ResolveQuestion,
    Unread,
    Unsolvable,
    Wanted,
)
from sartor.plan.memory import fit
from sartor.plan.model import Accepted, Decision, Fit, Rejected, Tried, Unchecked
from sartor.plan.offers.companions import (
    EXACT,
    companion_questions,
    companions,
    metadata_question,
    required,
    with_metadata,
)
from sartor.plan.offers.tags import alike
from sartor.plan.rules.code import CODE_RULES, METADATA_RULES
from sartor.plan.rules.gpu import HOST_RULES, driver
from sartor.plan.rules.host import BUILT, LISTED
from sartor.plan.rules.model import MODEL_RULES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sartor.artifact.model import Package
    from sartor.plan.case import Rule
    from sartor.plan.closure.judge import Closure  # noqa: TC004 - it is heavy, and `Judged` is not read
    from sartor.plan.known import Known, Parts

Stage = Literal["listed", "metadata", "code", "resolution", "whole"]


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """A case as far as it is judged. ``wanted``: what is lacking to go on (None: nothing)."""

    case: Case
    decisions: list[Decision]
    stage: Stage = "listed"
    wanted: Wanted | None = None
    fit: Fit = Fit(0)
    resolution: Resolution | None = None
    closure: Closure | None = None

    @property
    def rejected(self) -> bool:
        """Whether a rule stands against it."""
        return any(isinstance(d, Rejected) for d in self.decisions)

    @property
    def tried(self) -> Tried:
        """It, as the trace has it."""
        return Tried(self.case.candidate, self.decisions)


def listed(case: Case) -> Judged:
    """The rules that need no more than lists and the host."""
    return Judged(case=case, decisions=_decide(case, (*LISTED, *HOST_RULES)))


def _decide(case: Case, rules: Sequence[Rule]) -> list[Decision]:
    return [d for d in (rule(case) for rule in rules) if d is not None]


def metadata(judged: Judged, known: Known) -> Judged:
    """The rules about what a release declares."""
    case = judged.case
    if case.line.how == "source":
        return _with(judged, case, [driver], "metadata")
    file = case.offer.file
    if file is None:
        return msgspec.structs.replace(judged, stage="metadata")
    question = MetadataQuestion(case.offer.index, file)
    if question not in known.metadata:
        return _waits(judged, Wanted(metadata=(question,)))
    case = _read(case, known.metadata[question])
    lists = tuple(q for q in companion_questions(case) if q not in known.listings)
    if lists:
        return _waits(judged, Wanted(listings=lists))
    found = companions(case, known)
    asked = {name: q for name, one in found.items() if (q := metadata_question(one))}
    lacking_metadata = tuple(q for q in asked.values() if q not in known.metadata)
    if lacking_metadata:
        return _waits(judged, Wanted(metadata=lacking_metadata))
    answers = {name: known.metadata[q] for name, q in asked.items()}
    found = {n: with_metadata(one, answers.get(n), case.machine) for n, one in found.items()}
    case = msgspec.structs.replace(case, companions=found)
    return _with(judged, case, [*METADATA_RULES, driver], "metadata")


def _read(case: Case, answer: Package | Unread) -> Case:
    if isinstance(answer, Unread):
        return msgspec.structs.replace(case, unread=answer.why)
    return msgspec.structs.replace(case, package=answer)


def code(judged: Judged, known: Known) -> Judged:
    """The rules about machine code, and whether the model has room there."""
    case = judged.case
    questions = _parts_questions(case)
    lacking = tuple(q for q in questions.values() if q not in known.parts)
    if lacking:
        return _waits(judged, Wanted(parts=lacking))
    found = {name: known.parts[q] for name, q in questions.items()}
    found |= dict.fromkeys(_unhashed(case), None)
    others = {name: _others(case, name) for name, parts in found.items() if parts is None}
    lacking = tuple(q for each in others.values() for q in each if q not in known.parts)
    if lacking:
        return _waits(judged, Wanted(parts=lacking))
    read_of = {}
    for name, each in others.items():
        one = next((q for q in each if known.parts[q] is not None), None)
        if one is not None:
            found[name], read_of[name] = known.parts[one], each[one]
    case = msgspec.structs.replace(case, code=found, read_of=read_of)
    after = _with(judged, case, [*CODE_RULES], "code")
    after = _with(after, case, MODEL_RULES, "code")
    place, memory = fit(case, explain=not after.rejected)
    extra = [memory] if memory is not None else []
    return msgspec.structs.replace(after, decisions=[*after.decisions, *extra], fit=place)


def _deciding(case: Case) -> dict[str, str | None]:
    """The sha256 of each wheel whose machine code decides, by project."""
    if not case.on_cuda or not case.targets or case.line.how != "wheel":
        return {}
    found: dict[str, str | None] = {}
    for name in case.line.device_code:
        if name == case.line.distribution and case.offer.file is not None:
            found[name] = case.offer.file.sha256
        elif (one := case.companions.get(name)) is not None and one.file is not None:
            found[name] = one.file.sha256
    return found


def _parts_questions(case: Case) -> dict[str, PartsQuestion]:
    return {n: PartsQuestion(s, case.targets) for n, s in _deciding(case).items() if s}


def _others(case: Case, name: str) -> dict[PartsQuestion, str]:
    """The same release for other Pythons: what was read of that is the same machine code."""
    if name == case.line.distribution:
        files = alike(case.offer.files, case.offer.file) if case.offer.file else []
    else:
        files = list(case.companions[name].alike) if name in case.companions else []
    return {PartsQuestion(f.sha256, case.targets): f.name for f in files if f.sha256}


def _unhashed(case: Case) -> list[str]:
    return [name for name, sha256 in _deciding(case).items() if not sha256]


def requirements_of(case: Case) -> list[str]:
    """What is required for a release, by name and version."""
    line, offer, torch = case.line, case.offer, case.torch
    if line.requirement is not None:
        return [line.requirement]
    extra = line.extra_for(offer.version or "")
    root = f"{line.distribution}{f'[{extra}]' if extra else ''}=={offer.version}"
    named = line.torch_local or offer.torch_index
    local = [f"torch=={torch.version}"] if named and torch and torch.version else []
    return [root, *local]


def sdists_of(case: Case) -> list[str]:
    """Exact requirements of a release that may have to be built, where that is allowed."""
    if case.package is None:
        return []
    extra = case.line.extra_for(case.offer.version or "")
    needed = required(case.package, case.machine, extra)
    return [
        f"{one.name}{one.bounds}"
        for one in needed
        if one.name in case.line.sdists and EXACT.search(one.bounds)
    ]


def resolve_question(case: Case, roots: Sequence[str], known: Known) -> ResolveQuestion:
    """One consistent set for a release and what else was asked for."""
    line = case.line
    pins = [IndexPin(line.index, (line.distribution,))] if line.index != "default" else []
    for pin in line.pins:
        asked = [known.listings.get(ListingQuestion(pin.index, p)) for p in pin.projects]
        if all(one is not None and one.state == "reached" and one.files for one in asked):
            pins.append(IndexPin(pin.index, tuple(pin.projects)))
    if (row := case.offer.torch_index) is not None:
        pins.append(IndexPin(row.id, tuple(row.projects)))
    built = sdists_of(case) if "source" in case.request.allow else []
    return ResolveQuestion(
        requirements=(*requirements_of(case), *built, *roots),
        from_source=tuple(Requirement(text).name for text in built),
        may_build=bool(built),
        machine=case.machine,
        as_of=case.request.as_of,
        indexes=tuple(pins),
        leave_out=tuple(line.leave_out),
        prereleases="nightly" in case.request.allow,
    )


def resolution(judged: Judged, roots: Sequence[str], known: Known) -> Judged:
    """What the resolver says of it. A source package's is resolved once its wheel is there."""
    case = judged.case
    if case.built is not None:
        found = f"{len(case.built.packages)} packages, as they were installed"
        said: Decision = Accepted("resolution", "one consistent set of packages", found, BUILT)
        return _further(judged, [said], stage="whole")
    if case.line.how == "source":
        why = "its requirements are resolved once its wheel is compiled"
        said = Unchecked("resolution", "one consistent set of packages", why)
        return _further(judged, [said], stage="whole")
    question = resolve_question(case, roots, known)
    if question not in known.resolutions:
        return _waits(judged, Wanted(resolutions=(question,)))
    answer = known.resolutions[question]
    wanted = f"one consistent set for {' and '.join(question.requirements)}"
    if isinstance(answer, Unsolvable):
        said = Rejected("resolution", wanted, answer.why, "the resolver (uv), on these indexes")
        return _further(judged, [said], stage="whole")
    if isinstance(answer, Unread):
        found = f"not resolved: {answer.why}"
        said = Rejected("resolution", wanted, found, "the resolver (uv)")
        return _further(judged, [said], stage="whole")
    found = f"{len(answer.packages)} packages"
    said = Accepted("resolution", wanted, found, "the resolver (uv), on these indexes")
    after = _further(judged, [said, *_built(question)], stage="resolution")
    return msgspec.structs.replace(after, resolution=answer)


def _built(question: ResolveQuestion) -> list[Decision]:
    """What is compiled where it is installed: nobody can have read it."""
    wanted = "machine code that was read"
    why = "it is built from its source package where it is installed"
    return [Unchecked("device-code", f"{wanted} of {n}", why) for n in question.from_source]


def whole(judged: Judged, roots: Sequence[str], known: Known) -> Judged:
    """What the resolved set will be on the host."""
    from sartor.plan.closure.judge import closure

    found = judged.resolution
    if found is None:
        return msgspec.structs.replace(judged, stage="whole")
    hashes = [p.file.sha256 for p in found.packages if p.file.sha256]
    lacking = tuple(h for h in hashes if h not in known.evidence)
    if lacking:
        return _waits(judged, Wanted(evidence=lacking))
    case = judged.case
    named = [case.package, *(one.package for one in case.companions.values())]
    judgement = closure(
        found,
        {h: known.evidence[h] for h in hashes},
        {package.name: package for package in named if package is not None},
        case.host,
        case.machine,
        case.targets,
        [case.line.distribution, *(normalized(Requirement(root).name) for root in roots)],
        parts=_parts(judged),
        left_out=case.line.leave_out,
    )
    after = _further(judged, judgement.decisions, stage="whole")
    return msgspec.structs.replace(after, closure=judgement)


def _parts(judged: Judged) -> dict[str, Parts]:
    """What was judged already of the wheels, by sha256."""
    hashes = _deciding(judged.case)
    return {
        sha256: parts
        for name, parts in judged.case.code.items()
        if parts is not None and (sha256 := hashes.get(name)) is not None
    }


def _waits(judged: Judged, wanted: Wanted) -> Judged:
    return msgspec.structs.replace(judged, wanted=wanted)


def _with(judged: Judged, case: Case, rules: Sequence[Rule], stage: Stage) -> Judged:
    decisions = [*judged.decisions, *_decide(case, rules)]
    return msgspec.structs.replace(judged, case=case, decisions=decisions, stage=stage, wanted=None)


def _further(judged: Judged, decisions: Sequence[Decision], stage: Stage) -> Judged:
    return msgspec.structs.replace(
        judged, decisions=[*judged.decisions, *decisions], stage=stage, wanted=None
    )
