"""What `sartor verify` takes for an environment, what it writes, and how it is ended."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from venvs import site, verified

if TYPE_CHECKING:
    from collections.abc import Callable

    from sartor_cli import Sartor


def broken_interpreter(kind: str) -> Callable[[Path], None]:
    def apply(env: Path) -> None:
        python = env / "bin" / "python"
        python.unlink()
        if kind == "gone":
            python.symlink_to("/nonexistent/python3")
        elif kind == "another loader":
            data = bytearray(Path(sys.executable).resolve().read_bytes())
            at = data.index(b"/lib64/ld-linux")
            data[at : at + 6] = b"/lib99"
            python.write_bytes(data)
            python.chmod(0o755)
        elif kind == "no program":
            python.write_bytes(b"\x7fELFgarbage")
            python.chmod(0o755)
        elif kind == "another program":
            python.write_text("#!/bin/sh\necho hello\n")
            python.chmod(0o755)
        elif kind == "dies":
            python.write_text("#!/bin/sh\necho the last words >&2\nexit 7\n")
            python.chmod(0o755)

    return apply


@pytest.mark.parametrize(
    "kind", ["gone", "another loader", "no program", "another program", "dies"]
)
def test_an_interpreter_that_does_not_start(plain: Sartor, own_env: Path, kind: str) -> None:
    if (
        kind == "another loader"
        and b"/lib64/ld-linux" not in Path(sys.executable).resolve().read_bytes()
    ):
        pytest.skip("this Python's loader is at another place")
    broken_interpreter(kind)(own_env)
    error = plain.run("verify", "--env", str(own_env), "--json").failed("interpreter", 42)
    assert error["hint"]


def test_what_is_no_environment(plain: Sartor, shared_env: Path, tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing"):
        error = plain.run("verify", "--env", str(path), "--json").failed("no-environment", 41)
        assert "--env" in error["hint"]
    below = plain.run("verify", "--env", str(site(shared_env)), "--json").failed(
        "no-environment", 41
    )
    assert str(shared_env) in below["hint"]
    nothing = plain.run("verify", "--json").failed("no-environment", 41)
    assert "sartor up" in nothing["hint"]
    word = plain.run("verify", str(shared_env), "--json").failed("usage", 2)
    assert f"--env {shared_env}" in word["hint"]


def test_an_interpreter_by_its_path(plain: Sartor, shared_env: Path) -> None:
    report = verified(plain, shared_env / "bin" / "python", 0)
    assert report["environment"] == str(shared_env)


def test_what_sartor_has_no_checks_for_is_said(plain: Sartor, shared_env: Path) -> None:
    done = plain.run("verify", "--env", str(shared_env), "--json")
    report = done.document
    assert (done.status, report["grade"]) == (3, "loads")
    left = {o["grade"] for o in report["outcomes"] if o["outcome"] == "not checked"}
    assert left == {"launches", "golden"}


def test_the_report_is_written_whole_or_not_at_all(
    plain: Sartor, shared_env: Path, tmp_path: Path
) -> None:
    file = tmp_path / "report.json"
    printed = verified(plain, shared_env, 0, "--output", str(file))
    assert json.loads(file.read_text()) == printed
    for bad in (tmp_path, tmp_path / "none" / "report.json"):
        done = plain.run("verify", "--env", str(shared_env), "--output", str(bad), "--json")
        done.failed("not-writable", 24)
    words = ("verify", "--env", str(shared_env), "--grade", "resolves", "--output")
    full = plain.run(*words, "/dev/full", "--json")
    full.failed("disk-full", 23)
    assert Path("/dev/full").is_char_device()
    small = plain.run(*words, str(file), "--json", prefix=("prlimit", "--fsize=500"))
    small.failed("disk-full", 23)
    assert json.loads(file.read_text()) == printed
    assert [path.name for path in tmp_path.glob("*report*")] == [file.name]


def test_two_reports_side_by_side(plain: Sartor, own_env: Path, tmp_path: Path) -> None:
    files = [tmp_path / "a.json", tmp_path / "b.json"]
    verified(plain, own_env, 0, "--output", str(files[0]))
    same = plain.run("verify", "--compare", str(files[0]), str(files[0]), "--json")
    assert (same.status, same.document["checks"]) == (0, [])
    (library,) = (site(own_env) / "markupsafe").glob("_speedups.*.so")
    library.write_bytes(library.read_bytes() + b"\0")
    verified(plain, own_env, 1, "--output", str(files[1]))
    worse = plain.run("verify", "--compare", *map(str, files), "--json")
    assert (worse.status, worse.document["worse"]) == (1, True)
    (row,) = worse.document["files"]
    assert row["what"].endswith(library.name)
    better = plain.run("verify", "--compare", *map(str, reversed(files)), "--json")
    assert (better.status, better.document["worse"]) == (0, False)
    other = tmp_path / "other.json"
    other.write_text("{}")
    plain.run("verify", "--compare", str(files[0]), str(other), "--json").failed("report-file", 43)


def test_ctrl_c_ends_it_at_once(plain: Sartor, own_env: Path, tmp_path: Path) -> None:
    python = own_env / "bin" / "python"
    python.unlink()
    python.write_text(f"#!/bin/sh\ntouch {tmp_path}/began\nexec sleep 600\n")
    python.chmod(0o755)
    from sartor_cli import wait_until

    with plain.start("verify", "--env", str(own_env), "--json") as running:
        wait_until((tmp_path / "began").exists)
        running.end(signal.SIGINT).failed("interrupted", 130)
