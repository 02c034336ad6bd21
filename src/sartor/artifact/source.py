"""Where bytes come from: one small interface, so that a reader never knows what it reads.

A reader asks for ranges. What stands behind may be a file, a piece of another source, or a stream
that is inflated on the way (see `sartor.artifact.stream`); remote sources are one more class.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Protocol

from sartor.closing import Closing

if TYPE_CHECKING:
    from pathlib import Path


class Invalid(Exception):  # noqa: N818 - said of the bytes, which are no error of the reader's
    """The bytes at ``offset`` (in ``name``) are not what the format wants, or are not there.

    The one exception that readers raise about their input; whoever called them turns it into a
    `NotRead` of the evidence, or, where nothing at all could be read, into an error.
    """

    def __init__(self, name: str, offset: int, reason: str) -> None:
        super().__init__(f"{name}: at offset {offset:#x}: {reason}")
        self.name = name
        self.offset = offset
        self.reason = reason


class Source(Protocol):
    """Bytes with a size, read by range. ``name`` is what messages call it."""

    @property
    def name(self) -> str:
        """The file's or member's name, for messages."""

    @property
    def size(self) -> int:
        """How many bytes there are."""

    def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``offset``; raises `Invalid` where there are fewer."""


def check_range(source: Source, offset: int, length: int) -> None:
    """Raises `Invalid` unless ``length`` bytes from ``offset`` lie inside the source."""
    if offset < 0 or length < 0 or offset + length > source.size:
        left = max(source.size - offset, 0)
        reason = f"it is cut off or damaged: {length} bytes are wanted and {left} are left"
        raise Invalid(source.name, offset, reason)


class FileSource(Closing):
    """A file on disk, read by range; never mapped, so one that shrinks cannot end the process.

    Raises `OSError` where it cannot be opened, and `Invalid` where it is no regular file: a pipe
    would never answer, and is not waited for.
    """

    def __init__(self, path: Path, name: str | None = None) -> None:
        self.name = name or path.name
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        found = os.fstat(self._descriptor)
        if not stat.S_ISREG(found.st_mode):
            os.close(self._descriptor)
            raise Invalid(self.name, 0, "it is not a regular file")
        self.size = found.st_size

    def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``offset``; raises `Invalid` where there are fewer."""
        check_range(self, offset, length)
        data = os.pread(self._descriptor, length, offset)
        while len(data) < length:  # Linux gives at most 2 GiB at a time
            more = os.pread(self._descriptor, length - len(data), offset + len(data))
            if not more:
                raise Invalid(self.name, offset + len(data), "the file became shorter")
            data += more
        return data

    def close(self) -> None:
        """Give the file back."""
        os.close(self._descriptor)


class BytesSource:
    """Bytes in memory."""

    def __init__(self, data: bytes, name: str) -> None:
        self._data = data
        self.name = name
        self.size = len(data)

    def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``offset``; raises `Invalid` where there are fewer."""
        check_range(self, offset, length)
        return self._data[offset : offset + length]


class SliceSource:
    """A piece of another source: a stored member, a section. Offsets count from its beginning."""

    def __init__(self, whole: Source, start: int, size: int, name: str) -> None:
        check_range(whole, start, size)
        self._whole = whole
        self._start = start
        self.name = name
        self.size = size

    def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``offset``; raises `Invalid` where there are fewer."""
        check_range(self, offset, length)
        return self._whole.read(self._start + offset, length)
