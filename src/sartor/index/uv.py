"""Running uv: on a pseudo-terminal, so that it says how many bytes have come, and into a log."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from pathlib import Path
from typing import TYPE_CHECKING

from sartor.errors import (
    BuildError,
    IndexRefusedError,
    IndexUnreachableError,
    ResolutionError,
    SartorError,
)
from sartor.index.network import uv_environment, uv_options
from sartor.paths import disk_full, explain_os_errors, make_folder, open_log
from sartor.processes import bounded, child_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sartor.reporter import Reporter

_ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07")
_AMOUNT = r"([0-9]{1,6}(?:\.[0-9]{1,3})?) ?([KMGT]?i?B)"
_BAR = re.compile(f"{_AMOUNT}/{_AMOUNT}")
_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_SPINNER = re.compile(r"^[⠀-⣿]|^\s*$|^[░█]+ \[\d+/\d+\]|^Resolving dependencies")


def run_uv(
    arguments: Sequence[str],
    log: Path,
    reporter: Reporter,
    *,
    what: str,
    environment: Mapping[str, str] | None = None,
    on_line: Callable[[str], None] | None = None,
) -> str:
    """Run uv and return what it printed, without its progress bars.

    Everything is appended to ``log``. Raises the `SartorError` that the output stands for when uv
    fails: index not reached, index refused, no solution, disk full, or `BuildError`.
    """
    import uv

    argv = [uv.find_uv_bin(), *arguments, *uv_options(arguments)]
    env = {**child_environment(), **uv_environment(), **(environment or {}), "NO_COLOR": "1"}
    env.pop("VIRTUAL_ENV", None)
    output, status = _on_terminal(argv, env, log, _Lines(reporter, what, on_line))
    if status != 0:
        raise explain(output, status, log, what)
    return output


def online_or_from_cache(
    arguments: Sequence[str],
    log: Path,
    reporter: Reporter,
    what: str,
    *,
    from_folder: Path | None = None,
) -> None:
    """Run uv; where the index cannot be reached, once more with what its cache holds.

    ``from_folder``: no index is asked; packages come from that folder, or from where a lock says.
    """
    if from_folder is not None:
        offline = ["--offline", "--find-links", str(from_folder)]
        offline += [] if "--no-index" in uv_options(arguments) else ["--no-index"]
        alone = {"UV_NO_CONFIG": "1"}
        run_uv([*arguments, *offline], log, reporter, what=what, environment=alone)
        return
    try:
        run_uv(arguments, log, reporter, what=what)
    except IndexUnreachableError as unreachable:
        try:
            run_uv([*arguments, "--offline"], log, reporter, what=what)
        except SartorError:
            raise unreachable from None
        reporter.warn(
            "the package index could not be reached; the local cache had all that is needed"
        )


class _Lines:
    """Takes the terminal's bytes apart: finished lines, and the progress bars between them."""

    def __init__(
        self, reporter: Reporter, what: str, on_line: Callable[[str], None] | None
    ) -> None:
        self._reporter = reporter
        self._what = what
        self._on_line = on_line
        self._rest = b""
        self._bars: dict[str, tuple[float, float]] = {}
        self.lines: list[str] = []

    def feed(self, data: bytes) -> list[str]:
        """The complete lines in ``data`` that a person would want in a log."""
        self._rest += data
        *pieces, self._rest = re.split(rb"[\r\n]+", self._rest[-200_000:])
        new = []
        for piece in pieces:
            text = _ESCAPES.sub(b"", piece).decode("utf-8", "replace").rstrip()
            if self._progress(text) or _SPINNER.search(text):
                continue
            new.append(text)
            if self._on_line:
                self._on_line(text)
        self.lines += new
        return new

    def _progress(self, text: str) -> bool:
        found = bars(text)
        self._bars |= found
        if found:
            done = sum(d for d, _ in self._bars.values())
            self._reporter.progress(self._what, done, sum(t for _, t in self._bars.values()), "B")
        return bool(found)


def bars(text: str) -> dict[str, tuple[float, float]]:
    """Package → (bytes done, bytes in all), from one screen of uv's: ``torch --- 1 MiB/2 MiB``.

    Linear in the length of ``text``: a screen is mostly blanks.
    """
    found, start = {}, 0
    for match in _BAR.finditer(text):
        words = text[start : match.start()].rstrip(" -━").rsplit(maxsplit=1)
        done, unit, total, total_unit = match.groups()
        if words:
            size = float(total) * _UNITS.get(total_unit, 1)
            found[words[-1]] = (float(done) * _UNITS.get(unit, 1), size)
        start = match.end()
    return found


def _on_terminal(
    argv: Sequence[str], env: Mapping[str, str], log: Path, lines: _Lines
) -> tuple[str, int]:
    make_folder(log.parent, mode=0o700)
    ours, theirs = _terminal_or_pipe()
    try:
        with explain_os_errors(log), open_log(log) as file:
            file.write(f"$ {' '.join(argv)}\n")
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=theirs,
                stderr=theirs,
                env=dict(env),
                start_new_session=True,
                preexec_fn=_take_terminal,  # noqa: PLW1509 - one system call, and no lock is taken
            )
            os.close(theirs)
            theirs = -1
            with bounded(process):
                while data := _read(ours):
                    file.writelines(f"{line}\n" for line in lines.feed(data))
                    file.flush()
                file.writelines(f"{line}\n" for line in lines.feed(b"\n"))
                return "\n".join(lines.lines), process.wait()
    finally:
        os.close(ours)
        if theirs >= 0:
            os.close(theirs)


def _terminal_or_pipe() -> tuple[int, int]:
    """A pseudo-terminal so wide that uv breaks no line; a pipe where there is none (a chroot)."""
    try:
        ours, theirs = pty.openpty()
    except OSError:
        return os.pipe()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 60, 2000, 0, 0))
    return ours, theirs


def _take_terminal() -> None:
    """Make stdout's terminal the new session's own: all of it is hung up when Sartor is killed."""
    with contextlib.suppress(OSError):
        fcntl.ioctl(1, termios.TIOCSCTTY, 0)


def _read(descriptor: int) -> bytes:
    """The next bytes of the terminal; nothing once the other side is closed."""
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:  # Linux answers EIO when the last writer has gone
        return b""


_STATUS = re.compile(
    r"(?:HTTP status|status code)[^(\d]*\(?(\d{3})\b"
    # uv takes a refusal for an index that lacks the package, and says the rest in a hint
    r"|An index\b.*?(?:returned a |\()(4\d\d|5\d\d) [A-Z]"
)
_FULL = re.compile(r"`(/[^`]+)`: (?:No space left|Disk quota)")
_UNKNOWN_PROJECT = re.compile(r"\bwas not found in the package registry")
_UNREACHED = (
    "error sending request",
    "dns error",
    "failed to lookup address",
    "connection refused",
    "network is unreachable",
    "network connectivity is disabled",
    "operation timed out",
    "connection reset",
    "tunnel",
    "failed to fetch",
)


def explain(output: str, status: int, log: Path, what: str) -> SartorError:
    """The error that uv's output stands for, with uv's own words as what was found."""
    low = output.lower()
    found = [line.strip() for line in output.splitlines() if line.strip()][-12:]
    if "no space left on device" in low or "disk quota exceeded" in low:
        full = _FULL.search(output)
        return disk_full(Path(full[1]) if full else log.parent, log=str(log))
    if "permission denied" in low and "uv/" in low:
        return BuildError(
            f"{what}: uv may not write its cache",
            found=found,
            hint="set UV_CACHE_DIR to a folder that you can write",
            log=str(log),
        )
    code = _refusal(output)
    if code is not None:
        return IndexRefusedError(
            f"{what}: the package index answered {code}",
            found=found,
            hint=_refusal_hint(code),
            log=str(log),
        )
    if any(sign in low for sign in _UNREACHED):
        return IndexUnreachableError(
            f"{what}: the package index could not be reached",
            found=found,
            hint="check the network and the proxy (HTTPS_PROXY), or name a mirror "
            "(UV_DEFAULT_INDEX, or index-url in pip.conf); what was downloaded before is kept",
            log=str(log),
        )
    if "no solution found" in low:
        return ResolutionError(
            f"{what}: the packages cannot be had together",
            found=found,
            hint="the log has the whole derivation; a mirror that lacks a release "
            "looks like this too",
            log=str(log),
        )
    return BuildError(f"{what} failed: uv ended with status {status}", found=found, log=str(log))


def _refusal(output: str) -> int | None:
    """The status that the index answered with, where that is what uv complains of."""
    match = _STATUS.search(output)
    if match:
        return int(match[1] or match[2])
    return 404 if _UNKNOWN_PROJECT.search(output) else None


def _refusal_hint(code: int) -> str:
    if code in {401, 403, 407}:
        return "check the credentials for the index in your pip or uv configuration (or ~/.netrc)"
    if code == 404:
        return (
            "check the address of the index in your pip or uv configuration; "
            "a mirror that lacks the package looks like this too"
        )
    return "the index is having trouble: try again later, or name a mirror with UV_DEFAULT_INDEX"
