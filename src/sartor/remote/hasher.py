"""A sha256 in a thread of its own: hashing leaves Python's lock alone, and the reader goes on."""

from __future__ import annotations

import hashlib
import threading

from sartor.remote.pipe import NothingCame, Pipe

MOST_BLOCKS = 16
LONG = 3600.0


class Hasher:
    """Feed it blocks in their order, ask for the `hexdigest` once, close it."""

    def __init__(self) -> None:
        self._pipe: Pipe[bytes | None] = Pipe(MOST_BLOCKS)
        self._digest = hashlib.sha256()
        self._thread = threading.Thread(target=self._compute, daemon=True, name="sha256")
        self._thread.start()

    def update(self, block: bytes) -> None:
        """The next bytes."""
        self._pipe.put(block)

    def hexdigest(self) -> str:
        """The digest of all that was fed."""
        self._pipe.put(None)
        self._thread.join()
        return self._digest.hexdigest()

    def close(self) -> None:
        """Let the thread go."""
        self._pipe.close()

    def _compute(self) -> None:
        try:
            while (block := self._pipe.get(LONG)) is not None:
                self._digest.update(block)
        except NothingCame:  # closed
            return
