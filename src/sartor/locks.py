"""Locks between `sartor` processes of one user."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from sartor.paths import explain_os_errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sartor.reporter import Reporter


@contextmanager
def waiting_lock(path: Path, reporter: Reporter, doing: str) -> Iterator[FileLock]:
    """Hold the lock at ``path``; says that it waits where another process is ``doing`` it.

    The lock that is given may be released before the block ends.
    """
    lock = FileLock(path)
    with explain_os_errors(path):
        try:
            lock.acquire(timeout=0)
        except Timeout:
            reporter.note(f"another `sartor` is {doing}; waiting for it")
            lock.acquire()
    try:
        yield lock
    finally:
        lock.release()
