"""What is foretold of a resolution is what `sartor inspect` finds once uv has installed it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import msgspec
import pytest

from sartor.artifact.digest import file_sha256
from sartor.artifact.reading import read_evidence
from sartor.host.model import Host
from sartor.index.wheels import IndexFile
from sartor.plan.closure.judge import closure
from sartor.plan.decision import Rejected
from sartor.plan.known import DEFAULT, Locked, Machine, Resolution
from sartor.verdict.dispatch import wants_names
from sartor.verdict.targets import targets_of
from wheels import wheel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sartor.artifact.model import Evidence
    from sartor.artifact.reading import Names
    from sartor.plan.closure.judge import Closure
    from sartor_cli import Document, Sartor

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
HOST = {
    "schema": "sartor.host/1",
    "gpus": [{"name": "NVIDIA GeForce RTX 5090", "compute_capability": "12.0"}],
    "driver": {"version": "570.86", "cuda": "12.8"},
    "architecture": "x86_64",
    "glibc": "2.35",
    "libraries": {"libnuma.so.1": None, "libgomp.so.1": "/usr/lib/libgomp.so.1"},
    "compilers": [{"name": "gcc", "path": "/usr/bin/gcc"}],
    "described": True,
}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A place for a virtual environment, removed afterwards."""
    made = tmp_path / "environment"
    yield made
    shutil.rmtree(made)


def uv(*arguments: str) -> None:
    """Run it, and fail where it does."""
    command = [sys.executable, "-m", "uv", *arguments, "--quiet", "--offline"]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def names(path: str) -> Names:
    """As evidence is kept: of one image of each unit, where a fact asks for it."""
    return "one" if wants_names(path) else "none"


def foretold(files: list[Path], python: str) -> Closure:
    """The closure of exactly these wheels on the host."""
    locked: list[Locked] = []
    evidence: dict[str, Evidence | None] = {}
    for file in files:
        sha256 = str(file_sha256(file))
        read = read_evidence(file, names)
        evidence[sha256] = read
        package = read.packages[0]
        listed = IndexFile(file.name, "", file.stat().st_size, sha256)
        locked.append(Locked(package.name, package.version, listed, DEFAULT))
    host = msgspec.convert(HOST, Host)
    machine = Machine("x86_64", "2.35", python)
    roots = [one.name for one in locked]
    return closure(Resolution(locked, ""), evidence, {}, host, machine, targets_of(host), roots)


def inspected(plain: Sartor, folder: Path, tmp_path: Path) -> Document:
    """What is found in the environment, for the same host."""
    document = tmp_path / "host.json"
    document.write_text(json.dumps(HOST), "utf-8")
    return plain.json("inspect", str(folder), "--host", str(document))


def agree(said: Closure, found: Document) -> None:
    """Every finding word for word, PyTorch's symbols aside, and every feature."""
    really = [f for f in found["findings"] if f["code"] != "torch-abi"]
    expected = [(f.severity, f.code, f.path, f.text) for f in said.findings]
    assert expected == [(f["severity"], f["code"], f.get("path"), f["text"]) for f in really]
    with_facts = {(f["package"], f["name"], f["verdict"], f["because"]) for f in found["features"]}
    packages = {package for package, *_ in with_facts}
    told = {(f.package, f.name, f.verdict, f.because) for f in said.features}
    assert {one for one in told if one[0] in packages} == with_facts
    assert with_facts


def test_a_virtual_environment_without_pytorch(plain: Sartor, folder: Path, tmp_path: Path) -> None:
    files = [wheel("bitsandbytes==0.50.2"), wheel("sglang-kernel==0.4.10")]
    uv("venv", str(folder), "--python", sys.executable)
    python = str(folder / "bin" / "python")
    uv("pip", "install", "--no-deps", "--python", python, *map(str, files))
    said = foretold(files, HERE)
    agree(said, inspected(plain, folder, tmp_path))
    rejected = {d.rule for d in said.decisions if isinstance(d, Rejected)}
    assert {"dependency-missing", "driver"} <= rejected
    without = [d.wanted for d in said.decisions if d.rule == "libraries"]
    assert any("libtorch.so" in wanted and "sglang-kernel" in wanted for wanted in without)


def test_a_torchvision_of_another_torch(plain: Sartor, folder: Path, tmp_path: Path) -> None:
    requirements = ["torch==2.11.0", "torchvision==0.23.0", "bitsandbytes==0.50.2"]
    files = [wheel(requirement) for requirement in requirements]
    site = folder / "lib" / "python3.12" / "site-packages"
    site.mkdir(parents=True)
    (folder / "pyvenv.cfg").write_text("version = 3.12.0\n", "utf-8")
    options = ["--no-deps", "--python-version", "3.12", "--target", str(site)]
    uv("pip", "install", *options, *map(str, files))
    said, found = foretold(files, "3.12"), inspected(plain, folder, tmp_path)
    agree(said, found)
    (abi,) = [f for f in found["findings"] if f["code"] == "torch-abi"]
    (told,) = [d for d in said.decisions if isinstance(d, Rejected) and d.rule == "torch-abi"]
    assert "torchvision" in abi["text"]
    assert "torchvision" in told.wanted
    assert abi["severity"] == "error"
