"""How a server ended, what that usually means, and the way out."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from sartor.errors import PYTHON_HEADERS, ServerDiedError
from sartor.processes import signal_name

if TYPE_CHECKING:
    from sartor.serve.model import Run

_SPEAKER = re.compile(r"\(\w+(?: pid=\d+)?\) (?:[A-Z]+ [\d-]+ [\d:]+ \[[^\]]*\] ?)?")
"""What vLLM puts before each line: the process, and of messages the time and the place."""
_FRAME = re.compile(r"Traceback \(most recent|  File \"|    |  *[~^]+$")
_SIGNS = (
    ("Python.h: No such file", PYTHON_HEADERS),
    ("Failed to find C compiler", "the engine compiles at run time: install a C compiler (gcc)"),
    (
        "Could not find nvcc",
        "the engine compiles CUDA code at run time: install the CUDA toolkit, with nvcc on PATH",
    ),
    ("out of memory", "the GPU's memory ran out: lower `--context`, or take a smaller model"),
)
"""What an engine's log says of the failures that people meet most, and the way out."""


def died(run: Run, status: int, who: str | None = None) -> ServerDiedError:
    """The error for a server that ended by itself, with what its end usually means."""
    lines = last_lines(run.log)
    how, hint = f"with status {status}", "the log has the engine's own words"
    if status < 0:
        how = f"by {signal_name(-status)}"
    if status == -signal.SIGKILL:
        hint = (
            "SIGKILL usually comes from the kernel when memory runs out (see `dmesg`): take a "
            "smaller model or quantisation, or lower `--context`"
        )
    elif status == -signal.SIGILL:
        hint = "the CPU lacks an instruction that was compiled in: `--build native` avoids it"
    elif status == -signal.SIGSEGV and run.build.startswith("native"):
        hint = (
            "what the compiler made of the source crashes: a newer compiler, or `--build published`"
        )
    else:
        text = "\n".join(last_lines(run.log, 1000)).lower()
        hint = next((way for sign, way in _SIGNS if sign.lower() in text), hint)
    return ServerDiedError(
        f"{who or run.engine} ended {how} while it was to serve `{run.model}`",
        found=lines,
        hint=hint,
        log=run.log,
    )


def last_lines(path: str, count: int = 8) -> list[str]:
    """The last lines of a log that say anything: not the frames of Python's tracebacks."""
    try:
        with Path(path).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - (1 << 17)))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    said = (_SPEAKER.sub("", line, count=1) for line in text.splitlines())
    return [line for line in said if line.strip() and not _FRAME.match(line)][-count:]
