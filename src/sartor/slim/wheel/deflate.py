"""Deflating on all cores: blocks of one size, each by itself, put one after another.

Where a block ends does not depend on how many are compressed at a time, so neither do the bytes.
"""

from __future__ import annotations

import hashlib
from collections import deque
from typing import TYPE_CHECKING

from isal import isal_zlib

from sartor.artifact.inflate import RAW

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future, ThreadPoolExecutor

    from sartor.artifact.source import Source

BLOCK = 1 << 20
LEVEL = 3
"""ISA-L's best: what it gives is 6 % larger than zlib's 6, in a tenth of the time."""
AHEAD = 4
"""Blocks for each core that may wait."""


class Sums:
    """What is counted of bytes on their way: their CRC-32 and their sha256."""

    def __init__(self) -> None:
        self.crc = 0
        self.sha256 = hashlib.sha256()

    def update(self, data: bytes) -> None:
        """The next bytes."""
        self.crc = isal_zlib.crc32(data, self.crc)
        self.sha256.update(data)


def deflated(source: Source, pool: ThreadPoolExecutor, workers: int, sums: Sums) -> Iterator[bytes]:
    """The source as one raw deflate stream; ``sums`` counts its plain bytes.

    Raises `Invalid` where it cannot be read.
    """
    waiting: deque[Future[tuple[bytes, bytes]]] = deque()
    for at in range(0, max(source.size, 1), BLOCK):
        size = min(BLOCK, source.size - at)
        last = at + size >= source.size
        waiting.append(pool.submit(_block, source, at, size, last=last))
        if len(waiting) > AHEAD * workers:
            yield _next(waiting, sums)
    while waiting:
        yield _next(waiting, sums)


def _next(waiting: deque[Future[tuple[bytes, bytes]]], sums: Sums) -> bytes:
    plain, compressed = waiting.popleft().result()
    sums.update(plain)
    return compressed


def _block(source: Source, at: int, size: int, *, last: bool) -> tuple[bytes, bytes]:
    plain = source.read(at, size)
    return plain, deflated_bytes(plain, last=last)


def deflated_bytes(data: bytes, *, last: bool = True) -> bytes:
    """One block; where it is not the ``last``, it ends with a byte's boundary."""
    machine = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, RAW)
    end = isal_zlib.Z_FINISH if last else isal_zlib.Z_FULL_FLUSH
    found: bytes = machine.compress(data) + machine.flush(end)
    return found
