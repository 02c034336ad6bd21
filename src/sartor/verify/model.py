"""The `Report`: a closed set of outcomes, of which *not checked* is one."""

from __future__ import annotations

import msgspec


class Passed(msgspec.Struct, frozen=True, tag_field="outcome", tag="passed"):
    """The check was made and held."""

    check: str
    detail: str


class Failed(msgspec.Struct, frozen=True, tag_field="outcome", tag="failed"):
    """The check was made and did not hold; ``detail`` has the last words of what failed."""

    check: str
    detail: str
    hint: str | None = None


class NotTried(msgspec.Struct, frozen=True, tag_field="outcome", tag="not checked"):
    """The check was not made, and why. It says nothing about what would have come out."""

    check: str
    why: str


Outcome = Passed | Failed | NotTried


class Report(msgspec.Struct, frozen=True, tag_field="schema", tag="sartor.report/1"):
    """What was proved of one environment, and when (RFC 3339, UTC).

    ``grade`` is the highest grade of which every check passed: ``resolves`` (the installed set
    agrees with its own metadata) or ``loads`` (every module of the engine was imported).
    """

    environment: str
    grade: str | None
    outcomes: list[Outcome]
    made_at: str

    @property
    def failures(self) -> list[Failed]:
        """The checks that did not hold."""
        return [o for o in self.outcomes if isinstance(o, Failed)]
