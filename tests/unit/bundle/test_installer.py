"""The installer: what the system refuses has an exit status, and two do not work in one folder."""

from __future__ import annotations

import errno
import fcntl
import os
from typing import TYPE_CHECKING

import pytest

from sartor.bundle import install
from sartor.errors import BuildError, DiskFullError, FolderNotWritableError, InterruptedBySignal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.mark.parametrize(
    ("number", "status", "word"),
    [
        (errno.ENOSPC, DiskFullError.exit_code, "no space left"),
        (errno.EDQUOT, DiskFullError.exit_code, "no space left"),
        (errno.EACCES, FolderNotWritableError.exit_code, "Permission denied"),
        (errno.EROFS, FolderNotWritableError.exit_code, "Read-only file system"),
        (errno.EIO, BuildError.exit_code, "Input/output error"),
    ],
)
def test_what_the_system_refuses_has_the_exit_status_that_sartor_gives_it(
    tmp_path: Path, number: int, status: int, word: str
) -> None:
    to = tmp_path / "not there" / "yet"
    fault = install.failed(OSError(number, os.strerror(number)), to)
    assert fault.status == status
    assert word in fault.message
    assert str(to) in fault.message
    assert "--to DIR" in fault.hint


def test_ended_is_what_sartor_calls_interrupted() -> None:
    assert InterruptedBySignal.exit_code == install.ENDED


def test_a_write_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    def blocks() -> Iterator[bytes]:
        yield b"half"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        install.write_beside(tmp_path / "part-0000", blocks())
    assert list(tmp_path.iterdir()) == []


def is_locked(folder: Path) -> bool:
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def test_a_folder_is_one_installers_at_a_time(tmp_path: Path) -> None:
    to = tmp_path / "a" / "stack"
    with install.alone(to):
        assert is_locked(to)
        (to / "file").touch()
    assert not is_locked(to)
    assert [path.name for path in to.iterdir()] == ["file"]


def test_a_folder_of_which_nothing_came_goes(tmp_path: Path) -> None:
    to = tmp_path / "stack"
    with pytest.raises(install.Fault), install.alone(to):
        raise install.Fault(install.DAMAGED, "parts are missing")
    assert not to.exists()
