"""The files of a lock on the disk: written together or not at all, read, compared."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sartor.errors import LockFileError, OthersFileError, ProjectFileError
from sartor.lock.document import is_ours, lock_texts, read_lock
from sartor.lock.into import GROUP, addition
from sartor.lock.model import LockDocument, LockFileState
from sartor.lock.reading import LOCK_NAME, MOST_BYTES, PYLOCK_NAME
from sartor.paths import explain_os_errors, write_together

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sartor.lock.model import FileState, Locking

HINT = "name a folder that you can write: `sartor lock --output FOLDER`"
NAMES = ("pyproject.toml", "pixi.toml")


class _Wanted(msgspec.Struct, frozen=True):
    """A file, what is in it, what is to be in it, and what is said of it."""

    path: Path
    there: bytes | None
    wanted: bytes
    ours: bool
    added: list[str] = []
    notes: list[str] = []


def read_locked(folder: Path) -> Locking:
    """The lock in a folder; raises `LockFileError`."""
    data = {}
    for name in (PYLOCK_NAME, LOCK_NAME):
        found = _content(folder / name)
        if found is None:
            raise LockFileError(
                f"there is no `{name}` in `{folder}`", hint="write one: `sartor lock`"
            )
        data[name] = found
    return read_lock(data[PYLOCK_NAME], data[LOCK_NAME], folder.absolute())


def lock_project(
    locking: Locking,
    folder: Path,
    into: Iterable[Path] = (),
    group: str = GROUP,
    *,
    force: bool = False,
    check: bool = False,
) -> LockDocument:
    """Write the lock into a folder, and the stack into projects' own files: all, or nothing.

    With ``check`` nothing is written, and the document says how the files are. Raises
    `OthersFileError` where a file is there that Sartor did not make, but for ``force``;
    `NotLockableError`; and what `sartor.lock.into.addition` raises.
    """
    texts = lock_texts(locking, folder.absolute())
    files = [_own(folder / name, text) for name, text in texts.items()]
    files += [_project(path, locking, group, force=force) for path in into]
    changed = [file for file in files if file.there != file.wanted]
    others = [file.path for file in changed if not file.ours]
    if others and not force and not check:
        raise OthersFileError(
            f"`{others[0]}` is there, and Sartor did not make it",
            hint="`--force` writes over it, `--output FOLDER` writes elsewhere",
        )
    if changed and not check:
        # Links are followed: what they lead to is replaced.
        write_together({Path(os.path.realpath(f.path)): f.wanted for f in changed}, folder, HINT)
    return LockDocument(
        [_state(file, check=check) for file in files],
        not (check and changed),
        locking.engine,
        locking.version,
        len(locking.packages),
    )


def _own(path: Path, text: str) -> _Wanted:
    there = _content(path)
    return _Wanted(path, there, text.encode(), there is None or is_ours(path.name, there))


def _project(path: Path, locking: Locking, group: str, *, force: bool) -> _Wanted:
    if path.name not in NAMES:
        raise ProjectFileError(
            f"`{path.name}` is no file that a stack is put into",
            hint=f"name one of {', '.join(f'`{n}`' for n in NAMES)}",
        )
    there = _content(path)
    if there is None:
        raise ProjectFileError(
            f"there is no `{path}`", hint="make a project first: `uv init --bare` or `pixi init`"
        )
    try:
        text = there.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ProjectFileError(f"`{path}` is not in UTF-8", hint="save it in UTF-8") from error
    place = path.absolute().parent
    found = addition(text, path.name, locking, group, folder=place, force=force)
    return _Wanted(path, there, found.text.encode(), True, found.added, found.notes)


def _state(file: _Wanted, *, check: bool) -> LockFileState:
    state: FileState = "written"
    if file.there == file.wanted:
        state = "same"
    elif check and file.there is None:
        state = "missing"
    elif check:
        state = "different" if file.ours else "made by others"
    return LockFileState(path=str(file.path), state=state, added=file.added, notes=file.notes)


def _content(path: Path) -> bytes | None:
    """A file's bytes, one more than are read at most; None where there is no file."""
    with explain_os_errors(path, HINT):
        try:
            with path.open("rb") as file:
                return file.read(MOST_BYTES + 1)
        except FileNotFoundError:
            return None
        except IsADirectoryError as error:
            raise OthersFileError(
                f"`{path}` is a folder", hint="`--output FOLDER` writes elsewhere"
            ) from error
