"""What the rules look at: one candidate on one host."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from sartor.engines.facts import BuildFact, EngineFacts
from sartor.host.model import Host
from sartor.models.model import Model
from sartor.plan.model import Decision, IndexUse, Request


class Case(msgspec.Struct, frozen=True):
    """One candidate in front of the rules. ``indexes`` holds those that were asked, by id.

    ``built`` says that its environment is there: it needs neither an index nor room any more.
    """

    host: Host
    engine: EngineFacts
    build: BuildFact
    model: Model | None
    request: Request
    indexes: dict[str, IndexUse]
    built: bool = False

    @property
    def declared(self) -> str:
        """The source of the build's declared facts."""
        return f"declared: {self.build.source} ({self.build.checked_on})"


Rule = Callable[[Case], Decision | None]
"""A rule returns None where it has nothing to say about a candidate of that kind."""
