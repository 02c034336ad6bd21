"""Small files that may be lost: what was said, read or judged before, each under a name.

A file is written beside its place and renamed there, so that several processes may use one folder.
What cannot be read is as good as none; what cannot be written is said once, and then passed over.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, TypeVar

import msgspec

from sartor.errors import SartorError
from sartor.paths import make_private_folder, write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from sartor.reporter import Reporter

T = TypeVar("T")
MOST_BYTES = 128 << 20


class KeptFiles:
    """The files in ``folder``, for this user alone; None: none is kept.

    ``what`` says what they hold, as the subject of a sentence. ``most`` is how many there are at
    most: those that were written longest ago go first. Of several threads each may use it.
    """

    def __init__(
        self,
        folder: Path | None,
        reporter: Reporter,
        *,
        what: str,
        most: int = 500,
        most_bytes: int | None = None,
    ) -> None:
        self._folder = folder
        self._reporter = reporter
        self._what = what
        self._most = most
        self._most_bytes = most_bytes

    @property
    def is_kept(self) -> bool:
        """Whether there is a folder, and writing to it has not failed."""
        return self._folder is not None

    def get(self, name: str) -> bytes | None:
        """The file of that name; None without one that can be read."""
        if self._folder is None:
            return None
        path = self._folder / name
        try:
            return path.read_bytes() if path.stat().st_size <= MOST_BYTES else None
        except OSError:
            return None

    def get_as(self, name: str, kind: type[T]) -> T | None:
        """What the JSON file of that name holds; None without one that can be read as ``kind``."""
        data = self.get(name)
        if data is None:
            return None
        try:
            return msgspec.json.decode(data, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    def put(self, name: str, data: bytes) -> None:
        """Keep a file; once that fails nothing more is kept, or looked for."""
        folder = self._folder
        if folder is None:
            return
        try:
            make_private_folder(folder)
            self._make_room(folder)
            write_atomically(folder / name, data, 0o600)
        except (SartorError, OSError) as error:
            self._fail(error)

    def forget(self, name: str) -> None:
        """Have no file of that name."""
        if self._folder is None:
            return
        try:
            (self._folder / name).unlink(missing_ok=True)
        except OSError as error:
            self._fail(error)

    def _fail(self, error: SartorError | OSError) -> None:
        why = error.message if isinstance(error, SartorError) else error.strerror
        if self._folder is not None:
            self._folder = None
            self._reporter.warn(f"{self._what} is not kept: {why}")

    def _is_full(self, entries: Iterable[os.DirEntry[str]]) -> bool:
        if self._most_bytes is None:
            return False
        with contextlib.suppress(OSError):  # another process may be at it
            return sum(entry.stat().st_size for entry in entries) > self._most_bytes
        return False

    def _make_room(self, folder: Path) -> None:
        """Leave out those that were written longest ago, and what killed writers left."""
        with os.scandir(folder) as there:
            entries = list(there)
        names = [entry.name for entry in entries]
        if len(names) < self._most and not self._is_full(entries):
            return
        with contextlib.suppress(OSError):  # another process may be at it
            paths = sorted((folder / n for n in names), key=lambda path: path.stat().st_mtime)
            for path in paths[: max(min(self._most, len(paths)) // 5, 1)]:
                path.unlink(missing_ok=True)
