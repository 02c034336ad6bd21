"""Layers with a table of contents, after their specifications: eStargz, and zstd:chunked."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import struct
import tarfile
from typing import TYPE_CHECKING, Any

import zstandard

if TYPE_CHECKING:
    from collections.abc import Callable

STARGZ = "containerd.io/snapshot/stargz/toc.digest"
CHUNKED = "io.github.containers.zstd-chunked"
Entries = list[dict[str, Any]]
CHUNK = 100_000


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def members(files: dict[str, bytes]) -> list[tuple[str, bytes, bytes, bytes]]:
    """Of each file its path, its header, its bytes, and what fills up the last block."""
    found = []
    for path, data in files.items():
        info = tarfile.TarInfo(path)
        info.size = len(data)
        found.append((path, info.tobuf(), data, bytes(-len(data) % 512)))
    return found


def laid_out(
    files: dict[str, bytes], compress: Callable[[bytes], bytes], out: io.BytesIO
) -> Entries:
    """Write headers and bytes as streams of their own, in chunks; what the table says of them."""
    entries: Entries = []
    for path, header, data, padding in members(files):
        out.write(compress(header))
        entry: dict[str, Any] = {"type": "reg", "name": path, "size": len(data)}
        entry |= {"digest": digest(data), "offset": out.tell()}
        entries.append(entry)
        for at in range(0, len(data), CHUNK):
            chunk = {"type": "chunk", "name": path, "offset": out.tell(), "chunkOffset": at}
            entries += [chunk] if at else []
            out.write(compress(data[at : at + CHUNK]))
        entry["endOffset"] = out.tell()
        if padding:
            out.write(compress(padding))
    return entries


def estargz(
    files: dict[str, bytes], change: Callable[[Entries], None] = lambda _: None
) -> tuple[bytes, dict[str, str]]:
    """A layer and the annotations that its descriptor has; ``change`` is made to the table."""
    out = io.BytesIO()
    entries = laid_out(files, gzip.compress, out)
    for entry in entries:
        entry.pop("endOffset", None)
    change(entries)
    table = json.dumps({"version": 1, "entries": entries}).encode()
    start = out.tell()
    info = tarfile.TarInfo("stargz.index.json")
    info.size = len(table)
    out.write(gzip.compress(info.tobuf() + table + bytes(-len(table) % 512) + bytes(1024)))
    extra = b"SG" + struct.pack("<H", 22) + f"{start:016x}STARGZ".encode()
    out.write(b"\x1f\x8b\x08\x04" + bytes(5) + b"\xff" + struct.pack("<H", len(extra)) + extra)
    out.write(b"\x01\x00\x00\xff\xff" + bytes(8))
    return out.getvalue(), {STARGZ: digest(table)}


def chunked(
    files: dict[str, bytes], change: Callable[[Entries], None] = lambda _: None
) -> tuple[bytes, dict[str, str]]:
    """Likewise of zstd:chunked: the table is in a frame that is skipped, at the end."""
    out = io.BytesIO()
    compress = zstandard.ZstdCompressor().compress
    entries = laid_out(files, compress, out)
    change(entries)
    out.write(compress(bytes(1024)))
    table = json.dumps({"version": 1, "entries": entries}).encode()
    stored = compress(table)
    out.write(b"\x50\x2a\x4d\x18" + struct.pack("<I", len(stored)))
    position = f"{out.tell()}:{len(stored)}:{len(table)}:1"
    out.write(stored)
    return out.getvalue(), {
        f"{CHUNKED}.manifest-checksum": digest(stored),
        f"{CHUNKED}.manifest-position": position,
    }
