"""Locks of plans before uv, pip and `packaging`: what each of them would install from a lock."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import uv
from packaging.pylock import PackageWheel, Pylock
from packaging.tags import compatible_tags, cpython_tags

from locks import machine
from sartor_cli import user_variables
from wheels import platforms

if TYPE_CHECKING:
    from pathlib import Path

    from packaging.tags import Tag

Document = dict[str, Any]
LEGACY = {"1": 5, "2010": 12, "2014": 17}
"""The old names of platforms, and the glibc (2.x) that each stands for."""


class Asked(NamedTuple):
    """A host, what is asked for it, and the day (None: now)."""

    name: str
    host: str
    engine: str
    python: str = "3.12"
    as_of: str | None = None
    pins: tuple[str, ...] = ()
    glibc: str = "2.39"
    architecture: str = "x86_64"

    @property
    def words(self) -> list[str]:
        """What `sartor plan` and `sartor lock` are told."""
        host = f"{self.host}, arch={self.architecture}, glibc={self.glibc}"
        found = [self.engine, "--host", host, "--python", self.python]
        found += ["--as-of", self.as_of] if self.as_of else []
        return [*found, *(word for pin in self.pins for word in ("--pin", pin))]

    @property
    def platform(self) -> str:
        """uv's name of the machine."""
        return f"{self.architecture}-manylinux_{self.glibc.replace('.', '_')}"

    @property
    def tags(self) -> list[Tag]:
        """The tags that its Python takes, the best first."""
        newest = int(self.glibc.partition(".")[2])
        names = [n for n in platforms(self.architecture) if _glibc(n) <= newest]
        version = (3, int(self.python.partition(".")[2]))
        own = cpython_tags(version, platforms=names)
        return [*own, *compatible_tags(version, f"cp{version[0]}{version[1]}", names)]

    @property
    def markers(self) -> Any:
        """What markers are evaluated with on it."""
        return machine(self.python) | {"platform_machine": self.architecture}


def _glibc(platform: str) -> int:
    """``manylinux_2_28_x86_64`` → 28; of a plain ``linux_x86_64`` 0."""
    words = platform.removeprefix("manylinux").split("_")
    if platform.startswith("manylinux_"):
        return int(words[2])
    return LEGACY.get(words[0], 0)


def run(*words: str, status: int = 0, cwd: Path | None = None) -> str:
    """What a program says; it must end with that status."""
    variables = {k: v for k, v in user_variables().items() if k not in {"VIRTUAL_ENV", "UV_PYTHON"}}
    variables |= {"UV_PYTHON_DOWNLOADS": "never", "NO_COLOR": "1"}
    done = subprocess.run(
        words, cwd=cwd, capture_output=True, text=True, env=variables, check=False, timeout=3600
    )
    assert done.returncode == status, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def run_uv(*words: str, status: int = 0) -> str:
    """What uv says."""
    return run(uv.find_uv_bin(), *words, status=status)


def by_uv(asked: Asked, pylock: Path, target: Path, status: int = 0) -> set[str]:
    """The pins that uv would install from a lock on the machine: ``torch==2.13.0``.

    It holds ``requires-python`` against an interpreter, so one of that Python must be here.
    """
    said = run_uv(
        *("pip", "sync", "--dry-run", "--preview-features", "pylock", "--target", str(target)),
        *("--python", interpreters()[asked.python]),
        *("--python-platform", asked.platform, "--python-version", asked.python, str(pylock)),
        status=status,
    )
    return {line.removeprefix(" + ") for line in said.splitlines() if line.startswith(" + ")}


def by_packaging(asked: Asked, pylock: Path) -> dict[str, tuple[str, str]]:
    """Package → the file and its sha256 that the reference implementation takes from a lock."""
    lock = Pylock.from_dict(tomllib.loads(pylock.read_text("utf-8")))
    found = {}
    for package, file in lock.select(environment=asked.markers, tags=asked.tags):
        assert isinstance(file, PackageWheel)
        found[str(package.name)] = file.filename, file.hashes["sha256"]
    return found


def by_the_resolver(asked: Asked, roots: list[str]) -> set[str]:
    """The pins that uv comes to from the roots alone."""
    command = [uv.find_uv_bin(), "pip", "compile", "-", "--quiet", "--no-header", "--no-annotate"]
    command += ["--python-version", asked.python, "--python-platform", asked.platform, "--no-build"]
    command += ["--exclude-newer", asked.as_of] if asked.as_of else []
    done = subprocess.run(
        command,
        input="\n".join(roots),
        env={**user_variables(), "TZ": "UTC", "UV_PYTHON_DOWNLOADS": "never"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return {line.partition(" ;")[0].strip() for line in done.stdout.splitlines() if "==" in line}


@cache
def interpreters() -> dict[str, str]:
    """The Pythons of this machine: ``3.12`` and a path."""
    said = run(sys.executable, "-m", "sartor", "detect", "--json")
    rows = json.loads(said[said.index("{") :])["pythons"]
    return {".".join(row["version"].split(".")[:2]): row["path"] for row in reversed(rows)}


def pip_of(folder: Path) -> str:
    """The path of a pip that reads locks, put into a folder."""
    if not (folder / "pip").is_dir():
        run_uv("pip", "install", "--quiet", "--target", str(folder), "pip>=26.1")
    return os.fspath(folder / "pip")
