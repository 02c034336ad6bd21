"""Locks between `sartor` processes of one user."""

from __future__ import annotations

from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

if TYPE_CHECKING:
    from pathlib import Path

    from sartor.reporter import Reporter


def waiting_lock(path: Path, reporter: Reporter, doing: str) -> FileLock:
    """The lock at ``path``, taken; says that it waits where another process is ``doing`` it."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        reporter.note(f"another `sartor` is {doing}; waiting for it")
        lock.acquire()
    return lock
