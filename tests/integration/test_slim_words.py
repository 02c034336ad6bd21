"""What `sartor slim` says on its two streams, on a terminal and elsewhere, as its users see it."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import subprocess
import sys
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

import pytest

from sartor_cli import documents
from slim_envs import HOPPER, LIBRARIES, Made, install, slimmed
from slim_maker import DATA
from slim_wheels import NAME, write_wheel
from wheelserver import make_wheel

if TYPE_CHECKING:
    from pathlib import Path

    from sartor_cli import Sartor

BOTH = (*HOPPER, "--gpu", "sm_120")
NOTE = "one index for each GPU, and none for all of them: `sm_90/simple`, `sm_120/simple`"
OVER = "\r\x1b[K"
"""To the beginning of the line, which is cleared."""


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    return write_wheel(tmp_path / NAME)


@pytest.mark.parametrize("way", [(), ("--json",)])
def test_several_gpus_are_several_indexes_and_it_is_noted(
    plain: Sartor, wheel: Path, tmp_path: Path, way: tuple[str, ...]
) -> None:
    words = ("slim", "--index", str(tmp_path / "index"), str(wheel), *way)
    done = plain.run(*words, *BOTH).succeeded()
    assert done.stderr.strip() == NOTE
    assert NOTE not in done.stdout
    for gpu in ("sm_90", "sm_120"):
        assert (tmp_path / "index" / gpu / "simple" / "index.html").is_file()
    assert plain.run(*words, *HOPPER).succeeded().stderr == ""


def on_a_terminal(sartor: Sartor, *words: str) -> tuple[str, str]:
    """What a command prints, and what a terminal gets that its stderr is."""
    ours, theirs = pty.openpty()
    argv = [sys.executable, "-m", "sartor", *words]
    variables = {**sartor.variables, "TERM": "xterm"}
    variables.pop("NO_COLOR", None)
    seen = b""
    with (
        TemporaryFile() as printed,
        subprocess.Popen(argv, stdout=printed, stderr=theirs, env=variables) as running,
    ):
        os.close(theirs)
        with contextlib.suppress(OSError):  # the other end is closed
            while part := os.read(ours, 1 << 16):
                seen += part
        os.close(ours)
        assert running.wait() == 0, seen
        printed.seek(0)
        return printed.read().decode(), seen.decode()


@pytest.mark.parametrize("way", [(), ("--json",)])
@pytest.mark.parametrize("kind", ["wheel", "environment"])
def test_progress_is_for_terminals(
    plain: Sartor, wheel: Path, env: Made, tmp_path: Path, kind: str, way: tuple[str, ...]
) -> None:
    """It goes to stderr, is taken back, and a file or a pipe gets none of it."""
    of_wheel = ("slim", str(wheel), *HOPPER, "-o", f"{tmp_path}/out/", *way)
    of_environment = ("slim", str(env.path), *HOPPER, "--in-place", *way)
    words = of_wheel if kind == "wheel" else of_environment
    printed, seen = on_a_terminal(plain, *words)
    assert re.search(r"slimming.*: .*B of .*KiB", seen)
    assert seen.rpartition(OVER)[2] == ""
    assert "\n" not in seen
    done = plain.run(*words).succeeded()
    assert done.stderr == ""
    for stdout in (printed, done.stdout):
        assert "\r" not in stdout
        assert "\x1b" not in stdout
        assert len(documents(stdout)) == 1 if way else "for sm_90" in stdout


def test_one_hint_for_all_files_of_a_package(plain: Sartor, env: Made, tmp_path: Path) -> None:
    """Where nothing was kept for undoing, the way back is said once."""
    other = tmp_path / "other-1.0-py3-none-any.whl"
    other.write_bytes(make_wheel({"other/units.so": (DATA / "units.so").read_bytes()}, "other"))
    install(env, str(other))
    slimmed(plain, env, *HOPPER, "--no-undo")
    done = plain.run("slim", str(env.path), "--undo")
    assert (done.status, done.stderr) == (1, "")
    assert done.stdout.count("not brought back: nothing was kept of it") == len(LIBRARIES) + 1
    hints = [line for line in done.stdout.splitlines() if "--reinstall" in line]
    assert sorted(hint.rpartition(" ")[2] for hint in hints) == ["made==1.0`", "other==1.0`"]
    assert done.stdout.splitlines()[-2:] == hints
