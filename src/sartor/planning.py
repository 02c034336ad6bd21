"""Planning with the world at hand: what the pure planner wants to know is asked, all at once."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

from sartor.plan.planned import Planned

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sartor.catalog.kept_plans import KeptPlans
    from sartor.host.model import Host
    from sartor.models.model import Model
    from sartor.paths import Places
    from sartor.plan.known import Known, Wanted
    from sartor.plan.model import Request, Stack
    from sartor.plan.planner import Built
    from sartor.reporter import Reporter

PIN_SECONDS = 2.5
"""How long conflicts are looked for where a pin may be the reason, which is soon found; what is not
proved by then is said."""
MOST_PASSES = 400
"""Each pass has answers that the one before lacked; there are only so many candidates."""


class Answers(Protocol):
    """Who answers the planner's questions."""

    def answer(self, wanted: Wanted, known: Known) -> Known:
        """``known`` with the answers to all that is wanted."""


def make_plan(
    host: Host,
    request: Request,
    model: Model | None,
    answers: Answers,
    *,
    built: Mapping[Built, Stack] | None = None,
) -> tuple[Planned, Known]:
    """The plan for ``host``, and the answers that it is made from.

    ``model`` is None for the demo model. Raises `UsageError`.
    """
    from sartor.plan.known import Known, Wanted
    from sartor.plan.planner import Planner

    planner, known = Planner(host, request, model, built or {}), Known()
    for _ in range(MOST_PASSES):
        found = planner.advance(known)
        if not isinstance(found, Wanted):
            return found, known
        known = answers.answer(found, known)
    raise AssertionError("the planner wants what it was told already")


def plan_with_catalog(  # noqa: PLR0913 - each is one of what a plan is made from
    host: Host,
    request: Request,
    model: Model | None,
    places: Places,
    reporter: Reporter,
    *,
    refresh: bool = False,
    built: Mapping[Built, Stack] | None = None,
) -> Planned:
    """The plan by what the indexes, the kept evidence and the resolver say now.

    Where nothing changed that it would rest on it is the one that was kept; ``refresh``: never.
    """
    from sartor.catalog.kept_plans import KeptPlans
    from sartor.catalog.plan_key import plan_key, settled

    host, built = settled(host), built or {}
    kept = KeptPlans(places, reporter)
    key = plan_key(host, request, model, built)
    if key is not None and not refresh and (found := _as_kept(kept, key, reporter)) is not None:
        return found
    from sartor.catalog.catalog import CONFLICT_SECONDS, Catalog
    from sartor.index.network import as_configured

    as_configured()
    own = Catalog(
        places,
        reporter,
        extra_indexes=request.indexes,
        refresh=refresh,
        conflict_seconds=PIN_SECONDS if request.pins else CONFLICT_SECONDS,
    )
    with _uncollected(), own as catalog:
        planned, known = make_plan(host, request, model, catalog, built=built)
        cost = catalog.cost
        if key is not None and _is_keepable(planned):
            whole = KeptPlan(planned, catalog.said)
            kept.keep(key, msgspec.json.encode(whole), catalog.validity(known))
    reporter.detail(
        f"planned with {cost.requests} requests, {cost.bytes} bytes, {cost.resolver_runs} runs of "
        f"the resolver, {cost.seconds:.2f} s of waiting"
    )
    return planned


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the collector of cycles: what planning makes lives to its end, and looking through it
    took a quarter of the time. What is left is not looked through later either."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was:
            gc.enable()


class KeptPlan(msgspec.Struct, frozen=True):
    """A plan with the notes and warnings that came with it."""

    planned: Planned
    said: list[tuple[Literal["note", "warn"], str]] = []


def _as_kept(kept: KeptPlans, key: str, reporter: Reporter) -> Planned | None:
    data = kept.find(key)
    if data is None:
        return None
    try:
        found = msgspec.json.decode(data, type=KeptPlan)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    for kind, text in found.said:
        (reporter.warn if kind == "warn" else reporter.note)(text)
    reporter.detail("planned as a short while ago: nothing that it rests on has changed")
    return found.planned


def _is_keepable(planned: Planned) -> bool:
    """Whether no address in the plan may hold a secret."""
    resolution = planned.resolution
    urls = [package.file.url for package in resolution.packages] if resolution else []
    return not any("?" in url or "@" in url.partition("#")[0] for url in urls)
