"""Every file is read once, on all cores: its size and its digests."""

from __future__ import annotations

import hashlib
import os
import stat
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CHUNK = 4 << 20


class Hashed(msgspec.Struct, frozen=True):
    """What a file holds: bytes, sha256 (hexadecimal), and the digest by ``algorithm``.

    ``links`` counts its hard links. ``why``: it could not be read, or is no file.
    """

    size: int = 0
    sha256: str = ""
    digest: bytes = b""
    links: int = 1
    why: str | None = None

    @property
    def is_missing(self) -> bool:
        """Whether there is no such file."""
        return self.why == MISSING


MISSING = "there is no such file"


def hash_files(
    wanted: Mapping[str, str], on_bytes: Callable[[int, int], None] = lambda *_: None
) -> dict[str, Hashed]:
    """Path → what is in it; ``wanted`` maps each path to the algorithm of its recorded digest.

    The largest are begun first. ``on_bytes`` is called with the bytes read and those in all.
    """
    sizes = {path: _size(path) for path in wanted}
    total, done = sum(sizes.values()), 0
    found: dict[str, Hashed] = {}
    pool = ThreadPoolExecutor(os.cpu_count() or 1)
    try:
        order = sorted(wanted, key=lambda path: -sizes[path])
        running = {pool.submit(hash_file, path, wanted[path]): path for path in order}
        for future in as_completed(running):
            path = running[future]
            found[path] = future.result()
            done += sizes[path]
            on_bytes(done, total)
    finally:
        pool.shutdown(cancel_futures=True)
    return found


def hash_file(path: str, algorithm: str = "sha256") -> Hashed:
    """Read one file; links are followed, a pipe is not waited for."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return Hashed(why=MISSING)
    except OSError as error:
        return Hashed(why=error.strerror or type(error).__name__)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        try:
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode):
                return Hashed(why="it is no regular file")
            hashes = [hashlib.new(name) for name in dict.fromkeys(("sha256", algorithm))]
            size, view = 0, memoryview(bytearray(min(CHUNK, about.st_size + 1)))
            while count := file.readinto(view):
                size += count
                for each in hashes:
                    each.update(view[:count])
        except OSError as error:
            return Hashed(why=error.strerror or type(error).__name__)
    sha256 = hashes[0].hexdigest()
    return Hashed(size, sha256, hashes[-1].digest(), about.st_nlink)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116 - of text, tens of thousands of times
    except OSError:
        return 0
