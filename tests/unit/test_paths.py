"""Files that are written whole or not at all, and folders that cannot be had."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from sartor.errors import DiskFullError, FolderNotWritableError
from sartor.paths import default_places, explain_os_errors, make_folder, write_atomically


@pytest.mark.parametrize("path", ["/proc/sartor/x", "/dev/null", "/dev/null/x"])
def test_folders_that_cannot_be(path: str) -> None:
    with pytest.raises(FolderNotWritableError) as raised:
        make_folder(Path(path))
    assert "SARTOR_HOME" in str(raised.value.hint)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_no_room(number: int, tmp_path: Path) -> None:
    with pytest.raises(DiskFullError), explain_os_errors(tmp_path):
        raise OSError(number, os.strerror(number))


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_no_right(number: int, tmp_path: Path) -> None:
    with pytest.raises(FolderNotWritableError), explain_os_errors(tmp_path):
        raise OSError(number, os.strerror(number), str(tmp_path))


def test_anything_else_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="broken"), explain_os_errors(tmp_path):
        raise OSError(errno.EIO, "broken")


def test_a_file_is_there_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "folder" / "secret"
    write_atomically(file, "one", mode=0o600)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(file, "two")
    assert file.read_text() == "one"
    assert list(file.parent.iterdir()) == [file]


def test_the_home_is_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SARTOR_HOME", "relative")
    assert default_places().root == tmp_path / "relative"
