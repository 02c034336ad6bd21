"""A path that the system refuses is an error with a way out, at whatever place it is met."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from sartor.cli import run
from sartor.paths import refused_by_system
from slim_wheels import NAME, write_wheel

if TYPE_CHECKING:
    from pathlib import Path

    Printed = pytest.CaptureFixture[str]

LONG = "d" * 300
COMMANDS = {
    "slim to": ["slim", NAME, "--gpu", "sm_90", "-o", f"{LONG}/"],
    "slim index": ["slim", NAME, "--gpu", "sm_90", "--index", LONG],
    "undo": ["slim", LONG, "--undo"],
    "inspect": ["inspect", f"./{LONG}"],
    "environment": ["verify", "--env", LONG],
    "report": ["verify", "--env", ".", "--output", LONG],
    "lock": ["verify", LONG],
    "bundle to": ["bundle", ".", "-o", LONG],
    "bundle of": ["bundle", LONG, "-o", "out"],
    "check": ["bundle", "--check", LONG],
}


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_a_path_that_is_too_long_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed, words: list[str]
) -> None:
    monkeypatch.setenv("SARTOR_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    write_wheel(tmp_path / NAME)
    assert run([*words, "--json"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert told["code"] == "usage"
    assert LONG in told["message"]
    assert told["hint"]


def test_what_the_system_says_without_a_path_is_a_defect_still() -> None:
    assert refused_by_system(OSError(36, "File name too long")) is None
    assert refused_by_system(FileNotFoundError(2, "No such file or directory", "a")) is None
    told = refused_by_system(PermissionError(13, "Permission denied", "a/b"))
    assert told is not None
    assert (told.code, told.message) == (
        "not-writable",
        "`a/b` cannot be reached (Permission denied)",
    )
