"""A value together with what could not be read on the way to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from sartor.host.model import NotChecked

if TYPE_CHECKING:
    from sartor.host.machine import Unread

T = TypeVar("T")


class Reading(NamedTuple, Generic[T]):
    """``value`` as far as it could be read; ``not_checked`` names every part that is missing."""

    value: T
    not_checked: list[NotChecked]


def text_or_note(answer: str | Unread, what: str, notes: list[NotChecked]) -> str | None:
    """The answer; None with a note where it could not be read, None alone where it is missing."""
    if isinstance(answer, str):
        return answer
    if not answer.missing:
        notes.append(NotChecked(what, answer.why))
    return None
