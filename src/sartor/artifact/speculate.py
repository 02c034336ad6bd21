"""Keeping, while a stream goes by, the headers that `fatbin.containers` will ask for.

The sections of a library, and so the place of its device code, are known only at its end; by then
a stream is over. So containers are followed wherever their magic stands. Nothing is judged here:
what is kept are bytes at their offsets, and what turns out not to be there is read in another pass.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from sartor.artifact import fatbin
from sartor.artifact.elf import SEGMENT, SegmentType
from sartor.artifact.fatbin import BEGINNING

if TYPE_CHECKING:
    from collections.abc import Generator

SEARCH = 0
"""In place of a length: the next offset, a multiple of eight, at which the magic stands."""
KEPT_ENTRY, KEPT_HEADER = 256, 4 << 10
"""From an image's header on, and of a longer header; 64 to 144 bytes were seen."""
KEPT_PADDING = 64 << 10
"""Of a padding longer than a container's header, as `fatbin.after_padding` asks for it."""
MOST_KEPT = 64 << 20
MOST_PAYLOAD, MOST_PAYLOADS = 8 << 20, 96 << 20
"""Of one image whose kernels may be asked for, and of all of a library's: what is more is read in
another pass. PyTorch 2.11's largest library takes 30 MiB."""
SPAN_COST = 200
"""Bytes of memory for a span besides its own; the largest library has some 20,000 images."""
MOST_FALSE = 1 << 16
"""Magics that lead nowhere: a stream made of them must not be followed step by step."""
ELF_HEADER = 64
ELF_64_LITTLE = b"\x7fELF\2\1"
PF_X = 1
MOST_DYNAMIC = 64 << 10
"""The largest known, of PyTorch, has 816 bytes."""
MOST_SEGMENTS = 64
MOST_TABLE_OFFSET = 64 << 10

Ask = tuple[int, int]
Answer = tuple[int, bytes]


class Spans:
    """Bytes at their offsets, added in increasing order; ``room`` says how many more may be."""

    def __init__(self, room: int) -> None:
        self._starts: list[int] = []
        self._spans: list[bytearray] = []
        self.room = room
        self.samples_left = fatbin.MOST_SAMPLES

    def add(self, offset: int, data: bytes) -> None:
        """Keep these; they begin no earlier than those that were added last."""
        if self._starts:
            last, start = self._spans[-1], self._starts[-1]
            end = start + len(last)
            if offset <= end:
                new = data[end - offset :]
                last += new
                self.room -= len(new)
                return
        self._starts.append(offset)
        self._spans.append(bytearray(data))
        self.room -= len(data) + SPAN_COST

    def cut(self, offset: int) -> None:
        """Forget those that begin after ``offset``: what led there is no container."""
        while self._starts and self._starts[-1] > offset:
            self._starts.pop()
            self.room += len(self._spans.pop()) + SPAN_COST

    def find(self, offset: int, length: int) -> bytes | None:
        """``length`` bytes from ``offset``, if they are kept together."""
        index = bisect_right(self._starts, offset) - 1
        if index < 0:
            return None
        at = offset - self._starts[index]
        found = self._spans[index][at : at + length]
        return bytes(found) if len(found) == length else None


class Speculation:
    """Feed it the stream, piece by piece; ``spans`` then holds what looked like headers."""

    def __init__(self, size: int) -> None:
        self.spans = Spans(MOST_KEPT)
        self.payloads = Spans(0)
        self._code = self._dynamic = range(0)
        self._dynamic_bytes = b""
        self._walk = self._follow(size)
        self._ask: Ask | None = next(self._walk, None)
        self._held = b""
        self._false = 0

    def expect_names(self) -> None:
        """Keep of each container the image whose kernels are the cheapest to read, too."""
        self.payloads.room = MOST_PAYLOADS

    def find(self, offset: int, length: int) -> bytes | None:
        """``length`` bytes from ``offset``, if they are kept together."""
        at = offset - self._dynamic.start
        if at >= 0 and at + length <= len(self._dynamic_bytes):
            return self._dynamic_bytes[at : at + length]
        kept = self.spans.find(offset, length)
        return self.payloads.find(offset, length) if kept is None else kept

    def feed(self, base: int, piece: bytes) -> None:
        """The next piece, which begins at ``base``."""
        self._follow_headers(base, piece)
        start, stop = max(base, self._dynamic.start), min(base + len(piece), self._dynamic.stop)
        if start == self._dynamic.start + len(self._dynamic_bytes) and start < stop:
            self._dynamic_bytes += piece[start - base : stop - base]

    def _follow_headers(self, base: int, piece: bytes) -> None:
        window = self._held + piece if self._held else piece
        base -= len(self._held)
        self._held = b""
        end = base + len(window)
        while self._ask is not None:
            offset, length = self._ask
            if length == SEARCH:
                found = self._search(window, base, offset)
                if found is None:
                    self._hold_beginning_of_magic(window, base, offset)
                    return
                self._answer((found, b""))
            elif offset + length > end:
                self._held = window[offset - base :] if offset < end else b""
                return
            else:
                self._answer((offset, window[offset - base : offset - base + length]))

    def _answer(self, answer: Answer) -> None:
        enough = self.spans.room < 0 or self._false > MOST_FALSE
        self._ask = None if enough else next_of(self._walk, answer)

    def _search(self, window: bytes, base: int, offset: int) -> int | None:
        at = max(offset - base, 0)
        if base in self._code and base + len(window) in self._code:
            return None
        while (at := window.find(BEGINNING, at)) >= 0 and self._false <= MOST_FALSE:
            if (base + at) % fatbin.PADDING == 0:
                self._false += 1
                return base + at
            self._false += 1
            at += 1
        return None

    def _hold_beginning_of_magic(self, window: bytes, base: int, offset: int) -> None:
        end = base + len(window)
        last = max(end // fatbin.PADDING * fatbin.PADDING, base)
        begun = window[last - base :]
        if (
            last % fatbin.PADDING == 0
            and 0 < len(begun) < len(BEGINNING)
            and BEGINNING.startswith(begun)
        ):
            self._held = begun
        self._ask = (max(offset, end - len(self._held)), SEARCH)

    def _follow(self, size: int) -> Generator[Ask, Answer, None]:
        """Asks for bytes at increasing offsets, and keeps what may be headers."""
        self._code, self._dynamic = yield from _segments(size)
        at = 0
        while size - at >= fatbin.CONTAINER.size:
            at, _ = yield at, SEARCH
            while (end := (yield from self._container(at, size))) is not None:
                at = yield from _after_padding(self.spans, end, size)
            self.spans.cut(at)
            at += len(BEGINNING)

    def _container(self, at: int, size: int) -> Generator[Ask, Answer, int | None]:
        """Keeps the headers of the container at ``at``; gives its end; None: there is none."""
        if size - at < fatbin.CONTAINER.size:
            return None
        _, data = yield at, fatbin.CONTAINER.size
        if not data.startswith(BEGINNING):
            return None
        self.spans.add(at, data)
        payload: int = fatbin.CONTAINER.unpack(data)[-1]
        offset = at + fatbin.CONTAINER.size
        end = offset + payload
        if end > size:
            return None
        cheapest: Cheapest | None = None
        while offset < end:
            entry = yield from _entry(self.spans, offset, end)
            if entry is None:
                return None
            cheaper = cheapest is None or entry.cost < cheapest.cost
            if self.payloads.room > 0 and entry.kernels and cheaper:
                cheapest = yield from _payload(entry)
            offset = entry.end
        if cheapest is not None and cheapest.data:
            self.payloads.add(cheapest.offset, cheapest.data)
        return end


def next_of(walk: Generator[Ask, Answer, None], answer: Answer) -> Ask | None:
    """What the walk asks for next; None when it is over."""
    try:
        return walk.send(answer)
    except StopIteration:
        return None


def _segments(size: int) -> Generator[Ask, Answer, tuple[range, range]]:
    """Where an ELF file has its processor's code, and its dynamic section.

    The first is half of many libraries and holds no device code; a segment that begins with the
    file may hold everything else too, and is searched. The second may lie far from both ends.
    """
    nowhere = range(0), range(0)
    if size < ELF_HEADER:
        return nowhere
    _, data = yield 0, ELF_HEADER
    (table,), (each, count) = (
        struct.unpack_from("<Q", data, 32),
        struct.unpack_from("<HH", data, 54),
    )
    length = SEGMENT.size * count
    if not data.startswith(ELF_64_LITTLE) or each != SEGMENT.size or not 0 < count < MOST_SEGMENTS:
        return nowhere
    if not ELF_HEADER <= table < MOST_TABLE_OFFSET or table + length > size:
        return nowhere
    _, data = yield table, length
    code, dynamic = nowhere
    for kind, flags, offset, _, _, stored, _, _ in SEGMENT.iter_unpack(data):
        if kind == SegmentType.LOAD and flags & PF_X and offset and not code:
            code = range(offset, offset + stored)
        if kind == SegmentType.DYNAMIC and stored <= MOST_DYNAMIC:
            dynamic = range(offset, offset + stored)
    return code, dynamic


class Passing(NamedTuple):
    """An image as it goes by: what it would cost to read its kernels, if it has any."""

    offset: int
    payload: int
    stored: int
    end: int
    cost: tuple[bool, bool, int]
    kernels: bool


class Cheapest(NamedTuple):
    """The image of a container whose kernels cost least so far; no bytes where it is too large."""

    offset: int
    cost: tuple[bool, bool, int]
    data: bytes


def _payload(entry: Passing) -> Generator[Ask, Answer, Cheapest]:
    """The payload of an image whose header was the last thing asked for."""
    if entry.stored > MOST_PAYLOAD:
        return Cheapest(entry.payload, entry.cost, b"")
    _, data = yield entry.offset, entry.payload + entry.stored - entry.offset
    return Cheapest(entry.payload, entry.cost, data[entry.payload - entry.offset :])


def _entry(spans: Spans, at: int, end: int) -> Generator[Ask, Answer, Passing | None]:
    """Keeps the header of the image at ``at``; None: there is none."""
    if end - at < fatbin.ENTRY.size:
        return None
    _, data = yield at, fatbin.ENTRY.size
    header, size, compressed = struct.unpack_from("<IQI", data, 4)
    after: int = at + header + size
    if not fatbin.ENTRY.size <= header <= fatbin.MOST_HEADER or after > end:
        return None
    kept = min(max(KEPT_ENTRY, min(header, KEPT_HEADER)), end - at)
    kind = int.from_bytes(data[:2], "little")
    if kind == fatbin.Kind.CUBIN and size <= fatbin.SAMPLE and spans.samples_left:
        spans.samples_left -= 1
        kept = after - at
    _, data = yield at, kept
    spans.add(at, data)
    stored = compressed or size
    cost = fatbin.cost(kind, stored, compressed=compressed > 0)
    has_kernels = kind in (fatbin.Kind.CUBIN, fatbin.Kind.PTX) and stored <= size
    return Passing(at, at + header, stored, after, cost, has_kernels)


def _after_padding(spans: Spans, at: int, size: int) -> Generator[Ask, Answer, int]:
    """Keeps the padding after a container, and gives where it seems to end."""
    if size - at < fatbin.CONTAINER.size:
        return at
    _, data = yield at, fatbin.CONTAINER.size
    spans.add(at, data)
    zeros = _zeros(data)
    if zeros == len(data):
        _, data = yield at, min(size - at, KEPT_PADDING + len(data))
        spans.add(at, data)
        zeros = _zeros(data)
    return at + zeros // fatbin.PADDING * fatbin.PADDING


def _zeros(data: bytes) -> int:
    """How many zeros it begins with."""
    return len(data) - len(data.lstrip(b"\0"))
