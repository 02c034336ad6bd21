"""Shared libraries, packages and device code made for a test, with the machine's own compiler."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import shutil
import subprocess
import sys
import venv
from typing import TYPE_CHECKING

import pytest

from fatbin_maker import Made, container

if TYPE_CHECKING:
    from pathlib import Path

WAYS_TO_DIE = {
    "segfault": "static void __attribute__((constructor)) f(void) { *(volatile int *)0 = 0; }",
    "abort": "#include <stdlib.h>\nstatic void __attribute__((constructor)) f(void) { abort(); }",
    "exits": "#include <stdlib.h>\nstatic void __attribute__((constructor)) f(void) { exit(3); }",
    "hangs": "#include <unistd.h>\n"
    "static void __attribute__((constructor)) f(void) { for (;;) pause(); }",
    "prints": "#include <stdio.h>\nstatic void __attribute__((constructor)) f(void) "
    '{ for (int i = 0; i < 20000; i++) puts("a line that fills a megabyte, with its fellows");'
    " fflush(stdout); }",
    "illegal": "static void __attribute__((constructor)) f(void) "
    '{ __asm__ volatile (".byte 0x0f, 0x0b"); }',
}
"""C sources by what the library does when it is opened."""


def compiler() -> str:
    """The C compiler; the test is skipped where there is none."""
    found = shutil.which("cc")
    if found is None:
        pytest.skip("`cc` is not installed, so no library can be made")
    return found


def shared(path: Path, source: str, *options: str) -> Path:
    """Compile a shared library."""
    path.parent.mkdir(parents=True, exist_ok=True)
    command = [compiler(), "-shared", "-fPIC", "-x", "c", "-", "-x", "none", *options]
    subprocess.run([*command, "-o", str(path)], input=source.encode(), check=True)
    return path


def with_device_code(path: Path, units: list[list[Made]], section: str = ".nv_fatbin") -> Path:
    """A shared library with one container for each unit, as nvcc lays them out."""
    path.parent.mkdir(parents=True, exist_ok=True)
    held = path.with_suffix(".fatbin")
    held.write_bytes(b"".join(container(images) for images in units))
    text = f'__asm__(".section {section},\\"a\\"\\n.balign 8\\n.incbin \\"{held}\\"\\n.previous");'
    shared(path, f"{text}\nint one(void) {{ return 1; }}")
    held.unlink()
    return path


def environment(folder: Path) -> Path:
    """A virtual environment of this Python, without packages."""
    venv.create(folder, symlinks=True, with_pip=False)
    return folder


def site(environment: Path) -> Path:
    """Its `site-packages`."""
    (found,) = environment.glob("lib/python3*/site-packages")
    return found


def register(folder: Path, name: str, version: str = "1.0", requires: tuple[str, ...] = ()) -> None:
    """Write the metadata of a package whose files lie in the folder of its name."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
    lines += [f"Requires-Dist: {line}" for line in requires]
    (info / "METADATA").write_text("\n".join(lines) + "\n")
    (info / "WHEEL").write_text("Wheel-Version: 1.0\nTag: py3-none-any\n")
    files = sorted(p for p in (folder / name.replace("-", "_")).rglob("*") if p.is_file())
    rows = io.StringIO()
    writer = csv.writer(rows, lineterminator="\n")
    for path in [*files, info / "METADATA", info / "WHEEL"]:
        writer.writerow([path.relative_to(folder), hash_of(path), path.stat().st_size])
    writer.writerow([info.relative_to(folder) / "RECORD", "", ""])
    (info / "RECORD").write_text(rows.getvalue())


def hash_of(path: Path) -> str:
    """As a RECORD has it."""
    digest = hashlib.sha256(path.read_bytes()).digest()
    return "sha256=" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def python_version() -> str:
    """Of the environments that are made here."""
    return ".".join(map(str, sys.version_info[:3]))
