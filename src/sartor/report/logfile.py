"""The same talk into a file, with the time of day, and whole documents beside it."""

from __future__ import annotations

import datetime
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sartor.errors import SartorError
from sartor.paths import make_private_folder, open_log
from sartor.reporter import Reporter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sartor.paths import Places

KEPT = 20


class LogFile(Reporter):
    """Appends to one file of a run of `sartor up`; a log that cannot be written is given up."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._written = True

    def stage(self, name: str, detail: str = "") -> None:
        """A stage began."""
        self._line(f"{name} begins {detail}")

    def done(self, name: str, detail: str, seconds: float) -> None:
        """A stage ended."""
        self._line(f"{name} done in {seconds:.3f} s: {detail}")

    def progress(self, what: str, done: float, total: float | None, unit: str) -> None:
        """Only the end of a progress is worth keeping."""
        if total and done >= total:
            self._line(f"{what}: {done:.0f} {unit}")

    def note(self, text: str) -> None:
        """As it is."""
        self._line(text)

    def detail(self, text: str) -> None:
        """As it is."""
        self._line(text)

    def warn(self, text: str) -> None:
        """As it is."""
        self._line(f"warning: {text}")

    @contextmanager
    def ending(self) -> Iterator[None]:
        """Write down the error that ends the block, and let it pass."""
        try:
            yield
        except SartorError as error:
            for line in error_lines(error):
                self._line(line)
            raise
        except BaseException as error:
            self._line(f"error: {type(error).__name__}: {error}".rstrip(": "))
            raise

    def _line(self, text: str) -> None:
        if not self._written:
            return
        now = datetime.datetime.now().astimezone().isoformat(timespec="milliseconds")
        try:
            with open_log(self.path) as file:
                file.write(f"{now} {text}\n")
        except OSError:
            self._written = False


def error_lines(error: SartorError) -> list[str]:
    """An error as a log has it: what happened, what was found, the way out, the other log."""
    lines = [f"error: {error.code}: {error.message}", *(f"  {line}" for line in error.found)]
    lines += [f"hint: {error.hint}"] if error.hint else []
    return lines + ([f"log: {error.log}"] if error.log else [])


class Both(Reporter):
    """Tells two reporters everything."""

    def __init__(self, first: Reporter, second: Reporter) -> None:
        self._both = (first, second)

    def stage(self, name: str, detail: str = "") -> None:
        """Pass it on."""
        for reporter in self._both:
            reporter.stage(name, detail)

    def done(self, name: str, detail: str, seconds: float) -> None:
        """Pass it on."""
        for reporter in self._both:
            reporter.done(name, detail, seconds)

    def progress(self, what: str, done: float, total: float | None, unit: str) -> None:
        """Pass it on."""
        for reporter in self._both:
            reporter.progress(what, done, total, unit)

    def note(self, text: str) -> None:
        """Pass it on."""
        for reporter in self._both:
            reporter.note(text)

    def detail(self, text: str) -> None:
        """Pass it on."""
        for reporter in self._both:
            reporter.detail(text)

    def warn(self, text: str) -> None:
        """Pass it on."""
        for reporter in self._both:
            reporter.warn(text)


def new_log(places: Places, command: str) -> LogFile:
    """A new log for one run of a command; the oldest beyond twenty are removed."""
    make_private_folder(places.logs)
    old = sorted(places.logs.glob(f"{command}-*.log"))
    for path in old[: max(0, len(old) - KEPT + 1)]:
        path.unlink(missing_ok=True)
    stamp = datetime.datetime.now().astimezone().strftime("%Y%m%dT%H%M%S")
    return LogFile(places.logs / f"{command}-{stamp}-{os.getpid()}.log")
