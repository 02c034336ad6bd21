"""Published wheels for tests: downloaded once, kept in a folder of the tester's own.

``SARTOR_TEST_WHEELS`` names the folder; else it is ``sartor-tests/wheels`` in the user's cache.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
from packaging.requirements import Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

if TYPE_CHECKING:
    from collections.abc import Iterator

NEWEST_GLIBC_MINOR = 45
OLD_NAMES = ("manylinux1", "manylinux2010", "manylinux2014", "linux")


def wheels_folder() -> Path:
    """Where wheels are kept; made if it is not there."""
    named = os.environ.get("SARTOR_TEST_WHEELS")
    folder = Path(named or Path(platformdirs.user_cache_dir("sartor-tests")) / "wheels")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@cache
def platforms(machine: str) -> list[str]:
    """Every Linux platform tag with glibc for ``x86_64`` or ``aarch64``, the newest first."""
    minors = [f"manylinux_2_{n}_{machine}" for n in range(NEWEST_GLIBC_MINOR, 4, -1)]
    return [*minors, *(f"{name}_{machine}" for name in OLD_NAMES)]


def wheel(requirement: str, python: str = "3.12", machine: str = "x86_64") -> Path:
    """The wheel for a requirement (``vllm==0.25.1``), from the folder or else from the index.

    The folder is asked first, so pin the version. Raises `CalledProcessError` where pip finds none.
    """
    folder = wheels_folder()
    return kept(folder, requirement, python, machine) or download(
        folder, requirement, python, machine
    )


def kept(folder: Path, requirement: str, python: str, machine: str) -> Path | None:
    """The newest wheel in the folder that fits."""
    wanted = Requirement(requirement)
    tags = supported(python, machine)
    fitting = []
    for file in folder.glob("*.whl"):
        try:
            name, version, _, its_tags = parse_wheel_filename(file.name)
        except InvalidWheelFilename:
            continue
        wanted_one = name == canonicalize_name(wanted.name) and bool(its_tags & tags)
        if wanted_one and wanted.specifier.contains(version, prereleases=True):
            fitting.append((version, file))
    return max(fitting)[1] if fitting else None


@cache
def supported(python: str, machine: str) -> frozenset[Tag]:
    """What an interpreter on that machine would install."""
    version = tuple(int(n) for n in python.split("."))
    both = platforms(machine)
    interpreter = f"cp{version[0]}{version[1]}"
    return frozenset(
        [*cpython_tags(version, platforms=both), *compatible_tags(version, interpreter, both)]
    )


def download(folder: Path, requirement: str, python: str, machine: str) -> Path:
    """Ask the index through pip; the wheel is moved into the folder when it is whole."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as scratch:
        command = [*pip(), "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        command += ["--python-version", python, "--dest", scratch]
        command += [option for p in platforms(machine) for option in ("--platform", p)]
        subprocess.run([*command, requirement], check=True, stdin=subprocess.DEVNULL)
        (file,) = Path(scratch).glob("*.whl")
        return file.replace(folder / file.name)


def pip() -> list[str]:
    """How pip is called: a copy that uv keeps, for the environment of the tests has none."""
    return [str(Path(sys.executable).with_name("uv")), "tool", "run", "--quiet", "pip"]


def run_unconfigured(command: list[str]) -> None:
    """Run pip, or uv, with none of pip's configuration: all that it may use is named."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    environment = {**kept, "NO_PROXY": "127.0.0.1", "PIP_CONFIG_FILE": os.devnull}
    done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def members(file: Path, suffix: str, folder: Path) -> Iterator[Path]:
    """Extract, one at a time, the members that end in ``suffix`` (``.so``, ``.abi3.so``)."""
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            if member.filename.endswith(suffix):
                yield Path(archive.extract(member, folder))
