"""`./sartor` makes its environment once, whoever asks for it, and leaves a running one alone."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sartor_cli import user_variables

ROOT = Path(__file__).parents[2]
PARTS = ("src", "tools", "requirements", "pyproject.toml", "README.md", "LICENSE", "sartor")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in which two first calls ran at once."""
    folder = tmp_path_factory.mktemp("tree") / "a tree"
    folder.mkdir()
    for part in PARTS:
        if (ROOT / part).is_dir():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / part, folder / part, ignore=ignore)
        else:
            shutil.copy(ROOT / part, folder / part)
    calls = [start(folder), start(folder)]
    talk = [call.communicate(timeout=300) for call in calls]
    assert [call.returncode for call in calls] == [0, 0], talk
    assert all(said.startswith("sartor ") for said, _ in talk)
    assert sum("making /" in err for _, err in talk) == 1
    return folder


def start(tree: Path, **variables: str) -> subprocess.Popen[str]:
    """`./sartor --version`, as a user starts it."""
    environment = user_variables() | variables
    pipe = subprocess.PIPE
    argv = [str(tree / "sartor"), "--version"]
    return subprocess.Popen(argv, stdout=pipe, stderr=pipe, text=True, env=environment)


def made(tree: Path, **variables: str) -> bool:
    """Whether a call makes the environment again."""
    call = start(tree, **variables)
    said, talk = call.communicate(timeout=300)
    assert call.returncode == 0, talk
    assert said.startswith("sartor ")
    assert not list(tree.glob(".venv-run.*"))
    return "making /" in talk


def test_it_is_found_again_by_another_python(tree: Path, tmp_path: Path) -> None:
    other = tmp_path / "python3"
    other.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    other.chmod(0o755)
    assert not made(tree)
    assert not made(tree, PATH=f"{tmp_path}:/usr/bin:/bin")


def test_a_python_that_does_not_know_its_path(tree: Path) -> None:
    code = "import sys, runpy; sys.executable = ''; "
    code += "print(runpy.run_path('tools/bootstrap.py')['interpreter']())"
    done = subprocess.run([sys.executable, "-c", code], cwd=tree, capture_output=True, check=True)
    assert Path(done.stdout.decode().strip()).samefile(sys.executable)


def test_a_python_that_went_away(tree: Path) -> None:
    python = tree / ".venv-run/bin/python"
    python.unlink()
    python.symlink_to("/nonexistent/python3")
    assert made(tree)
    assert not made(tree)


def test_a_new_one_that_fails_leaves_the_old_one(tree: Path) -> None:
    pins = tree / "requirements/run.txt"
    text = pins.read_text("utf-8")
    pins.write_text(text + "no-such-package-of-ours @ file:///nonexistent.whl\n", "utf-8")
    call = start(tree)
    assert "error:" in call.communicate(timeout=300)[1]
    assert call.returncode != 0
    assert (tree / ".venv-run/bin/sartor").exists()
    pins.write_text(text, "utf-8")
    assert not made(tree)
