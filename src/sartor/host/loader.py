"""Where the dynamic loader finds a shared library: its cache, then the usual folders.

Reads ``/etc/ld.so.cache`` instead of starting ``ldconfig``, which lives outside an ordinary user's
PATH on some distributions. The format is that of glibc's ``sysdeps/generic/dl-cache.h``.
"""

from __future__ import annotations

import os
import struct
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

CACHE = Path("/etc/ld.so.cache")
MAGIC = b"glibc-ld.so.cache1.1"
HEADER = struct.Struct("<20sII5I")  # magic, entries, bytes of strings, flags and extensions
ENTRY = struct.Struct("<iIIIQ")  # flags, soname, path, OS version, hardware capabilities
TYPE_MASK, TYPE_LIBC6 = 0x00FF, 0x0003
ARCHITECTURE_MASK = 0xFF00
ARCHITECTURES = {"x86_64": 0x0300, "aarch64": 0x0A00, "ppc64le": 0x0500, "riscv64": 0x1000}
"""The bits of an entry's flags that say which architecture its library is for."""


def parse_cache(data: bytes, architecture: str) -> dict[str, str]:
    """The paths by soname of the libraries for ``architecture`` in an ``ld.so.cache``.

    The first entry of a soname wins, as it does for the loader. Anything that is not such a cache,
    or is cut short, gives what could be read of it.
    """
    start = data.find(MAGIC)
    if start < 0 or len(data) < start + HEADER.size:
        return {}
    count = HEADER.unpack_from(data, start)[1]
    found: dict[str, str] = {}
    for soname, path in entries(data[start:], count, ARCHITECTURES.get(architecture)):
        found.setdefault(soname, path)
    return found


def entries(data: bytes, count: int, wanted: int | None) -> Iterator[tuple[str, str]]:
    """The sonames and paths of the entries of one architecture; ``data`` begins at the header."""
    last = min(HEADER.size + count * ENTRY.size, len(data) - ENTRY.size + 1)
    for offset in range(HEADER.size, last, ENTRY.size):
        flags, soname, path, _, _ = ENTRY.unpack_from(data, offset)
        right_type = flags & TYPE_MASK == TYPE_LIBC6
        if right_type and wanted in {None, flags & ARCHITECTURE_MASK}:
            yield string_at(data, soname), string_at(data, path)


def string_at(data: bytes, offset: int) -> str:
    """The NUL-terminated string at ``offset``; empty where that is outside of ``data``."""
    end = data.find(b"\0", offset)
    # As `os.fsdecode`, of which a cache of 2,000 entries wants thousands.
    return data[offset:end].decode("utf-8", "surrogateescape") if 0 <= offset < end else ""


@cache
def system_cache(architecture: str) -> dict[str, str]:
    """This machine's cache; empty where there is none (musl, Nix)."""
    try:
        return parse_cache(CACHE.read_bytes(), architecture)
    except OSError:
        return {}


def standard_folders(architecture: str) -> list[str]:
    """Where distributions keep libraries of ``architecture``, apart from what the cache lists."""
    triplet = f"{architecture}-linux-gnu"
    names = (f"lib/{triplet}", f"usr/lib/{triplet}", "lib64", "usr/lib64", "lib", "usr/lib")
    vendor = ("usr/lib/wsl/lib", "run/opengl-driver/lib", "usr/local/nvidia/lib64")
    return [f"/{name}" for name in (*names, *vendor)]


def find_library(soname: str, architecture: str) -> str | None:
    """The path of ``soname`` by ``LD_LIBRARY_PATH``, the cache and the folders, in that order."""
    own = [folder for folder in os.environ.get("LD_LIBRARY_PATH", "").split(":") if folder]
    for folder in own:
        if (path := Path(folder, soname)).exists():
            return str(path)
    cached = system_cache(architecture).get(soname)
    if cached and Path(cached).exists():
        return cached
    candidates = (Path(folder, soname) for folder in standard_folders(architecture))
    return next((str(path) for path in candidates if path.exists()), None)
