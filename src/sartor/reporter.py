"""How the library talks: a class with silent defaults, passed in by whoever calls."""

from __future__ import annotations


class Reporter:
    """Receives what a long operation has to say. Every method does nothing by default.

    Implementations must not raise: a reporter that fails would take the work down with it.
    """

    def stage(self, name: str, detail: str = "") -> None:
        """A room of the line begins: ``detect``, ``plan``, ``build``, ``verify``, ``serve``."""

    def done(self, name: str, detail: str, seconds: float) -> None:
        """The stage ``name`` ended well after ``seconds``."""

    def progress(self, what: str, done: float, total: float | None, unit: str) -> None:
        """``done`` of ``total`` (None: unknown) ``unit``s of ``what``; unit is ``B`` for bytes."""

    def note(self, text: str) -> None:
        """Something worth knowing that changes nothing."""

    def detail(self, text: str) -> None:
        """What belongs into a log and on no screen: whole documents, versions, arguments."""

    def warn(self, text: str) -> None:
        """Something that the user should act on, though the work goes on."""


class Silent(Reporter):
    """Says nothing."""
