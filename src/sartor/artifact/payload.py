"""An image's payload, decompressed in bounded memory: its declared size is a claim."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.artifact.fatbin import Kind
from sartor.artifact.source import Invalid

if TYPE_CHECKING:
    from sartor.artifact.fatbin import Entry
    from sartor.artifact.source import Source

MOST_PLAIN = 256 << 20
"""The largest image known takes 65 MB once decompressed (vLLM 0.25.1 and 0.32.0)."""
MOST_WINDOW = 128 << 20
"""zstd's own limit for decoders (`ZSTD_WINDOWLOG_LIMIT_DEFAULT`, 27); real frames want 8 MB."""
LZ4_MOST_RATIO = 255
"""One byte of LZ4 stands for at most so many."""


def plain_payload(source: Source, entry: Entry, most: int = MOST_PLAIN) -> bytes:
    """What the image is, decompressed; a PTX text without the NUL at its end.

    Raises `Invalid` where it would take over ``most`` bytes, is not as long as declared, or is not
    what its flags say. Holds the stored and the plain bytes, nothing more.
    """
    if max(entry.plain, entry.stored) > most:
        reason = f"image of {max(entry.plain, entry.stored)} bytes, more than {most}"
        raise Invalid(source.name, entry.offset, reason)
    stored = source.read(entry.payload, entry.stored)
    plain = _decompress(source, entry, stored) if entry.compression else stored
    if len(plain) != entry.plain:
        reason = f"image decompresses to {len(plain)} bytes and not {entry.plain}"
        raise Invalid(source.name, entry.payload, reason)
    return plain.rstrip(b"\0") if entry.kind == Kind.PTX else plain


def _decompress(source: Source, entry: Entry, stored: bytes) -> bytes:
    match entry.compression:
        case "zstd":
            reason_or_plain = _zstd(stored, entry.plain)
        case "lz4":
            reason_or_plain = _lz4(stored, entry.plain)
        case _:
            reason_or_plain = f"unknown compression (flags {entry.flags:#x})"
    if isinstance(reason_or_plain, str):
        raise Invalid(source.name, entry.payload, reason_or_plain)
    return reason_or_plain


def _lz4(stored: bytes, plain: int) -> bytes | str:
    """The plain bytes of one LZ4 block, or why there are none."""
    import lz4.block

    if plain > LZ4_MOST_RATIO * len(stored):
        return f"{len(stored)} bytes of LZ4 cannot hold {plain}"
    try:
        found: bytes = lz4.block.decompress(stored, uncompressed_size=plain)
    except lz4.block.LZ4BlockError as error:
        return f"LZ4: {error}"
    return found


def _zstd(stored: bytes, plain: int) -> bytes | str:
    """The plain bytes of one zstd frame, or why there are none."""
    import zstandard

    try:
        frame = zstandard.get_frame_parameters(stored)
        if frame.window_size > MOST_WINDOW and frame.window_size > plain:
            return f"zstd window of {frame.window_size} bytes for {plain}"
        if frame.content_size not in {plain, zstandard.CONTENTSIZE_UNKNOWN}:
            return f"zstd frame of {frame.content_size} bytes and not {plain}"
        if plain == 0:
            return "an empty image"
        decompressor = zstandard.ZstdDecompressor(max_window_size=MOST_WINDOW)
        return decompressor.decompress(stored, max_output_size=plain, allow_extra_data=False)
    except zstandard.ZstdError as error:
        return f"zstd: {error}"
