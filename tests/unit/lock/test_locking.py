"""The files of a lock on the disk: all of them or none, and never over somebody else's."""

from __future__ import annotations

import errno
import json
import os
import stat
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from locks import locking, package
from sartor.cli import Parser
from sartor.cli import lock as command
from sartor.errors import (
    DiskFullError,
    FolderNotWritableError,
    InterruptedBySignal,
    LockFileError,
    OthersFileError,
    ProjectConflictError,
    ProjectFileError,
    UsageError,
)
from sartor.lock.canonical import canonical
from sartor.locking import lock_project, read_locked
from sartor.schemas import schemas

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

STACK = locking(package("vllm", "0.32.0", "torch==2.11.0"), package("torch", "2.11.0"))
OTHER = locking(package("vllm", "0.33.0"), version="0.33.0")
PROJECT = '[project]\nname = "mine"\nversion = "1"\n'


def content(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def states(*arguments: Any, **more: Any) -> list[str]:
    return [f.state for f in lock_project(*arguments, **more).files]


def test_written_read_and_the_same(tmp_path: Path) -> None:
    assert states(STACK, tmp_path) == ["written", "written"]
    assert read_locked(tmp_path) == canonical(STACK)
    before = content(tmp_path)
    assert states(STACK, tmp_path) == ["same", "same"]
    assert content(tmp_path) == before
    assert states(OTHER, tmp_path) == ["written", "written"]


def test_a_check_writes_nothing(tmp_path: Path) -> None:
    found = lock_project(STACK, tmp_path, check=True)
    assert ([f.state for f in found.files], found.up_to_date) == (["missing"] * 2, False)
    assert content(tmp_path) == {}
    lock_project(STACK, tmp_path)
    assert lock_project(STACK, tmp_path, check=True).up_to_date
    found = lock_project(OTHER, tmp_path, check=True)
    assert ([f.state for f in found.files], found.up_to_date) == (["different"] * 2, False)
    (tmp_path / "pylock.toml").write_text("mine = 1\n")
    assert states(STACK, tmp_path, check=True) == ["made by others", "same"]


@pytest.mark.parametrize("theirs", ['lock-version = "1.0"\ncreated-by = "uv"\n', "{", "\0"])
def test_files_of_others_stay(tmp_path: Path, theirs: str) -> None:
    (tmp_path / "pylock.toml").write_text(theirs)
    with pytest.raises(OthersFileError) as raised:
        lock_project(STACK, tmp_path)
    assert "--force" in str(raised.value.hint)
    assert content(tmp_path) == {"pylock.toml": theirs.encode()}
    assert states(STACK, tmp_path, force=True) == ["written", "written"]


def test_own_files_that_are_damaged_are_written_anew(tmp_path: Path) -> None:
    lock_project(STACK, tmp_path)
    for name, data in content(tmp_path).items():
        (tmp_path / name).write_bytes(data[: len(data) // 2])
    assert states(STACK, tmp_path) == ["written", "written"]


def test_the_project_is_written_with_the_lock_or_neither(tmp_path: Path) -> None:
    project = tmp_path / "pyproject.toml"
    project.write_text(PROJECT + 'dependencies = ["torch==2.10"]\n')
    before = content(tmp_path)
    with pytest.raises(ProjectConflictError):
        lock_project(STACK, tmp_path, [project])
    assert content(tmp_path) == before
    project.write_text(PROJECT)
    project.chmod(0o600)
    found = lock_project(STACK, tmp_path, [project])
    assert found.files[2].added == ["torch==2.11.0", "vllm==0.32.0"]
    assert stat.S_IMODE(project.stat().st_mode) == 0o600
    assert states(STACK, tmp_path, [project]) == ["same"] * 3
    assert states(OTHER, tmp_path, [project], check=True) == ["different"] * 3


def test_what_a_link_leads_to_is_written(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    real = tmp_path / "real" / "pyproject.toml"
    real.write_text(PROJECT)
    link = tmp_path / "pyproject.toml"
    link.symlink_to(real)
    lock_project(STACK, tmp_path, [link])
    assert link.is_symlink()
    assert "inference" in real.read_text()


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("setup.cfg", b"", "no file that a stack"),
        ("pyproject.toml", None, "there is no"),
        ("pyproject.toml", b"\xff", "UTF-8"),
    ],
)
def test_what_no_stack_is_put_into(
    tmp_path: Path, name: str, data: bytes | None, said: str
) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(ProjectFileError, match=said):
        lock_project(STACK, tmp_path, [tmp_path / name])
    assert not (tmp_path / "pylock.toml").exists()


def test_locks_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(LockFileError, match="there is no"):
        read_locked(tmp_path)
    (tmp_path / "pylock.toml").mkdir()
    with pytest.raises(OthersFileError, match="folder"):
        lock_project(STACK, tmp_path)


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.ENOSPC, DiskFullError), (errno.EROFS, FolderNotWritableError)]
)
def test_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Exception]
) -> None:
    lock_project(STACK, tmp_path)
    before, real = content(tmp_path), os.fdopen
    opened = []

    def full(handle: int, *arguments: Any, **more: Any) -> Any:
        opened.append(handle)
        if len(opened) == 2:
            os.close(handle)
            raise OSError(number, os.strerror(number))
        return real(handle, *arguments, **more)

    monkeypatch.setattr(os, "fdopen", full)
    with pytest.raises(kind) as raised:
        lock_project(OTHER, tmp_path)
    assert "--output" in str(getattr(raised.value, "hint", ""))
    assert content(tmp_path) == before


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, InterruptedBySignal("SIGTERM")])
@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_an_interruption_leaves_the_old_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, interrupt: Any
) -> None:
    project = tmp_path / "pyproject.toml"
    project.write_text(PROJECT)
    lock_project(STACK, tmp_path, [project])
    before, calls = content(tmp_path), []

    def counted(real: Any, after: bool) -> Any:
        def call(*arguments: Any, **more: Any) -> Any:
            calls.append(arguments)
            if len(calls) == at and not after:
                raise interrupt
            done = real(*arguments, **more)
            if len(calls) == at:
                raise interrupt
            return done

        return call

    monkeypatch.setattr(os, "chmod", counted(os.chmod, after=False))
    monkeypatch.setattr(os, "replace", counted(os.replace, after=True))
    with pytest.raises((KeyboardInterrupt, InterruptedBySignal)):
        lock_project(OTHER, tmp_path, [project])
    monkeypatch.undo()
    assert set(content(tmp_path)) == set(before)
    if at <= 3:
        assert content(tmp_path) == before
    else:
        assert states(OTHER, tmp_path, [project]) == ["same"] * 3
    assert read_locked(tmp_path) == canonical(STACK if at <= 3 else OTHER)


def options(*words: str) -> argparse.Namespace:
    parser = Parser(prog="sartor lock")
    parser.add_argument("--json", action="store_true")
    command.add_arguments(parser)
    return parser.parse_args(words)


def test_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match="plans nothing"):
        command.run(options("vllm", "--locked", "--output", str(tmp_path)))
    monkeypatch.setattr(command, "locking_of", lambda _: STACK)
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    words = ("--output", str(tmp_path), "--into", str(tmp_path / "pyproject.toml"))
    assert command.run(options(*words, "--check")) == 1
    assert command.run(options(*words)) == 0
    assert "vllm 0.32.0, 2 packages" in capfd.readouterr().out
    assert command.run(options(*words, "--check", "--json")) == 0
    document = json.loads(capfd.readouterr().out)
    schema = schemas("lock-files").schemas["sartor.lock-files/1"]
    jsonschema.Draft202012Validator(schema).validate(document)
    assert document["up_to_date"]
    monkeypatch.undo()
    other = tmp_path / "other"
    other.mkdir()
    (other / "pyproject.toml").write_text(PROJECT)
    into = ("--into", str(other / "pyproject.toml"), "--group", "gpu")
    assert command.run(options("--output", str(tmp_path), "--locked", *into)) == 0
    assert "gpu = [" in (other / "pyproject.toml").read_text()
