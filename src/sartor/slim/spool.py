"""A library's plain bytes while it is slimmed: in memory while there is room, else in a file.

The file has no name, and is gone when it is closed, or when Sartor is killed.
"""

from __future__ import annotations

import os
import tempfile
import threading
from typing import TYPE_CHECKING

from sartor.artifact.source import Invalid, check_range

if TYPE_CHECKING:
    from pathlib import Path

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
        self._held = bytearray(size) if room.take(size) else None
        self._gathered: list[bytes] = []
        self._file = None
        if self._held is None:
            self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115

    def append(self, data: bytes) -> None:
        """The next bytes; raises `Invalid` where they are more than was said."""
        end = self._at + len(data)
        if end > self.size:
            raise Invalid(self.name, self.size, "there are more bytes than its size says")
        if self._held is not None:
            self._held[self._at : end] = data
        else:
            self._gathered.append(data)
            if end == self.size or end // GATHERED > self._at // GATHERED:
                self._flush()
        self._at = end

    def _flush(self) -> None:
        view = memoryview(b"".join(self._gathered))
        self._gathered.clear()
        while self._file is not None and view:
            view = view[self._file.write(view) :]

    def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``offset``; raises `Invalid` where there are fewer."""
        check_range(self, offset, length)
        if self._file is None:
            return bytes(memoryview(self._held or b"")[offset : offset + length])
        data = os.pread(self._file.fileno(), length, offset)
        while len(data) < length:  # Linux gives at most 2 GiB at a time
            more = os.pread(self._file.fileno(), length - len(data), offset + len(data))
            if not more:
                raise Invalid(self.name, offset + len(data), "the file became shorter")
            data += more
        return data

    def close(self) -> None:
        """Give the room back; a second time does nothing."""
        if self._held is not None:
            self._held = None
            self._room.give(self.size)
        if self._file is not None:
            self._file.close()
