"""A file to be written, as pieces: ranges of another file, and bytes that are new."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from sartor.artifact.source import Invalid, check_range

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sartor.artifact.source import Source

AT_ONCE = 1 << 20
MOST_JOINED = 1 << 16
"""New bytes of up to this size are joined to those before them."""


class Copied(NamedTuple):
    """``size`` bytes of the input, from ``offset``."""

    offset: int
    size: int


class Made(NamedTuple):
    """Bytes that are not in the input, or not so."""

    data: bytes

    @property
    def size(self) -> int:
        """How many."""
        return len(self.data)


Piece = Copied | Made


class Edit(NamedTuple):
    """Other bytes from ``offset`` of the input on, as many as there are in ``data``."""

    offset: int
    data: bytes


def edited(pieces: Iterable[Piece], edits: Iterable[Edit]) -> list[Piece]:
    """The pieces with what the edits change; ranges that follow one another become one.

    Edits of bytes that are not copied are without effect. Raises `ValueError` where two overlap.
    """
    ordered = sorted(edit for edit in edits if edit.data)
    ends = [edit.offset + len(edit.data) for edit in ordered]
    if any(end > after.offset for end, after in zip(ends, ordered[1:], strict=False)):
        raise ValueError("edits overlap")
    starts = [edit.offset for edit in ordered]
    found: list[Piece] = []
    for piece in pieces:
        if isinstance(piece, Made):
            _append(found, piece)
            continue
        at, end = piece
        end += at
        for i in range(bisect_left(ends, at + 1), bisect_left(starts, end)):
            start, data = ordered[i]
            _append(found, Copied(at, start - at))
            _append(found, Made(data[max(at - start, 0) : end - start]))
            at = min(max(ends[i], at), end)
        _append(found, Copied(at, end - at))
    return found


def _append(found: list[Piece], piece: Piece) -> None:
    if piece.size <= 0:
        return
    last = found[-1] if found else None
    if isinstance(last, Copied) and isinstance(piece, Copied):
        if last.offset + last.size == piece.offset:
            found[-1] = Copied(last.offset, last.size + piece.size)
            return
    elif isinstance(last, Made) and isinstance(piece, Made) and _are_small(last, piece):
        found[-1] = Made(last.data + piece.data)
        return
    found.append(piece)


def _are_small(*pieces: Made) -> bool:
    return sum(piece.size for piece in pieces) <= MOST_JOINED


def length(pieces: Iterable[Piece]) -> int:
    """How many bytes the file has."""
    return sum(piece.size for piece in pieces)


def streamed(pieces: Iterable[Piece], source: Source) -> Iterator[bytes]:
    """The file's bytes, at most `AT_ONCE` of the input's at a time; raises `Invalid`."""
    for piece in pieces:
        if isinstance(piece, Made):
            yield piece.data
            continue
        for at in range(piece.offset, piece.offset + piece.size, AT_ONCE):
            yield source.read(at, min(AT_ONCE, piece.offset + piece.size - at))


class PiecesSource:
    """The file that pieces make, to be read as if it were written."""

    def __init__(self, pieces: list[Piece], source: Source) -> None:
        self.name = source.name
        self._pieces = pieces
        self._source = source
        self._starts = list(accumulate((piece.size for piece in pieces), initial=0))
        self.size = self._starts[-1]

    def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``offset``; raises `Invalid` where there are fewer."""
        check_range(self, offset, length)
        return b"".join(streamed(self.cut(offset, length), self._source))

    def cut(self, offset: int, length: int) -> Iterator[Piece]:
        """The pieces of a range of it."""
        at = bisect_right(self._starts, offset) - 1
        while length > 0:
            piece, inside = self._pieces[at], offset - self._starts[at]
            size = min(piece.size - inside, length)
            if isinstance(piece, Made):
                yield Made(piece.data[inside : inside + size])
            elif size:
                yield Copied(piece.offset + inside, size)
            offset, length, at = offset + size, length - size, at + 1


def on_top(pieces: Iterable[Piece], below: PiecesSource) -> list[Piece]:
    """Pieces of a file that is made of pieces itself, as pieces of what that one is made of."""
    found: list[Piece] = []
    for piece in pieces:
        parts = [piece] if isinstance(piece, Made) else below.cut(piece.offset, piece.size)
        for part in parts:
            _append(found, part)
    return found


def first_difference(pieces: Iterable[Piece], source: Source, written: Source) -> int | None:
    """Where ``written`` first is not what the pieces say; None where it is that, all of it."""
    at = 0
    try:
        for data in streamed(pieces, source):
            if written.read(at, len(data)) != data:
                return at
            at += len(data)
    except Invalid:
        return at
    return None if at == written.size else at
