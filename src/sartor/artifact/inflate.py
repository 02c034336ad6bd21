"""Streams of plain bytes out of compressed ones, piece by piece: no piece is ever large.

Each function takes an iterator of compressed pieces and gives one of plain pieces of at most
`PIECE` bytes, so that a bomb never stands in memory; whoever consumes it decides when it is too
much. Whatever is wrong with the bytes is one `Invalid`, its offset counted in the plain bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from isal import isal_zlib

from sartor.artifact.source import Invalid

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

    from sartor.artifact.source import Source

STEP = 256 << 10
"""Compressed bytes that are inflated at a time: with `PIECE` they stay in the processor's cache."""
FAR_STEP = 1 << 20
"""What a source is asked for at a time: good for one far away too, where each request costs."""
PIECE = 512 << 10
MOST_ZSTD_WINDOW = 128 << 20
"""What `zstd` itself takes without `--long`: a frame says how much memory it wants."""
RAW, GZIP = -15, 31
"""What zlib calls ``wbits``."""
IsalError = cast("type[Exception]", isal_zlib.error)
"""Its stubs call it an exception, not a class of them."""


def pieces(source: Source, start: int = 0, size: int | None = None) -> Iterator[bytes]:
    """The bytes of a source from ``start`` (``size`` of them, or all) in their order."""
    end = source.size if size is None else start + size
    for at in range(start, end, FAR_STEP):
        block = source.read(at, min(FAR_STEP, end - at))
        yield from (block[i : i + STEP] for i in range(0, len(block), STEP))


def inflate(compressed: Iterator[bytes], name: str) -> Iterator[bytes]:
    """A raw deflate stream, which must end exactly where the compressed bytes do."""
    return _inflated(compressed, name, RAW)


def gunzip(compressed: Iterator[bytes], name: str) -> Iterator[bytes]:
    """A gzip file of one or more members, each with its own checksum; zeros may follow."""
    return _inflated(compressed, name, GZIP)


def _inflated(compressed: Iterator[bytes], name: str, wbits: int) -> Iterator[bytes]:
    machine, fresh, done = isal_zlib.decompressobj(wbits), True, 0
    for block in compressed:
        rest = block
        while rest:
            if machine.eof:
                if wbits == RAW:
                    raise Invalid(name, done, "bytes follow the end of the compressed stream")
                rest = rest.lstrip(b"\0")
                if not rest:
                    break
                machine, fresh = isal_zlib.decompressobj(wbits), True
            plain = _step(machine, rest, name, done)
            fresh = False
            done += len(plain)
            left = machine.unused_data if machine.eof else machine.unconsumed_tail
            if not plain and len(left) == len(rest):
                raise Invalid(name, done, "cannot be inflated (nothing comes of it)")
            rest = left
            yield plain
    while not (machine.eof or fresh):  # what it still holds after its last input
        plain = _step(machine, b"", name, done)
        if not plain and not machine.eof:
            break
        done += len(plain)
        yield plain
    if not machine.eof:
        raise Invalid(name, done, "the compressed bytes end in the middle")


def _step(machine: isal_zlib.Decompress, data: bytes, name: str, done: int) -> bytes:
    try:
        plain: bytes = machine.decompress(data, PIECE)
    except IsalError as error:
        raise Invalid(name, done, f"cannot be inflated ({error})") from error
    return plain


class _Readable:
    """An iterator of pieces as the file that `zstandard` wants; ``read`` may give less."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes; none at the end."""
        block = self._rest or next(self._blocks, b"")
        data, self._rest = (block[:size], block[size:]) if 0 <= size < len(block) else (block, b"")
        return data


def unzstd(compressed: Iterator[bytes], name: str) -> Iterator[bytes]:
    """A zstd file of one or more frames; frames that are to be skipped are skipped.

    One that ends in the middle of a frame just ends: the caller must know where its data end.
    """
    import zstandard

    machine = zstandard.ZstdDecompressor(max_window_size=MOST_ZSTD_WINDOW)
    reader = machine.stream_reader(
        cast("IO[bytes]", _Readable(compressed)), read_size=STEP, read_across_frames=True
    )
    done = 0
    while True:
        try:
            plain = reader.read(PIECE)
        except zstandard.ZstdError as error:
            raise Invalid(name, done, f"cannot be decompressed ({error})") from error
        if not plain:
            return
        done += len(plain)
        yield plain
