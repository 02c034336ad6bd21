"""So much memory for all that is read at a time."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sartor.artifact.stream import HEAD, TAIL

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOM = 160 << 20
"""What all that is read at a time may keep; with Python and the evidence it stays under 300 MB."""
LARGE = HEAD + TAIL + (24 << 20)
"""What one large library keeps, its stream included, and the names of its kernels as a rule; a
hostile one some 130 MiB more."""


class Room:
    """So much memory; who wants more than is left waits."""

    def __init__(self, most: int) -> None:
        self._most = self._left = most
        self._changed = threading.Condition()

    @contextmanager
    def taking(self, size: int) -> Iterator[None]:
        """Have ``size`` bytes of it meanwhile."""
        size = min(size, self._most)
        with self._changed:
            self._changed.wait_for(lambda: self._left >= size)
            self._left -= size
        try:
            yield
        finally:
            with self._changed:
                self._left += size
                self._changed.notify_all()
