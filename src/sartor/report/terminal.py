"""Talk on stderr: stages with their times, one line of progress, notes and warnings."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
import time
from typing import TYPE_CHECKING, TextIO

from sartor.paths import human_bytes
from sartor.reporter import Reporter

if TYPE_CHECKING:
    from sartor.errors import SartorError

_CODES = {"bold": "1", "dim": "2", "red": "31", "yellow": "33", "green": "32"}

_COLOUR = re.compile(r"(\x1b\[\d+m)")


class Terminal(Reporter):
    """Writes for people. On a terminal progress is one line that is written over."""

    def __init__(
        self, stream: TextIO | None = None, *, quiet: bool = False, verbose: bool = False
    ) -> None:
        self._stream = stream or sys.stderr or io.StringIO()  # None: closed by whoever started us
        self._live = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._colour = self._live and "NO_COLOR" not in os.environ
        self._quiet = quiet
        self._verbose = verbose
        self._line_open = False
        self._last = 0.0 if self._live else time.monotonic()

    def stage(self, name: str, detail: str = "") -> None:
        """Show on a terminal that a stage began; its closing line says the rest."""
        if self._live and not self._quiet:
            self._over(f"{self._paint(f'{name:8}', 'bold')} {self._paint(detail, 'dim')}")

    def done(self, name: str, detail: str, seconds: float) -> None:
        """The stage's closing line."""
        if not self._quiet:
            timing = self._paint(f"  {seconds:.1f} s", "dim")
            self._say(f"{self._paint(f'{name:8}', 'bold')} {detail}{timing}")

    def progress(self, what: str, done: float, total: float | None, unit: str) -> None:
        """At most ten times a second on a terminal, every five seconds elsewhere, from then on."""
        now = time.monotonic()
        finished = total is not None and done >= total
        if self._quiet or (now - self._last < (0.1 if self._live else 5) and not finished):
            return
        if finished and not self._live:
            return
        self._last = now
        text = f"         {what}: {_amount(done, total, unit)}"
        if self._live:
            self._over(self._paint(text, "dim"))
        else:
            self._say(text)

    def note(self, text: str) -> None:
        """One dim line."""
        if not self._quiet:
            self._say(f"         {self._paint(text, 'dim')}")

    def detail(self, text: str) -> None:
        """One dim line, where it was asked for."""
        if self._verbose:
            self.note(text)

    def warn(self, text: str) -> None:
        """One line that stands out, also without colour."""
        self._say(f"{self._paint('warning:', 'yellow')} {text}")

    def error(self, error: SartorError) -> None:
        """What happened, what was found, and the way out after a blank line."""
        lines = [f"{self._paint('error:', 'red')} {error.message}"]
        lines += [f"  {line}" for line in error.found]
        if error.hint:
            lines += ["", f"{self._paint('hint:', 'green')} {error.hint}"]
        if error.log:
            lines.append(f"log: {error.log}")
        self._say("\n".join(lines))

    def clear(self) -> None:
        """Remove an unfinished line of progress."""
        if self._line_open:
            self._write("\r\x1b[K")
            self._line_open = False

    def _over(self, text: str) -> None:
        """One line that is written over: cut, as what a terminal wraps cannot be taken back."""
        self._write(f"\r\x1b[K{_cut(text, self._columns() - 1)}")
        self._line_open = True

    def _columns(self) -> int:
        """The width of this terminal, which need not be stdout's."""
        try:
            found = os.get_terminal_size(self._stream.fileno()).columns
        except (OSError, ValueError):
            found = 0
        import shutil

        return found or shutil.get_terminal_size().columns

    def _say(self, text: str) -> None:
        self.clear()
        self._write(text + "\n")

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            self._quiet = True
            self._give_up()

    def _give_up(self) -> None:
        """Send what could not be written nowhere: Python would try again when it exits."""
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)

    def _paint(self, text: str, colour: str) -> str:
        return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if self._colour and text else text


def _cut(text: str, columns: int) -> str:
    """The beginning of ``text`` that takes ``columns`` at most, with all its colour codes."""
    kept = []
    for part in _COLOUR.split(text):
        if _COLOUR.fullmatch(part):
            kept.append(part)
            continue
        kept.append(part[: max(0, columns)])
        columns -= len(part)
    return "".join(kept)


def _amount(done: float, total: float | None, unit: str) -> str:
    if unit == "B":
        whole = f" of {human_bytes(total)}" if total else ""
        return f"{human_bytes(done)}{whole}"
    whole = f" of {total:.0f}" if total else ""
    return f"{done:.0f}{whole} {unit}"
