"""Which of many wheels a machine gets, judged by uv: it installs one, which says which it is."""

from __future__ import annotations

import platform
import random
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest
from packaging.tags import sys_tags
from uv import find_uv_bin

from sartor.index.files import IndexFile
from sartor.plan.known import Machine
from sartor.plan.offers.tags import best_wheel

if TYPE_CHECKING:
    from pathlib import Path

STRANGE = ["cp27-cp27mu-manylinux1_x86_64", "py3-none-win_amd64", "cp39-cp39-manylinux_2_17_s390x"]
ALIKE = ["py3-none-any", "2-py3-none-any", "10-py3-none-any", "0-py3-none-any"]


def wheel(folder: Path, name: str) -> None:
    """An installable wheel whose only module says its file's name."""
    info = "one-1.0.dist-info"
    tags = "-".join(name.removesuffix(".whl").split("-")[-3:])
    with zipfile.ZipFile(folder / name, "w") as archive:
        archive.writestr("one.py", name)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: one\nVersion: 1.0\n")
        archive.writestr(
            f"{info}/WHEEL",
            f"Wheel-Version: 1.0\nGenerator: a\nRoot-Is-Purelib: true\nTag: {tags}\n",
        )
        archive.writestr(f"{info}/RECORD", "")


def installed(folder: Path, into: Path) -> str | None:
    """The wheel of the folder that uv installs."""
    words = ["pip", "install", "--quiet", "--no-cache", "--no-index", "--find-links", str(folder)]
    words += ["--target", str(into), "--python", sys.executable, "one"]
    done = subprocess.run([find_uv_bin(), *words], capture_output=True, check=False)
    return (into / "one.py").read_text("utf-8") if done.returncode == 0 else None


@pytest.mark.parametrize("seed", range(12))
def test_uv_takes_the_same(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)  # noqa: S311 - which wheels are tried
    mine = [str(tag) for tag in sys_tags() if "musl" not in tag.platform]
    picked = chance.sample(mine, 6) + chance.sample(STRANGE, 2) + chance.sample(ALIKE, seed % 4)
    if seed % 3 == 0:
        picked = picked[6:]
    own = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    if seed % 3 == 1:  # a plain ``linux`` tag beside those of PEP 600
        alike = [tag for tag in mine if tag.startswith(f"{own}-{own}-")]
        picked = [f"{own}-{own}-linux_{platform.machine()}", *chance.sample(alike, 3)]
    folder = tmp_path / "wheels"
    folder.mkdir()
    names = sorted({f"one-1.0-{tag}.whl" for tag in picked})
    for name in names:
        wheel(folder, name)
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    here = Machine(platform.machine(), platform.libc_ver()[1], python)
    found = best_wheel([IndexFile(name, "") for name in names], here)
    assert installed(folder, tmp_path / "there") == (found.name if found else None)
