"""From host, request and what is known to a `Plan`, or to what must be known first. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet

from sartor.engines.facts import EngineFacts, engines
from sartor.engines.facts import engine as engine_facts
from sartor.errors import UsageError, did_you_mean
from sartor.plan.case import Case, Offer
from sartor.plan.conclusion import Planned, conclude
from sartor.plan.known import Known, ListingQuestion, Wanted
from sartor.plan.machine import machines
from sartor.plan.offers import offers, question
from sartor.plan.ranking import is_unsure, newest_first, ordered
from sartor.plan.stages import Judged, code, listed, metadata, resolution, whole
from sartor.verdict.targets import targets_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sartor.host.model import Host
    from sartor.models.model import Model
    from sartor.plan.model import Request, Stack
    from sartor.verdict.model import Target

STAGES = (("listed", metadata, 12), ("metadata", code, 4))
"""From which stage which comes next, and how many candidates are asked about together: metadata is
far and small, what was read of machine code is here and takes time to judge."""
ALL_AT_ONCE = 200


class Asked(msgspec.Struct, frozen=True):
    """An engine that was asked for, and its versions; ``text`` is what was typed."""

    engine: EngineFacts
    versions: str
    text: str


class Built(msgspec.Struct, frozen=True):
    """An environment that is there: of which release, for which Python (``3.12``)."""

    engine: str
    line: str
    version: str
    python: str


EMPTY: Mapping[Built, Stack] = {}


def asked_engines(request: Request) -> list[Asked]:
    """The engines of the request; raises `UnknownEngineError` or `UsageError`."""
    return [_asked(text) for text in request.engines]


def _asked(text: str) -> Asked:
    try:
        parsed = Requirement(text)
        name, versions = parsed.name, str(parsed.specifier)
    except InvalidRequirement:
        if any(c in text for c in "=<>!~;@[ "):
            raise UsageError(
                f"`{text}` is not an engine, nor an engine with its versions",
                hint="the form is `vllm`, or `vllm==0.32.0`",
            ) from None
        name, versions = text, ""
    return Asked(engine_facts(name), versions, text)


def checked(request: Request) -> Request:
    """The request, if it holds together; raises `UnknownEngineError` or `UsageError`."""
    asked_engines(request)
    known = {"published", "native"} | {line.id for e in engines() for line in e.line}
    if request.build and request.build not in known:
        raise UsageError(
            f"`{request.build}` is not a build that Sartor knows",
            found=[f"builds: {', '.join(sorted(known))}"],
            hint=did_you_mean(request.build, known),
        )
    for pin in request.pins:
        try:
            Requirement(pin)
        except InvalidRequirement as error:
            raise UsageError(
                f"`--pin {pin}` is not a requirement", hint="the form is `torch==2.11.0`"
            ) from error
    return request


def plan(
    host: Host,
    request: Request,
    model: Model | None,
    known: Known,
    built: Mapping[Built, Stack] = EMPTY,
) -> Planned | Wanted:
    """The stack for ``host``, why it, and why not each other; or what must be known first.

    ``model`` is None for the demo model. ``built`` are the environments that are there, which are
    taken before others of the same engine. Call it again with the answers to what it wants; it
    ends, as each call wants only what no earlier call did.
    """
    request = checked(request)
    asked = asked_engines(request)
    meant = asked[:1] or [Asked(e, "", e.name) for e in engines()]
    wanted = tuple(q for q in _lists(meant) if q not in known.listings)
    if wanted:
        return Wanted(listings=wanted)
    cases = _cases(host, request, model, meant, known, built)
    planning = _Planning(known, _roots(asked, request), request)
    return planning.run([listed(case) for case in newest_first(cases)], host, model)


def _lists(meant: Sequence[Asked]) -> list[ListingQuestion]:
    """The lists of files that are looked at in any case; all are asked for together."""
    lines = [line for asked in meant for line in asked.engine.line]
    found = [q for line in lines if (q := question(line)) is not None]
    if any(line.device_code for line in lines):
        found.append(ListingQuestion("default", "torch"))
    return list(dict.fromkeys(found))


def _roots(asked: Sequence[Asked], request: Request) -> tuple[str, ...]:
    """What stands in the environment beside the first engine: other engines, and pins."""
    others = [_root(one) for one in asked[1:]]
    return (*others, *request.pins)


def _root(asked: Asked) -> str:
    """An engine beside another as a requirement: its first line for GPUs."""
    lines = [line for line in asked.engine.line if line.how == "wheel"]
    first = next((line for line in lines if line.accelerator == "cuda"), lines[0])
    return f"{first.distribution}{asked.versions}"


def _cases(
    host: Host,
    request: Request,
    model: Model | None,
    meant: Sequence[Asked],
    known: Known,
    built: Mapping[Built, Stack],
) -> list[Case]:
    targets = tuple(targets_of(host))
    found = []
    for one in meant:
        able = machines(host, request, one.engine) or machines(
            host, msgspec.structs.replace(request, python=None), one.engine
        )
        for line in one.engine.line:
            versions = SpecifierSet(one.versions)
            found += [
                _case(host, request, model, offer, targets, built)
                for offer in offers(one.engine, line, able, versions, request, known)
            ]
    return found


def _case(
    host: Host,
    request: Request,
    model: Model | None,
    offer: Offer,
    targets: tuple[Target, ...],
    built: Mapping[Built, Stack],
) -> Case:
    name, line, machine = offer.engine.name, offer.line, offer.machine
    there = built.get(Built(name, line.id, offer.version or "", machine.python))
    return Case(host=host, request=request, model=model, offer=offer, targets=targets, built=there)


class _Planning:
    """One run: the candidates in their order, each judged as far as what is known allows."""

    def __init__(self, known: Known, roots: tuple[str, ...], request: Request) -> None:
        self._known = known
        self._roots = roots
        self._request = request

    def run(self, judged: list[Judged], host: Host, model: Model | None) -> Planned | Wanted:
        """Stage by stage; only what may be chosen is resolved."""
        wanted = None
        if self._request.objective != "newest":
            judged, wanted = self._all_judged(judged)
        if wanted is None:
            judged, wanted = self._chosen(judged)
        if wanted is not None:
            return wanted
        return conclude(judged, self._roots, host, model, self._request, self._known)

    def _all_judged(self, judged: list[Judged]) -> tuple[list[Judged], Wanted | None]:
        """Every candidate as far as its code, in the order of the objective."""
        for stage in (metadata, code):
            places = [n for n, one in enumerate(judged) if not one.rejected]
            judged, wanted = _advance(judged, places, stage, self._known, ALL_AT_ONCE)
            if wanted is not None:
                return judged, wanted
        return ordered(judged, self._request.objective), None

    def _chosen(self, judged: list[Judged]) -> tuple[list[Judged], Wanted | None]:
        """As far as the first candidate that stands; those of unknown code are looked at last."""
        found, unsure = list(judged), []
        for place in range(len(found)):
            for before, stage, limit in STAGES:
                if found[place].rejected or found[place].stage != before:
                    continue
                behind = range(place, len(found))
                waiting = [n for n in behind if _is_at(found[n], before)][:limit]
                found, wanted = _advance(found, waiting, stage, self._known, limit)
                if wanted is not None:
                    return found, wanted
            if found[place].rejected:
                continue
            if is_unsure(found[place]):
                unsure.append(place)
                continue
            if (done := self._resolved(found, place)) is not None:
                return found, done.wanted
        for place in unsure:
            if (done := self._resolved(found, place)) is not None:
                return found, done.wanted
        return found, None

    def _resolved(self, found: list[Judged], place: int) -> Judged | None:
        """The candidate where it stands, or waits for an answer; None where it is rejected."""
        after = resolution(found[place], self._roots, self._known)
        if after.wanted is None and not after.rejected:
            after = whole(after, self._roots, self._known)
        found[place] = after
        return None if after.wanted is None and after.rejected else after


def _is_at(judged: Judged, stage: str) -> bool:
    return judged.stage == stage and not judged.rejected


def _advance(
    judged: list[Judged],
    places: Sequence[int],
    stage: Callable[[Judged, Known], Judged],
    known: Known,
    limit: int,
) -> tuple[list[Judged], Wanted | None]:
    """Those at ``places`` put through a stage; or what is wanted for it, of ``limit`` of them."""
    found, wanted, waiting = list(judged), Wanted(), 0
    for number in places:
        after = stage(judged[number], known)
        if after.wanted is None:
            found[number] = after
            continue
        wanted, waiting = joined(wanted, after.wanted), waiting + 1
        if waiting >= limit:
            break
    return found, wanted if waiting else None


def joined(one: Wanted, other: Wanted) -> Wanted:
    """Both, each question once."""
    fields = {
        name: tuple(dict.fromkeys([*getattr(one, name), *getattr(other, name)]))
        for name in Wanted.__struct_fields__
    }
    return Wanted(**fields)
