"""Planning with the world at hand: what the pure planner wants to know is asked, all at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from sartor.plan.known import Known, Wanted

if TYPE_CHECKING:
    from collections.abc import Collection

    from sartor.host.model import Host
    from sartor.models.model import Model
    from sartor.plan.conclusion import Planned
    from sartor.plan.model import Request
    from sartor.plan.planner import Built

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
    built: Collection[Built] = (),
) -> Planned:
    """The plan for ``host``; ``model`` is None for the demo model. Raises `UsageError`."""
    from sartor.plan.planner import plan

    for _ in range(MOST_PASSES):
        found = plan(host, request, model, known, built)
        if not isinstance(found, Wanted):
            return found
        known = answers.answer(found, known)
    raise AssertionError("the planner wants what it was told already")
