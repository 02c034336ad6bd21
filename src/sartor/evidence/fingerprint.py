"""What a file is known again by, without reading it."""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

SETTLED_NS = 2_000_000_000
"""A file that changed later than this may change again within the same tick of its clock."""


class Fingerprint(NamedTuple):
    """``text`` changes with the file. ``is_settled``: its times are old enough to show it."""

    text: str
    is_settled: bool


def fingerprint(path: Path) -> Fingerprint | None:
    """The fingerprint of a regular file; None where there is none.

    Place, device, inode, size, and both times: a program may set back when a file was modified,
    but not when its inode changed. As a digest, for the store has no paths of the machine in it.
    """
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    import hashlib

    values = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    text = f"{os.path.realpath(path)}\0{values}".encode("utf-8", "surrogateescape")
    newest = max(found.st_mtime_ns, found.st_ctime_ns)
    return Fingerprint(hashlib.sha256(text).hexdigest(), time.time_ns() - newest > SETTLED_NS)
