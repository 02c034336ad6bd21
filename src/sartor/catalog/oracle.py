"""What looks for the reason of an unsolvable question may ask while it looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sartor.artifact.model import Package
    from sartor.plan.known import Listing, Machine, Resolved, ResolveQuestion, Unread


class Oracle(Protocol):
    """Answers one question at a time; what it was asked before it knows still.

    It raises nothing: what cannot be had is a `Listing` that is *not reached*, or an `Unread`. Of
    several threads each may ask.
    """

    def resolve(self, question: ResolveQuestion) -> Resolved:
        """One consistent set for the question, by the real resolver."""

    def listing(self, project: str) -> Listing:
        """The files of ``project`` (a normalised name) on the user's own indexes."""

    def metadata(self, project: str, version: str, machine: Machine) -> Package | Unread:
        """What the wheel of that version declares which ``machine`` would get."""
