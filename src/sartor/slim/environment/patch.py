"""What brings a slimmed file's original back: where its bytes stand in that one, and the rest.

The slimmed file is made of pieces of the original. Turned round, the original is made of stretches
of the slimmed file and of the bytes that are in none of them, which are kept in their order. A kept
file is one stream of zstd: 8 bytes that say how long the JSON of the stretches is, it, those bytes.
"""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING, BinaryIO, Protocol

import msgspec

from sartor.slim.library.pieces import AT_ONCE, Copied

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from sartor.slim.library.pieces import Piece

LEVEL = 3
LENGTH = struct.Struct("<Q")
MOST_STRETCHES = 64 << 20
"""Bytes of JSON."""
KEPT = -1
"""In place of an offset in the slimmed file: the bytes are among those that are kept."""

Stretch = tuple[int, int]
"""Offset in the slimmed file, or `KEPT`; and how many bytes."""


class _Reads(Protocol):
    def read(self, size: int = ..., /) -> bytes: ...


class Unfit(Exception):  # noqa: N818 - a case that the caller names
    """What is kept is damaged, or is not that of the file."""


def turned_round(pieces: Iterable[Piece], size: int) -> list[Stretch]:
    """The original of ``size`` bytes, from its beginning, as stretches of what the pieces make."""
    copied: list[tuple[int, int, int]] = []
    at = 0
    for piece in pieces:
        if isinstance(piece, Copied):
            copied.append((piece.offset, piece.size, at))
        at += piece.size
    found: list[Stretch] = []
    done = 0
    for offset, length, place in sorted(copied):
        skipped = max(done - offset, 0)  # a piece of the original may be there twice
        if skipped >= length:
            continue
        if offset > done:
            found.append((KEPT, offset - done))
        found.append((place + skipped, length - skipped))
        done = offset + length
    if done < size:
        found.append((KEPT, size - done))
    return found


def keep(original: Path, stretches: list[Stretch], place: Path) -> int:
    """Write what is to be kept of ``original`` to ``place``; how many bytes that takes.

    Raises `OSError`.
    """
    import zstandard

    packer = zstandard.ZstdCompressor(LEVEL, threads=-1, write_checksum=True)
    with original.open("rb") as read, place.open("wb") as file:
        with packer.stream_writer(file, closefd=False) as into:
            told = msgspec.json.encode(stretches)
            into.write(LENGTH.pack(len(told)) + told)
            at = 0
            for offset, size in stretches:
                if offset == KEPT:
                    for data in _read(read, at, size):
                        into.write(data)
                at += size
        return file.tell()


def restored(slimmed: Path, kept: Path) -> Iterator[bytes]:
    """The original's bytes, not held against its digest; raises `Unfit` and `OSError`."""
    import zstandard

    try:
        with kept.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
            (length,) = LENGTH.unpack(_exactly(stream, LENGTH.size))
            if length > MOST_STRETCHES:
                raise Unfit("it is none that Sartor wrote")
            stretches = msgspec.json.decode(_exactly(stream, length), type=list[Stretch])
            with slimmed.open("rb") as read:
                for offset, size in stretches:
                    if offset != KEPT:
                        yield from _read(read, offset, size)
                        continue
                    for at in range(0, size, AT_ONCE):
                        yield _exactly(stream, min(AT_ONCE, size - at))
    except (zstandard.ZstdError, msgspec.DecodeError) as error:
        raise Unfit(str(error)) from error


def _exactly(stream: _Reads, size: int) -> bytes:
    parts = []
    while size:
        data = stream.read(size)
        if not data:
            raise Unfit("it breaks off")
        parts.append(data)
        size -= len(data)
    return b"".join(parts)


def restored_sha256(slimmed: Path, kept: Path) -> str:
    """The digest of what would come back; raises `Unfit` and `OSError`."""
    whole = hashlib.sha256()
    for data in restored(slimmed, kept):
        whole.update(data)
    return whole.hexdigest()


def _read(file: BinaryIO, offset: int, size: int) -> Iterator[bytes]:
    file.seek(offset)
    while size:
        data = file.read(min(size, AT_ONCE))
        if not data:
            raise Unfit("the slimmed file is shorter than it was")
        yield data
        size -= len(data)
