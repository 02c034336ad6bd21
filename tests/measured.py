"""A prefix for commands: a bound on memory and time that the kernel keeps, and what was used."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

ADDRESS_SPACE = 2 << 30
"""More than is ever touched; a command that trusts a claimed size would ask for more."""

SCRIPT = """
import os, resource, sys
note, seconds, space, *command = sys.argv[1:]
child = os.fork()
if child == 0:
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds),) * 2)
    resource.setrlimit(resource.RLIMIT_AS, (int(space),) * 2)
    os.execvp(command[0], command)
_, status, used = os.wait4(child, 0)
with open(note, "w") as file:
    file.write(str(used.ru_maxrss))
sys.exit(os.waitstatus_to_exitcode(status) & 0xFF)
"""
"""Its own process is small: a child's peak counts that of what it was forked from."""


def measured(note: Path, seconds: int, space: int = ADDRESS_SPACE) -> tuple[str, ...]:
    """The prefix: ``seconds`` of processor time; the peak RSS goes to ``note``, in KiB."""
    return (sys.executable, "-I", "-S", "-c", SCRIPT, str(note), str(seconds), str(space))


def peak(note: Path) -> int:
    """The peak RSS in bytes."""
    return int(note.read_text("utf-8")) << 10
