"""Writing a file of pieces: beside its place, at the speed of a copy, then renamed there.

Whoever looks sees no file or the whole one. The input is opened for reading alone.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sartor.errors import UsageError
from sartor.paths import explain_os_errors, make_folder
from sartor.slim.library.pieces import Copied, Made

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sartor.slim.library.pieces import Piece

SMALL = 256 << 10
"""Ranges up to this size are gathered, and written with what stands between them."""
GATHERED = 1 << 20
MOST_PREFIX = 200
"""Letters of the output's name in the name that it has before: file systems allow 255."""
PART = ".sartor-part"
"""What names of files end in that are being written. Whoever writes one holds a lock of it."""
NEW_FILE = 0o644
"""The permissions of a file that is made of no other."""
NOT_COPIED = {errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF}
"""What `copy_file_range` says where a file system or kernel does not do it."""
HINT = "name a place for the output that you can write, on a file system with enough room"


@contextmanager
def placed(source: Path, output: Path) -> Iterator[tuple[Path, int]]:
    """A new file in the folder of ``output``, under a name of its own, and its descriptor.

    It takes its place when the block ends, with the mode and times of ``source``; where the block
    raises it is removed. Raises `UsageError` where the two are one file, and as `write_whole`.
    """
    if output.exists() and output.samefile(source):
        raise UsageError(
            f"`{output}` is the input itself, which is never changed",
            hint="name another file for the output",
        )
    with _renamed(output) as (path, handle):
        found = source.stat()
        yield path, handle
        os.fchmod(handle, found.st_mode & 0o7777)
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def write_whole(output: Path, data: bytes) -> None:
    """Write a small file of ``data``, which takes its place once it is whole.

    What killed runs left in the folder is removed first. Raises `FolderNotWritableError` and
    `DiskFullError`.
    """
    with _renamed(output) as (_, handle):
        _all(handle, data)
        os.fchmod(handle, NEW_FILE)


@contextmanager
def _renamed(output: Path) -> Iterator[tuple[Path, int]]:
    """A new file beside ``output``, and its descriptor; renamed there when the block ends."""
    make_folder(output.parent, hint=HINT)
    with explain_os_errors(output.parent, HINT):
        sweep(output.parent)
        path, handle = _part(output)
        try:
            yield path, handle
            path.replace(output)
        finally:
            os.close(handle)
            path.unlink(missing_ok=True)


def _part(output: Path) -> tuple[Path, int]:
    """A new file beside ``output``, which is locked as long as its descriptor is open."""
    while True:
        prefix = f".{output.name[:MOST_PREFIX]}."
        handle, name = tempfile.mkstemp(PART, prefix, output.parent)
        with contextlib.suppress(OSError):  # a file system without locks: nothing is swept there
            fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return Path(name), handle
        os.close(handle)  # swept before it was locked


def sweep(folder: Path) -> None:
    """Remove what killed runs left half written: files that nobody holds a lock of."""
    with contextlib.suppress(OSError):
        for path in folder.glob(f".*{PART}"):
            with contextlib.suppress(OSError):
                handle = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
                try:
                    if _locked(handle):
                        path.unlink()
                finally:
                    os.close(handle)


def _locked(handle: int) -> bool:
    """Whether it is locked now, by this: False where another has it, or there are no locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextmanager
def beside(source: Path, output: Path, pieces: list[Piece]) -> Iterator[Path]:
    """The file of ``pieces`` of ``source``, as `placed` gives it; raises what that raises."""
    with placed(source, output) as (path, handle):
        with source.open("rb") as read:
            _write(read.fileno(), handle, pieces)
        yield path


def _write(source: int, target: int, pieces: list[Piece]) -> None:
    gathered: list[bytes] = []
    held = 0
    for piece in pieces:
        if isinstance(piece, Copied) and piece.size > SMALL:
            _all(target, b"".join(gathered))
            gathered, held = [], 0
            _copy(source, target, piece)
            continue
        gathered.append(piece.data if isinstance(piece, Made) else _read(source, piece))
        held += piece.size
        if held > GATHERED:
            _all(target, b"".join(gathered))
            gathered, held = [], 0
    _all(target, b"".join(gathered))


def _all(target: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(target, view) :]


def _read(source: int, piece: Copied) -> bytes:
    data = os.pread(source, piece.size, piece.offset)
    if len(data) < piece.size:
        raise OSError(errno.EIO, "the input became shorter while it was read")
    return data


def _copy(source: int, target: int, piece: Copied) -> None:
    """By the kernel where it can, which then shares blocks where the file system can."""
    offset, left = piece
    while left:
        try:
            done = os.copy_file_range(source, target, left, offset)
        except OSError as error:
            if error.errno not in NOT_COPIED:
                raise
            done = 0
        if not done:
            data = _read(source, Copied(offset, min(left, GATHERED)))
            _all(target, data)
            done = len(data)
        offset, left = offset + done, left - done
