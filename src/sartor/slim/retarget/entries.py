"""Entries of a container that are made here: compiled code, and images compressed anew.

Their headers are those that NVIDIA's ``fatbinary`` writes, byte for byte, and so is what zstd
makes of them (docs/fatbin.md has the fields; the tests ask ``fatbinary`` itself).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal

import msgspec

from sartor.artifact.elf import Elf
from sartor.artifact.fatbin import ENTRY, OPTIONS, Entry, Flag, Kind, read_entry
from sartor.artifact.payload import plain_payload
from sartor.artifact.source import BytesSource

if TYPE_CHECKING:
    from sartor.artifact.source import Source
    from sartor.verdict.load_rule import Architecture

Compression = Literal["zstd", "lz4"]

VERSION = 0x0101
ALIGNMENT = 8
ABI_AT = 8
"""Where an ELF header has its ABI's version, which an entry's header repeats as a minor number."""
MAJOR = 1
COMPAT = ".nv.compat"
COMPAT_FROM = 10
"""The major compute capability from which on `fatbinary` copies a cubin's ``.nv.compat``."""
SUFFIXES = {"": 0, "a": int(Flag.ARCH_SPECIFIC), "f": int(Flag.FAMILY_SPECIFIC)}
BITS = {"zstd": int(Flag.ZSTD), "lz4": int(Flag.LZ4)}
ZSTD_LEVEL = 19
"""nvcc's ``--compress-mode=size``."""
LZ4_LEVEL = 9
DEBUG = int(Flag.DEBUG)


class Fresh(msgspec.Struct, frozen=True):
    """An entry that is not in the input, or not so; it stands where the input's ``place`` stood.

    ``entry`` is what its header says, at offset 0 of ``data``. ``digest`` is the sha256 of what
    `plain_payload` gives of it.
    """

    place: int
    was: Literal["compiled", "compressed"]
    data: bytes
    entry: Entry
    digest: bytes


def compiled_entry(
    source: Source,
    ptx: Entry,
    place: int,
    cubin: bytes,
    code: Architecture,
    how: Compression | None,
) -> Fresh:
    """The entry for what was compiled for ``code`` from the PTX that is at ``place``.

    ``how``: compressed so, where that is smaller. Raises `Invalid` where ``cubin`` is none.
    """
    name = _debug_name(source, ptx)
    ended = name + b"\0" if name else b""  # readers take it for a C string
    padded = ended + bytes(-len(ended) % ALIGNMENT)
    record = _compatibility(cubin, ENTRY.size + len(padded)) if code.major >= COMPAT_FROM else b""
    flags = int(Flag.BITS_64 | Flag.LINUX) | SUFFIXES[code.suffix] | ptx.flags & DEBUG
    flags |= int(Flag.COMPATIBILITY) if record else 0
    fields = [
        Kind.CUBIN,
        VERSION,
        ENTRY.size + len(padded) + len(record),
        0,
        0,
        ENTRY.size + len(padded) if record else 0,
        cubin[ABI_AT],
        MAJOR,
        code.major * 10 + code.minor,
        ENTRY.size if name else 0,
        len(name),
        flags,
        0,
        0,
    ]
    return _packed(place, "compiled", fields, padded + record, cubin, how)


def _debug_name(source: Source, ptx: Entry) -> bytes:
    """The source file's name, which entries of debug builds have."""
    header = source.read(ptx.offset, ptx.header_size)
    fields = ENTRY.unpack_from(header)
    return header[fields[9] : fields[9] + fields[10]] if fields[9] else b""


def _compatibility(cubin: bytes, at: int) -> bytes:
    section = Elf(BytesSource(cubin, "cubin")).section(COMPAT)
    if section is None or not section.size:
        return b""
    text = b"\0" + cubin[section.offset : section.offset + section.size]
    record = OPTIONS.pack(at + OPTIONS.size, section.size) + text
    return record + bytes(-len(record) % ALIGNMENT)


def compressed_entry(source: Source, old: Entry, place: int, how: Compression) -> Fresh | None:
    """A plain image, compressed, with the header it has; None where it would not be smaller.

    Raises `Invalid`.
    """
    plain = source.read(old.payload, old.size)
    header = source.read(old.offset, old.header_size)
    fields = list(ENTRY.unpack_from(header))
    made = _packed(place, "compressed", fields, header[ENTRY.size :], plain, how)
    return made if made.entry.compression else None


def _packed(
    place: int,
    was: Literal["compiled", "compressed"],
    fields: list[int],
    rest: bytes,
    plain: bytes,
    how: Compression | None,
) -> Fresh:
    """An entry with this payload; ``rest`` stands between its fields and that."""
    stored = plain if how is None else compressed(plain, how)
    padding = -len(stored) % ALIGNMENT
    if how is not None and len(stored) + padding < len(plain):
        fields[4], fields[11], fields[13] = len(stored), fields[11] | BITS[how], len(plain)
    else:
        stored, padding = plain, -len(plain) % ALIGNMENT
    held = plain if stored is not plain else plain + bytes(padding)
    held = held.rstrip(b"\0") if fields[0] == Kind.PTX else held
    fields[3] = len(stored) + padding
    data = ENTRY.pack(*fields) + rest + stored + bytes(padding)
    entry = read_entry(BytesSource(data, "an image"), 0, len(data))
    return Fresh(place, was, data, entry, hashlib.sha256(held).digest())


def compressed(plain: bytes, how: Compression) -> bytes:
    """One zstd frame or LZ4 block; the same bytes whenever it is asked."""
    if how == "lz4":
        import lz4.block

        block: bytes = lz4.block.compress(
            plain, mode="high_compression", compression=LZ4_LEVEL, store_size=False
        )
        return block
    import zstandard

    return zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(plain)


def digest_of(source: Source, entry: Entry) -> bytes:
    """The sha256 of an image as it is decompressed; raises `Invalid`."""
    return hashlib.sha256(plain_payload(source, entry)).digest()
