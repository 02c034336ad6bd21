"""`sartor slim --index` that is killed: the next run ends as if it had not been, and clears up."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from slim_wheels import NAME, write_wheel

if TYPE_CHECKING:
    from pathlib import Path

    from sartor_cli import Sartor

GPUS = ("--gpu", "sm_90", "--gpu", "sm_120")
KILLED = """
import os, signal, sys
from pathlib import Path
rename, left = Path.replace, int(sys.argv.pop(1))
def replace(path, target):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return rename(path, target)
Path.replace = replace
from sartor.__main__ import main
sys.exit(main())
"""
"""`sartor` that is killed where it would rename a file to its place, after so many others."""
RENAMED = 12
"""For each GPU the wheel, its METADATA, and twice two pages."""


def tree(folder: Path) -> dict[str, bytes]:
    """All files of an index but its lock."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".sartor.lock"
    }


def strays(folder: Path) -> list[str]:
    return [name for name in tree(folder) if name.rpartition("/")[2].startswith(".")]


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    return write_wheel(tmp_path / NAME)


def make(sartor: Sartor, folder: Path, wheel: Path) -> dict[str, bytes]:
    sartor.json("slim", "--index", str(folder), str(wheel), *GPUS)
    return tree(folder)


def test_killed_before_each_file_of_an_index(plain: Sartor, wheel: Path, tmp_path: Path) -> None:
    whole = make(plain, tmp_path / "whole", wheel)
    assert len(whole) == RENAMED
    left_over = 0
    for moment in range(RENAMED + 1):
        folder = tmp_path / f"killed-{moment}"
        argv = [sys.executable, "-c", KILLED, str(moment), "slim", str(wheel), *GPUS]
        done = subprocess.run(
            [*argv, "--index", str(folder)], env=plain.variables, capture_output=True, check=False
        )
        assert done.returncode == (-signal.SIGKILL if moment < RENAMED else 0), done.stderr
        met = tree(folder)
        assert {name: data for name, data in met.items() if name in whole}.items() <= whole.items()
        left_over += len(strays(folder))
        assert make(plain, folder, wheel) == whole
    assert left_over == RENAMED


def test_what_another_process_writes_is_left(plain: Sartor, wheel: Path, tmp_path: Path) -> None:
    """A file that somebody holds a lock of stays; once nobody does the next run removes it."""
    folder = tmp_path / "index"
    whole = make(plain, folder, wheel)
    places = ("sm_90/simple", "sm_90/simple/units", "sm_120/simple")
    parts = [folder / place / ".index.html.abc.sartor-part" for place in places]
    handles = [os.open(part, os.O_CREAT | os.O_RDWR) for part in parts]
    for handle in handles[:2]:
        fcntl.flock(handle, fcntl.LOCK_EX)
    make(plain, folder, wheel)
    assert [part.exists() for part in parts] == [True, True, False]
    for handle in handles:
        os.close(handle)
    assert make(plain, folder, wheel) == whole
