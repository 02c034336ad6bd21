"""Virtual environments that uv makes for tests, and their RECORDs held against their files."""

from __future__ import annotations

import base64
import csv
import hashlib
import subprocess
import sys
from typing import TYPE_CHECKING

import uv

if TYPE_CHECKING:
    from pathlib import Path

    from sartor_cli import Document, Sartor


SMALL = ("six", "markupsafe", "packaging")


def make(folder: Path, *options: str) -> None:
    run_uv("venv", "--python", sys.executable, *options, str(folder))


def install(folder: Path, *what: str) -> None:
    python = str(folder / "bin" / "python")
    run_uv("pip", "install", "--link-mode", "copy", "--python", python, *what)


def small_one(folder: Path) -> Path:
    """An environment with `SMALL` in it; its files are copies: what a test alters is its own."""
    make(folder)
    install(folder, *SMALL)
    return folder


def run_uv(*arguments: str) -> None:
    done = subprocess.run(
        [uv.find_uv_bin(), *arguments, "--quiet"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def site(env: Path) -> Path:
    (found,) = env.glob("lib/python3*/site-packages")
    return found


def info(env: Path, name: str) -> Path:
    (found,) = site(env).glob(f"{name}-*.dist-info")
    return found


def verified(sartor: Sartor, env: Path, status: int, *more: str) -> Document:
    """The report as far as *resolves*."""
    done = sartor.run("verify", "--env", str(env), "--grade", "resolves", "--json", *more)
    assert done.status == status, f"status {done.status}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done.document


def wrong_by_hand(env: Path) -> set[str]:
    """The files that are not as a RECORD has them, by Python's own `csv` and `hashlib`."""
    wrong = set()
    for record in site(env).glob("*.dist-info/RECORD"):
        for name, told, size in csv.reader(record.read_text("utf-8").splitlines()):
            path = site(env) / name
            if not told:
                continue
            if not path.is_file():
                wrong.add(name)
                continue
            data = path.read_bytes()
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            if told != f"sha256={digest}" or len(data) != int(size):
                wrong.add(name)
    return wrong
