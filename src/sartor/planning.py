"""Planning with the world at hand: what the pure planner wants to know is asked, all at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from sartor.plan.known import Known, Wanted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sartor.host.model import Host
    from sartor.models.model import Model
    from sartor.paths import Places
    from sartor.plan.model import Request, Stack
    from sartor.plan.planned import Planned
    from sartor.plan.planner import Built
    from sartor.reporter import Reporter

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
    known: Known = Known(),  # noqa: B008 - it is frozen
    built: Mapping[Built, Stack] | None = None,
) -> Planned:
    """The plan for ``host``; ``model`` is None for the demo model. Raises `UsageError`."""
    from sartor.plan.planner import Planner

    planner = Planner(host, request, model, built or {})
    for _ in range(MOST_PASSES):
        found = planner.advance(known)
        if not isinstance(found, Wanted):
            return found
        known = answers.answer(found, known)
    raise AssertionError("the planner wants what it was told already")


def plan_with_catalog(
    host: Host,
    request: Request,
    model: Model | None,
    places: Places,
    reporter: Reporter,
    *,
    refresh: bool = False,
    built: Mapping[Built, Stack] | None = None,
) -> Planned:
    """The plan by what the indexes, the kept evidence and the resolver say now."""
    from sartor.catalog.catalog import Catalog

    with Catalog(places, reporter, extra_indexes=request.indexes, refresh=refresh) as catalog:
        found = make_plan(host, request, model, catalog, built=built)
        cost = catalog.cost
    reporter.detail(
        f"planned with {cost.requests} requests, {cost.bytes} bytes, {cost.resolver_runs} runs of "
        f"the resolver, {cost.seconds:.2f} s of waiting"
    )
    return found
