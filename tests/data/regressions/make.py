"""Make the inputs beside this script: what fuzzing and thought found, each for one target.

A file is called TARGET-WHAT.SUFFIX; its target is in tests/inspect_targets.py, and the suffix tells
the fuzzers what to start with. None may ever again take long, take memory, or end in another
exception than `Invalid` and `SartorError`.
"""

from __future__ import annotations

import struct
from pathlib import Path

import zstandard

HERE = Path(__file__).resolve().parent


def entry(kind: int, stored: bytes, plain: int) -> bytes:
    """A zstd-compressed entry for 9.0 that claims ``plain`` bytes."""
    size = len(stored) + -len(stored) % 8
    header = struct.pack("<HHIQIIHHI", kind, 0x101, 64, size, len(stored), 0, 9, 0, 90)
    return header + struct.pack("<IIQQQ", 0, 0, 0x8011, 0, plain) + stored.ljust(size, b"\0")


def container(body: bytes) -> bytes:
    """A container's header before the body."""
    return struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(body)) + body


def doubled(levels: int) -> str:
    """A C++ name that stands for two of what stands for two of what…"""
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    parts = ["S_"] + [f"S{digits[i]}_" for i in range(levels)]
    return "_Z1f1PIiiE" + "".join(f"S_I{parts[i]}{parts[i]}E" for i in range(1, levels))


def main() -> None:
    """Write every input."""
    files = {
        # 200 characters for 36 GB of plain text: the C++ library makes all of it.
        "names-doubled.txt": doubled(31).encode(),
        # A pack in a pack in a pack, each of 30.
        "names-packed.txt": b"_Z1fIJ" + b"i" * 30 + b"EEv" + b"Dp" * 6 + b"T_",
        # The same, as a kernel in PTX.
        "ptx-doubled.ptx": b".version 9.0\n.target sm_90\n.visible .entry %s()\n"
        % doubled(31).encode(),
        # Shorter than a container's header: the follower of streams had nothing to ask for.
        "stream-short.fatbin": b"\x50\xed\x55\xba\1",
        # A few bytes for 256 MiB of zeros, twice, and for more than is taken. Too slow for a seed.
        "fatbin-bomb.bin": container(bomb()),
    }
    for name, data in files.items():
        (HERE / name).write_bytes(data)


def bomb() -> bytes:
    """Entries that decompress to much."""
    most = 256 << 20
    compressor = zstandard.ZstdCompressor(level=19, write_checksum=False)
    stored = compressor.compress(bytes(most))
    return entry(1, stored, most) + entry(2, stored, most) + entry(1, stored, 1 << 62)


if __name__ == "__main__":
    main()
