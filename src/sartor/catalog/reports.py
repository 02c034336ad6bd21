"""A reporter for several threads: one speaks at a time, and nothing is said twice."""

from __future__ import annotations

import threading
from typing import Literal

from sartor.reporter import Reporter

Kind = Literal["note", "warn"]


class Shared(Reporter):
    """Passes on to one reporter. Of several threads each may speak."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._lock = threading.Lock()
        self._said: dict[str, Kind] = {}

    @property
    def said(self) -> list[tuple[Kind, str]]:
        """The notes and warnings that were passed on, in their order."""
        return [(kind, text) for text, kind in self._said.items()]

    def progress(self, what: str, done: float, total: float | None, unit: str) -> None:
        """As `Reporter.progress`."""
        with self._lock:
            self._reporter.progress(what, done, total, unit)

    def detail(self, text: str) -> None:
        """As `Reporter.detail`."""
        with self._lock:
            self._reporter.detail(text)

    def note(self, text: str) -> None:
        """As `Reporter.note`, once."""
        with self._lock:
            if text not in self._said:
                self._said[text] = "note"
                self._reporter.note(text)

    def warn(self, text: str) -> None:
        """As `Reporter.warn`, once."""
        with self._lock:
            if text not in self._said:
                self._said[text] = "warn"
                self._reporter.warn(text)
