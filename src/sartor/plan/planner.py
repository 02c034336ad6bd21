"""From host, request and what is known to a `Plan`, or to what must be known first. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet

from sartor.engines.facts import EngineFacts, LineFact, engines
from sartor.engines.facts import engine as engine_facts
from sartor.errors import UsageError, did_you_mean
from sartor.plan.case import Case, Offer
from sartor.plan.conclusion import chosen_of, conclude
from sartor.plan.known import DEFAULT, Known, ListingQuestion, Machine, Wanted
from sartor.plan.machine import architecture, glibc, machines, two_numbers
from sartor.plan.offers.releases import offers, question
from sartor.plan.offers.variants import variants
from sartor.plan.ranking import is_named, is_unread, is_unsure, newest_first, ordered
from sartor.plan.stages import Judged, code, listed, metadata, resolution, whole
from sartor.verdict.targets import targets_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sartor.host.model import Host
    from sartor.models.model import Model
    from sartor.plan.model import Request, Stack
    from sartor.plan.planned import Planned
    from sartor.verdict.model import Target

STAGES = (("listed", metadata, 12), ("metadata", code, 1))
"""From which stage which comes next, and how many candidates are asked about together: metadata is
far and small, what was read of machine code is here and takes time to judge."""
ALL_AT_ONCE = 200
PYTHON = re.compile(r"3(\.\d{1,3}){1,2}", re.ASCII)


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
    else:
        if parsed.url or parsed.marker or parsed.extras:
            raise UsageError(
                f"`{text}` is more than an engine and its versions",
                hint=f"the form is `{name}`, or `{name}==1.0`; extras go with `--pin`",
            )
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
    if request.python is not None and not PYTHON.fullmatch(request.python):
        raise UsageError(f"`{request.python}` is no Python version", hint="write it as `3.12`")
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
    return Planner(host, request, model, built).advance(known)


class Planner:
    """The planning of one request, that is told more and more: nothing is judged twice.

    It says what `plan` would say of everything that it was told. Raises as that does.
    """

    def __init__(
        self, host: Host, request: Request, model: Model | None, built: Mapping[Built, Stack]
    ) -> None:
        self._host = host
        self._request = checked(request)
        self._model = model
        self._built = built
        self._asked = asked_engines(request)
        self._planning: _Planning | None = None

    def advance(self, known: Known) -> Planned | Wanted:
        """The plan, or what is lacking; ``known`` holds all that was known before."""
        if self._planning is None:
            meant = self._asked[:1] or [Asked(e, "", e.name) for e in engines()]
            wanted = tuple(q for q in _lists(meant) if q not in known.listings)
            if wanted:
                return Wanted(listings=wanted)
            cases = _cases(self._host, self._request, self._model, meant, known, self._built)
            judged = [listed(case) for case in newest_first(cases)]
            roots = _roots(self._asked, self._request)
            self._planning = _Planning(judged, roots, self._request)
        return self._planning.run(known, self._host, self._model)


def _lists(meant: Sequence[Asked]) -> list[ListingQuestion]:
    """The lists of files that are looked at in any case; all are asked for together."""
    lines = [line for asked in meant for line in asked.engine.line]
    found = [q for line in lines if (q := question(line)) is not None]
    decide = {name for line in lines for name in line.device_code}
    found += [ListingQuestion(DEFAULT, name) for name in sorted(decide)]
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
            released = offers(one.engine, line, able, versions, request, known)
            there = _there(one, line, host, request, built)
            released += [o for o in there if not _is_among(o, released)]
            found += [_case(host, request, model, o, targets, built) for o in released]
    return found


def _there(
    asked: Asked, line: LineFact, host: Host, request: Request, built: Mapping[Built, Stack]
) -> list[Offer]:
    """What is built of a line for the Python that is asked for, whatever its index says now."""
    versions = SpecifierSet(asked.versions)
    return [
        Offer(
            engine=asked.engine,
            line=line,
            index=line.index,
            state="not asked",
            machine=Machine(architecture(host), glibc(host), key.python),
            version=key.version,
        )
        for key in built
        if (key.engine, key.line) == (asked.engine.name, line.id)
        and (request.python is None or key.python == two_numbers(request.python))
        and versions.contains(key.version, prereleases=True)
    ]


def _is_among(offer: Offer, others: Sequence[Offer]) -> bool:
    return any((o.version, o.machine) == (offer.version, offer.machine) for o in others)


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
    """The candidates in their order, each judged as far as what was known so far allowed.

    Those on GPUs come first, then the same with another torch, then those on the CPU.
    """

    def __init__(self, judged: list[Judged], roots: tuple[str, ...], request: Request) -> None:
        self._roots = roots
        self._request = request
        self._on_gpus = _Group([j for j in judged if j.case.on_cuda], roots)
        self._others: _Group | None = None
        self._on_cpu = _Group([j for j in judged if not j.case.on_cuda], roots)
        self._is_ordered = request.objective == "newest"

    def run(self, known: Known, host: Host, model: Model | None) -> Planned | Wanted:
        """Stage by stage; only what may be chosen is resolved."""
        wanted = None if self._is_ordered else self._all_judged(known)
        wanted = wanted or self._chosen(known)
        if wanted is not None:
            return wanted
        judged = [one for group in self._groups for one in group.judged]
        return conclude(judged, self._roots, host, model, self._request, known)

    @property
    def _groups(self) -> list[_Group]:
        return [g for g in (self._on_gpus, self._others, self._on_cpu) if g is not None]

    def _all_judged(self, known: Known) -> Wanted | None:
        """Every candidate as far as its code, in the order of the objective."""
        for before, stage, _ in STAGES:
            for group in self._groups:
                places = [n for n, one in enumerate(group.judged) if _is_at(one, before)]
                wanted = group.advance(places, stage, known, ALL_AT_ONCE)
                if wanted is not None:
                    return wanted
        for group in self._groups:
            group.judged = ordered(group.judged, self._request.objective)
        self._is_ordered = True
        return None

    def _chosen(self, known: Known) -> Wanted | None:
        """As far as the first that stands, group by group."""
        wanted = self._on_gpus.chosen(known)
        if wanted is None and chosen_of(self._on_gpus.judged) is None:
            if self._others is None:
                self._others = _Group(variants(self._on_gpus.judged), self._roots)
            wanted = self._others.chosen(known)
        if wanted is None and all(chosen_of(group.judged) is None for group in self._groups):
            wanted = self._on_cpu.chosen(known)
        return wanted


class _Group:
    """Candidates of one kind in their order, judged in place."""

    def __init__(self, judged: list[Judged], roots: tuple[str, ...]) -> None:
        self.judged = judged
        self._roots = roots

    def chosen(self, known: Known) -> Wanted | None:
        """As far as the first candidate that stands; those of unknown code are looked at last."""
        found, unsure = self.judged, []
        for place in range(len(found)):
            for before, stage, limit in STAGES:
                if found[place].rejected or found[place].stage != before:
                    continue
                behind = range(place, len(found))
                waiting = [n for n in behind if _is_at(found[n], before)][:limit]
                wanted = self.advance(waiting, stage, known, limit)
                if wanted is not None:
                    return wanted
            if found[place].rejected or _is_left(found[place]):
                continue
            if is_unsure(found[place]):
                unsure.append(place)
                continue
            if (done := self._resolved(place, known)) is not None:
                return done.wanted
        for place in unsure:
            if (done := self._resolved(place, known)) is not None:
                return done.wanted
        return None

    def _resolved(self, place: int, known: Known) -> Judged | None:
        """The candidate where it stands, or waits for an answer; None where it is rejected."""
        after = msgspec.structs.replace(self.judged[place], wanted=None)
        if after.stage == "code":
            after = resolution(after, self._roots, known)
        if after.stage == "resolution" and not after.rejected:
            after = whole(after, self._roots, known)
        self.judged[place] = after
        return None if after.wanted is None and after.rejected else after

    def advance(
        self,
        places: Sequence[int],
        stage: Callable[[Judged, Known], Judged],
        known: Known,
        limit: int,
    ) -> Wanted | None:
        """Those at ``places`` put through a stage; what is wanted for it, of ``limit`` of them."""
        wanted, waiting = Wanted(), 0
        for number in places:
            after = stage(self.judged[number], known)
            if after.wanted is None:
                self.judged[number] = after
                continue
            wanted, waiting = joined(wanted, after.wanted), waiting + 1
            if waiting >= limit:
                break
        return wanted if waiting else None


def _is_left(judged: Judged) -> bool:
    """Whether nobody read its machine code, and it was not asked for by name."""
    return is_unread(judged) and not is_named(judged.case)


def _is_at(judged: Judged, stage: str) -> bool:
    return judged.stage == stage and not judged.rejected


def joined(one: Wanted, other: Wanted) -> Wanted:
    """Both, each question once."""
    fields = {
        name: tuple(dict.fromkeys([*getattr(one, name), *getattr(other, name)]))
        for name in Wanted.__struct_fields__
    }
    return Wanted(**fields)
