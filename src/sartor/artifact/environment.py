"""A folder: a virtual environment, a `site-packages`, an unpacked wheel, any folder of libraries.

Only what is wanted by name is opened: an environment has 20,000 files and some hundred libraries.
No symbolic link is followed: what it leads to inside the folder is met there, under its own name.
"""

from __future__ import annotations

import os
import posixpath
import stat
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sartor.artifact.members import MOST_PATH, MOST_TEXT, SLIMMED, shown
from sartor.artifact.model import NotRead
from sartor.artifact.source import FileSource, Invalid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sartor.artifact.source import Source

MOST_FILES = 1 << 22
MOST_NOT_READ = 1000
"""Reasons that are listed, for a folder of links or without permissions."""
MARK = "pyvenv.cfg"


class RecordAround(NamedTuple):
    """The record of an environment's slimming, seen from a folder ``inside`` of it.

    ``folder`` is where it is, from there; ``data`` are its bytes.
    """

    folder: str
    inside: str
    data: bytes


class FolderMembers:
    """The files under ``root``; of a virtual environment those of its `site-packages`."""

    def __init__(self, root: Path) -> None:
        self.not_read: list[NotRead] = []
        self._root = root
        self._real_root = os.path.realpath(root)
        self._seen = 0

    def close(self) -> None:
        """Nothing is kept open."""

    def walk(self, wanted: Callable[[str], bool]) -> Iterator[tuple[str, Source]]:
        """Each wanted regular file, in the order of the paths within each folder."""
        for path in self._paths(wanted):
            try:
                source = FileSource(self._root / path, path)
            except OSError as error:
                self._skipped(path, _why(error))
            except Invalid as fault:
                self._skipped(path, fault.reason)
            else:
                with source:
                    yield path, source

    def _paths(self, wanted: Callable[[str], bool]) -> Iterator[str]:
        of_venv = site_packages(self._root)
        if of_venv and wanted(SLIMMED) and _is_regular(self._root / SLIMMED):
            yield SLIMMED
        waiting = list(reversed(of_venv or [""]))
        while waiting:
            folders = []
            for entry, path in self._entries(waiting.pop(), wanted):
                if entry.is_dir(follow_symlinks=False):
                    folders.append(path)
                elif entry.is_symlink():
                    self._link(path, wanted)
                else:
                    yield from self._regular(entry, path)
            waiting += reversed(folders)

    def _entries(
        self, folder: str, wanted: Callable[[str], bool]
    ) -> list[tuple[os.DirEntry[str], str]]:
        """The folders, the links and the wanted files in a folder, by name."""
        prefix = f"{folder}/" if folder else ""
        found = []
        try:
            with os.scandir(os.path.join(self._root, folder)) as listing:  # noqa: PTH118
                for entry in listing:
                    self._seen += 1
                    path = prefix + entry.name
                    if wanted(path) or entry.is_dir(follow_symlinks=False) or entry.is_symlink():
                        found.append((entry, path))
        except OSError as error:
            self._skipped(folder or ".", _why(error))
            return []
        if self._seen > MOST_FILES:
            raise Invalid(str(self._root), 0, f"more than {MOST_FILES} files are under it")
        return sorted(found, key=itemgetter(1))

    def _regular(self, entry: os.DirEntry[str], path: str) -> Iterator[str]:
        try:
            mode = entry.stat(follow_symlinks=False).st_mode
        except OSError as error:
            self._skipped(path, _why(error))
            return
        if not stat.S_ISREG(mode):
            self._skipped(path, "it is not a regular file")
        elif not path.isprintable() or len(path) > MOST_PATH:
            self._skipped(path, "its name has characters that cannot be printed")
        else:
            yield path

    def _link(self, path: str, wanted: Callable[[str], bool]) -> None:
        """A link is worth a word where something is behind it that is not met elsewhere."""
        root = self._real_root
        target = os.path.realpath(self._root / path)
        if target == root or target.startswith(f"{root}/"):
            return
        if wanted(path):
            self._skipped(path, "it is a symbolic link out of the folder")
        elif os.path.isdir(target):  # noqa: PTH112 - of text, thousands of times
            self._skipped(path, "it is a symbolic link to a folder elsewhere")

    def _skipped(self, path: str, why: str) -> None:
        if len(self.not_read) < MOST_NOT_READ:
            self.not_read.append(NotRead(shown(path), why))
        elif len(self.not_read) == MOST_NOT_READ:
            self.not_read.append(NotRead(".", f"more than {MOST_NOT_READ} files were not read"))


def site_packages(root: Path) -> list[str]:
    """A virtual environment's `site-packages`, relative to it; none where it is no such thing."""
    if not (root / MARK).is_file():
        return []
    found = []
    for lib in ("lib", "lib64"):
        if (root / lib).is_symlink() or not (root / lib).is_dir():
            continue
        pythons = sorted((root / lib).glob("python3*/site-packages"))
        real = [p for p in pythons if p.is_dir() and not p.is_symlink()]
        found += [p.relative_to(root).as_posix() for p in real]
    return found


def record_around(folder: Path) -> RecordAround | NotRead | None:
    """What was slimmed in the environment that a folder lies in, such as a `site-packages`.

    None where it lies in none, is one itself, or nothing was slimmed there.
    """
    real = Path(os.path.realpath(folder))
    marks = (MARK, SLIMMED)
    folders = (real, *real.parents)
    root = next((one for one in folders if any((one / m).is_file() for m in marks)), None)
    if root is None or root == real or not _is_regular(root / SLIMMED):
        return None
    inside = real.relative_to(root).as_posix()
    name = posixpath.relpath(SLIMMED, inside)
    try:
        with FileSource(root / SLIMMED, name) as source:
            if source.size > MOST_TEXT:
                return NotRead(name, f"{source.size} bytes of metadata")
            return RecordAround(posixpath.dirname(name), inside, source.read(0, source.size))
    except OSError as error:
        return NotRead(name, _why(error))
    except Invalid as fault:
        return NotRead(name, fault.reason)


def _is_regular(path: Path) -> bool:
    return path.is_file() and not path.is_symlink() and not path.parent.is_symlink()


def _why(error: OSError) -> str:
    return error.strerror or type(error).__name__
