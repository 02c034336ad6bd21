"""Environments with one small package that has device code, slimmed and brought back."""

from __future__ import annotations

import hashlib
import sys
from typing import TYPE_CHECKING, NamedTuple

from venvs import make, run_uv, site

if TYPE_CHECKING:
    from pathlib import Path

    from sartor_cli import Document, Sartor

HOPPER = ("--gpu", "sm_90")
PYTHON = f"cpython-{sys.version_info.major}{sys.version_info.minor}"
LIBRARIES = {"made/units.so": "units.so", "made/deep/linked.so": "linked.so"}
OTHERS = {
    "made/__init__.py": b"VALUE = 7\n",
    "made/_c.cpython-39-x86_64-linux-gnu.so": b"of another Python",
    f"made/_c.{PYTHON}-x86_64-linux-gnu.so": b"of this one",
    "made/libmade.a": b"!<arch>\n",
    "made/tests/test_made.py": b"assert True\n",
}


class Made(NamedTuple):
    """An environment, and uv's cache, which has its files as hard links."""

    path: Path
    cache: Path

    @property
    def python(self) -> str:
        return str(self.path / "bin" / "python")

    def file(self, name: str) -> Path:
        return site(self.path) / name


def install(env: Made, *what: str) -> None:
    options = ["--cache-dir", str(env.cache), "--link-mode", "hardlink", "--no-deps"]
    run_uv("pip", "install", *options, "--python", env.python, *what)


def made_with(folder: Path, wheel: Path) -> Made:
    """A new environment below the folder, with the wheel."""
    found = Made(folder / "env", folder / "cache")
    make(found.path)
    install(found, str(wheel))
    return found


def contents(folder: Path) -> dict[str, tuple[str, int, int]]:
    """Every file but those that Python compiles: digest, mode, time."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.suffix != ".pyc":
            about, name = path.stat(), path.relative_to(folder).as_posix()
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            if path.name != ".lock":
                found[name] = (digest, about.st_mode, about.st_mtime_ns)
    return found


def slimmed(sartor: Sartor, env: Made, *more: str) -> Document:
    found = sartor.json("slim", str(env.path), "--in-place", *(more or HOPPER))
    result: Document = found["results"][0]
    return result


def undone(sartor: Sartor, env: Made, status: int = 0) -> Document:
    done = sartor.run("slim", str(env.path), "--undo", "--json")
    assert done.status == status, done.stderr
    return done.document
