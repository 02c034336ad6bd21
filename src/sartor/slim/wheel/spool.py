"""A library's plain bytes while it is slimmed: in memory while there is room, else in a file.

The file has no name, and is gone when it is closed, or when Sartor is killed.
"""

from __future__ import annotations

import os
import tempfile
import threading
from bisect import bisect_right
from typing import TYPE_CHECKING

from sartor.artifact.source import Invalid, check_range

if TYPE_CHECKING:
    from pathlib import Path
    from typing import IO

IN_MEMORY = 128 << 20
"""Bytes of all libraries that are held in memory at a time."""
GATHERED = 8 << 20
"""Bytes that are written at a time: a system takes large writes at a fifth of the cost of small."""


class Room:
    """How much may still be held in memory; for several threads."""

    def __init__(self, size: int = IN_MEMORY) -> None:
        self._left = size
        self._lock = threading.Lock()

    def take(self, size: int) -> bool:
        """Whether there is room for ``size`` bytes, which is taken then."""
        with self._lock:
            if size > self._left:
                return False
            self._left -= size
            return True

    def give(self, size: int) -> None:
        """Give room back."""
        with self._lock:
            self._left += size


class Spool:
    """``size`` bytes that are appended, all of them, and then read by range."""

    def __init__(self, folder: Path, name: str, size: int, room: Room) -> None:
        self.name = name
        self.size = size
        self._room = room
        self._at = 0
        self._blocks: list[bytes] = []
        self._starts: list[int] = []
        self._in_memory = room.take(size)
        self._file = None
        if not self._in_memory:
            self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115

    def append(self, data: bytes) -> None:
        """The next bytes; raises `Invalid` where they are more than was said."""
        end = self._at + len(data)
        if end > self.size:
            raise Invalid(self.name, self.size, "there are more bytes than its size says")
        if not data:
            return
        self._blocks.append(data)
        self._starts.append(self._at)
        if self._file is not None and (end == self.size or end // GATHERED > self._at // GATHERED):
            self._flush(self._file)
        self._at = end

    def _flush(self, file: IO[bytes]) -> None:
        view = memoryview(b"".join(self._blocks))
        self._blocks.clear()
        self._starts.clear()
        while view:
            view = view[file.write(view) :]

    def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``offset``; raises `Invalid` where there are fewer."""
        check_range(self, offset, length)
        if self._file is None:
            return self._held(offset, length)
        data = os.pread(self._file.fileno(), length, offset)
        while len(data) < length:  # Linux gives at most 2 GiB at a time
            more = os.pread(self._file.fileno(), length - len(data), offset + len(data))
            if not more:
                raise Invalid(self.name, offset + len(data), "the file became shorter")
            data += more
        return data

    def _held(self, offset: int, length: int) -> bytes:
        at = bisect_right(self._starts, offset) - 1
        parts: list[bytes] = []
        while length > 0:
            block, inside = self._blocks[at], offset - self._starts[at]
            part = block[inside : inside + length]
            parts.append(part)
            offset, length, at = offset + len(part), length - len(part), at + 1
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        """Give the room back; a second time does nothing."""
        if self._in_memory:
            self._in_memory = False
            self._blocks.clear()
            self._room.give(self.size)
        if self._file is not None:
            self._file.close()
