"""A remote file as a `Source`: in stretches that are read forward, or as a whole that is hashed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.artifact.source import check_range
from sartor.artifact.stream import Forward
from sartor.remote.hasher import PIECE, Hasher

if TYPE_CHECKING:
    from collections.abc import Generator

    from sartor.remote.file import RemoteFile

SKIP = 1 << 20
"""Bytes that are read over; for more, another range is asked for."""


class View:
    """A remote file as a `Source`: a stretch of it, read forward, is one request.

    What is asked for outside of ``start`` to ``end`` is a request of its own, unless it lies in
    the tail. Going back by more than `sartor.artifact.stream.RECENT` is a request too. One thread.
    """

    def __init__(self, file: RemoteFile, start: int = 0, end: int = 0) -> None:
        self.name = file.name
        self.size = file.size
        self._file = file
        self._start = start
        self._end = end
        self._tail_at = file.size - len(file.tail)
        self._forward: Forward | None = None
        self._stream: Generator[bytes, None, None] | None = None

    def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``offset``; raises `Invalid` where there are fewer."""
        check_range(self, offset, length)
        tail, end = self._tail_at, offset + length
        if offset >= tail:
            return self._file.tail[offset - tail : end - tail]
        if end <= tail:
            return self._far(offset, length)
        return self._far(offset, tail - offset) + self._file.tail[: end - tail]

    def holds(self, offset: int, length: int) -> bool:  # noqa: ARG002
        """Whether they are kept."""
        return offset >= self._tail_at

    def close(self) -> None:
        """Leave the stream."""
        if self._stream is not None:
            self._stream.close()
        self._stream = self._forward = None

    def _far(self, offset: int, length: int) -> bytes:
        if not length:
            return b""
        forward = self._forward
        if forward is None or not forward.reaches(offset) or self._too_far(forward, offset):
            self.close()
            forward = self._forward = self._begin(offset, length)
        return forward.read(offset, length)

    def _too_far(self, forward: Forward, offset: int) -> bool:
        return self._file.ranges == "given" and offset - forward.end > SKIP

    def _begin(self, offset: int, length: int) -> Forward:
        end = max(self._end if self._start <= offset else 0, offset + length)
        self._stream = self._pieces(offset, min(end, self._tail_at))
        return Forward(self._stream, self.name, offset)

    def _pieces(self, start: int, end: int) -> Generator[bytes, None, None]:
        yield from self._file.stream(start, end)


class HashedView:
    """The whole file as it goes by once, in its order, hashed; `finish` gives its sha256.

    What is asked for again after it went by is another request, whose bytes are held against
    what went by, stretch by stretch; where that cannot be, ``again`` says so.
    """

    def __init__(self, file: RemoteFile) -> None:
        self.name = file.name
        self.size = file.size
        self.again = False
        self._file = file
        self._tail_at = file.size - len(file.tail)
        self._hasher = Hasher(pieces=True)
        self._stream = self._hashed()
        self._forward = Forward(self._stream, self.name)
        self._behind = View(file, 0, self._tail_at)

    def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``offset``; raises `Invalid` where there are fewer."""
        check_range(self, offset, length)
        far = min(length, max(self._tail_at - offset, 0))
        if far < length:
            kept = self._behind.read(offset + far, length - far)
            return self.read(offset, far) + kept if far else kept
        if self._forward.reaches(offset):
            return self._forward.read(offset, length)
        return self._once_more(offset, length)

    def holds(self, offset: int, length: int) -> bool:
        """Whether these bytes are kept."""
        return self._behind.holds(offset, length)

    def finish(self) -> str:
        """Read on to the end; the sha256 of all that went by."""
        while self._forward.end < self._tail_at:
            at = self._forward.end
            self._forward.read(at, min(SKIP, self._tail_at - at))
        self._hasher.update(self._file.tail)
        return self._hasher.hexdigest()

    def close(self) -> None:
        """Leave all streams."""
        self._stream.close()
        self._behind.close()
        self._hasher.close()

    def _once_more(self, offset: int, length: int) -> bytes:
        first, end = offset - offset % PIECE, -(-(offset + length) // PIECE) * PIECE
        if end > self._forward.end:
            self.again = True
            return self._behind.read(offset, length)
        data = self._behind.read(first, end - first)
        if not self._hasher.has_seen(first, data):
            raise self._file.untrusted("it changed while it was read")
        return data[offset - first : offset - first + length]

    def _hashed(self) -> Generator[bytes, None, None]:
        for block in self._file.stream(0, self._tail_at):
            self._hasher.update(block)
            yield block
