"""What a rule says of a candidate: met, not met, or not checked. Never a bool."""

from __future__ import annotations

import msgspec


class Accepted(msgspec.Struct, frozen=True, tag_field="outcome", tag="accepted"):
    """The rule is met. ``evidence`` says what that rests on."""

    rule: str
    wanted: str
    found: str
    evidence: str


class Rejected(msgspec.Struct, frozen=True, tag_field="outcome", tag="rejected"):
    """The rule is not met; ``hint`` is what would change that, where something would."""

    rule: str
    wanted: str
    found: str
    evidence: str
    hint: str | None = None


class Unchecked(msgspec.Struct, frozen=True, tag_field="outcome", tag="not checked"):
    """The rule could not be applied: ``why`` names what is not known."""

    rule: str
    wanted: str
    why: str


Decision = Accepted | Rejected | Unchecked
