"""A sha256 in a thread of its own: hashing leaves Python's lock alone, and the reader goes on."""

from __future__ import annotations

import hashlib
import threading

from sartor.remote.pipe import NothingCame, Pipe

MOST_BLOCKS = 16
LONG = 3600.0
PIECE = 64 << 10
"""Each stretch of so many bytes has a digest of its own too: 0.05 % of what goes by is kept."""


class Hasher:
    """Feed it blocks in their order, ask for the `hexdigest` once, close it.

    With ``pieces`` what is read once more can be held against what went by.
    """

    def __init__(self, *, pieces: bool = False) -> None:
        self._pipe: Pipe[bytes | None] = Pipe(MOST_BLOCKS)
        self._digest = hashlib.sha256()
        self._cuts = pieces
        self._piece, self._left = hashlib.sha256(), PIECE
        self._pieces: list[bytes] = []
        self._changed = threading.Condition()
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

    def has_seen(self, offset: int, data: bytes) -> bool:
        """Whether ``data``, whole pieces all of which were fed, is what was fed at ``offset``."""
        first = offset // PIECE
        last = first + len(data) // PIECE
        with self._changed:
            self._changed.wait_for(lambda: len(self._pieces) >= last, LONG)
            stated = self._pieces[first:last]
        view = memoryview(data)
        found = [hashlib.sha256(view[at : at + PIECE]) for at in range(0, len(data), PIECE)]
        return [one.digest() for one in found] == stated

    def close(self) -> None:
        """Let the thread go."""
        self._pipe.close()

    def _compute(self) -> None:
        try:
            while (block := self._pipe.get(LONG)) is not None:
                self._digest.update(block)
                if self._cuts:
                    self._cut(memoryview(block))
        except NothingCame:  # closed
            return

    def _cut(self, block: memoryview) -> None:
        while block:
            part, block = block[: self._left], block[self._left :]
            self._piece.update(part)
            self._left -= len(part)
            if not self._left:
                with self._changed:
                    self._pieces.append(self._piece.digest())
                    self._changed.notify_all()
                self._piece, self._left = hashlib.sha256(), PIECE
