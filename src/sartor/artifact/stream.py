"""A stream that only goes forward, and can be opened again, read like a file.

One pass keeps what the readers of a library want: its beginning (headers, symbols), its end (the
table of sections), and the headers of its device code, which `speculate` finds on the way. What is
asked for besides is read in another pass; reads in increasing order share one.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

from isal import isal_zlib

from sartor.artifact.source import Invalid, check_range
from sartor.artifact.speculate import Speculation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HEAD = 8 << 20
TAIL = 16 << 20
"""The parts that are kept of a large stream: what `readelf` asks of real libraries lies in them."""
WHOLE = 32 << 20
"""A stream up to this size is kept whole."""
RECENT = 1 << 20
"""What a pass for more keeps behind it, for reads that go back a little."""
MOST_PASSES = 24
"""Over one stream. An honest library takes two; each may be minutes for a hostile one."""


class Digest(Protocol):
    """What is fed with bytes: one of `hashlib`'s."""

    def update(self, data: bytes, /) -> None:
        """The next bytes."""


class StreamedSource:
    """Bytes of a known size out of ``open_stream()``, which gives them from the beginning.

    ``open_stream`` may be called several times. `Invalid` is raised where the stream has more or
    fewer bytes than ``size``, or another CRC-32 than ``crc`` (None: not known): at the first read,
    or where a large stream's beginning was read first, at the first read beyond it. ``digest`` is
    fed with the bytes of the first pass. Holds at most
    `HEAD` + `TAIL` + what speculation keeps (64 MiB), or `WHOLE`.
    """

    def __init__(
        self,
        open_stream: Callable[[], Iterator[bytes]],
        size: int,
        name: str,
        crc: int | None = None,
        digest: Digest | None = None,
    ) -> None:
        self.name = name
        self.size = size
        self.passes = 0
        self._digest = digest
        self._open = open_stream
        self._crc = crc
        self._head = bytearray()
        self._tail = bytearray()
        self._fault: Invalid | None = None
        self._speculation = None if size <= WHOLE else Speculation(size)
        self._first: Iterator[bool] | None = None
        self._further: Forward | None = None

    def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``offset``; raises `Invalid` where they cannot be had."""
        check_range(self, offset, length)
        end = offset + length
        in_head = end <= HEAD and self.size > WHOLE
        self._advance(end if in_head else self.size)
        if end <= len(self._head):
            return bytes(self._head[offset:end])
        tail = self.size - len(self._tail)
        if offset >= tail:
            return bytes(self._tail[offset - tail : end - tail])
        kept = self._speculation.find(offset, length) if self._speculation else None
        return self._again(offset, length) if kept is None else kept

    def expect_names(self) -> None:
        """Keep, of a library that is not kept whole, what names of kernels are read from.

        To be said before the first read. It is up to `sartor.artifact.speculate.MOST_PAYLOADS`.
        """
        if self._speculation is not None and self._first is None:
            self._speculation.expect_names()

    def finish(self) -> None:
        """Read to the end, so that size and checksum are known to hold, or raise `Invalid`."""
        self._advance(self.size)

    @property
    def _head_size(self) -> int:
        return self.size if self.size <= WHOLE else HEAD

    def _advance(self, end: int) -> None:
        """Go on with the first pass until the head reaches ``end``, or to the stream's own end."""
        if self._fault:
            raise self._fault
        if self._first is None:
            self.passes += 1
            self._first = self._first_pass()
        try:
            while end == self.size or len(self._head) < end:
                if not next(self._first, False):
                    break
        except Invalid as fault:
            self._fault = fault
            raise

    def _first_pass(self) -> Iterator[bool]:
        seen = crc = 0
        for piece in self._open():
            base, seen = seen, seen + len(piece)
            if seen > self.size:
                raise Invalid(self.name, self.size, "there are more bytes than its size says")
            if self._crc is not None:
                crc = isal_zlib.crc32(piece, crc)
            if self._digest is not None:
                self._digest.update(piece)
            self._keep(base, piece)
            yield True
        if seen < self.size:
            reason = f"the bytes end here, and its size says {self.size}"
            raise Invalid(self.name, seen, reason)
        if self._crc is not None and crc != self._crc:
            reason = f"the bytes have another CRC-32 ({crc:#010x}) than was noted"
            raise Invalid(self.name, 0, f"{reason} ({self._crc:#010x})")

    def _keep(self, base: int, piece: bytes) -> None:
        if base < self._head_size:
            self._head += piece[: self._head_size - base]
        if self._speculation is None:
            return
        self._speculation.feed(base, piece)
        tail = self.size - TAIL
        if base + len(piece) > tail:
            self._tail += piece[max(tail - base, 0) :]

    def _again(self, offset: int, length: int) -> bytes:
        if self._further is None or not self._further.reaches(offset):
            if self.passes >= MOST_PASSES:
                reason = f"reading on would take more than {MOST_PASSES} passes over the stream"
                raise Invalid(self.name, offset, reason)
            self.passes += 1
            self._further = Forward(self._open(), self.name)
        return self._further.read(offset, length)


class Forward:
    """Ranges out of one pass, in increasing order, or not further back than `RECENT`.

    The stream's first byte is at offset ``start``.
    """

    def __init__(self, stream: Iterator[bytes], name: str, start: int = 0) -> None:
        self._stream = stream
        self._name = name
        self._kept: deque[bytes] = deque()
        self._start = self._end = start

    @property
    def end(self) -> int:
        """Up to where the stream was read."""
        return self._end

    def reaches(self, offset: int) -> bool:
        """Whether ``offset`` has not gone by yet."""
        return offset >= self._start

    def read(self, offset: int, length: int) -> bytes:
        """``length`` bytes from ``offset``."""
        while self._end < offset + length:
            piece = next(self._stream, None)
            if piece is None:
                raise Invalid(self._name, self._end, "the stream became shorter")
            self._kept.append(piece)
            self._end += len(piece)
            self._forget(min(offset, self._end - RECENT))
        return self._gather(offset, length)

    def _forget(self, before: int) -> None:
        while self._kept and self._start + len(self._kept[0]) <= before:
            self._start += len(self._kept.popleft())

    def _gather(self, offset: int, length: int) -> bytes:
        parts, at = [], self._start
        for piece in self._kept:
            if at + len(piece) > offset and at < offset + length:
                parts.append(piece[max(offset - at, 0) : offset + length - at])
            at += len(piece)
        return b"".join(parts)
