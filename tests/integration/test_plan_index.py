"""Another build of a release's torch, from an index that the user names in place of its makers'."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import pytest

from indexserver import serving
from sartor_cli import documents

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from indexserver import Index
    from sartor_cli import Document, Sartor

HOST = "rtx-5090, driver=580.65.06, arch=x86_64, glibc=2.39, python=3.12"
RELEASES = {"torch": "2.7.1", "torchvision": "0.22.1", "torchaudio": "2.7.1"}
REQUIRES = {
    "torch": ["nvidia-cuda-runtime-cu12==12.8.57", "triton==3.3.1"],
    "torchvision": ["torch==2.7.1"],
    "torchaudio": ["torch==2.7.1"],
}


def built_for(folder: Path, project: str, version: str) -> Path:
    """A wheel that declares what PyTorch's for CUDA 12.8 does, and holds nothing."""
    info = f"{project}-{version}.dist-info"
    path = folder / f"{project}-{version}-cp312-cp312-manylinux_2_28_x86_64.whl"
    lines = ["Metadata-Version: 2.1", f"Name: {project}", f"Version: {version}"]
    lines += [f"Requires-Dist: {one}" for one in REQUIRES[project]]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{info}/METADATA", "\n".join([*lines, ""]))
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: cp312-cp312-manylinux_2_28_x86_64\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    """An index as PyTorch's for CUDA 12.8 was in August 2025, of three projects."""
    wheels = [built_for(tmp_path, name, f"{v}+cu128") for name, v in RELEASES.items()]
    with serving(wheels) as index:
        yield index


def planned(sartor: Sartor, *arguments: str) -> tuple[int, Document]:
    """The plan of vLLM 0.10.1.1, which pins a torch whose usual build has no code for 12.0."""
    done = sartor.run("plan", "vllm==0.10.1.1", "--host", HOST, "--json", *arguments)
    (document,) = documents(done.stdout)
    return done.status, document


def test_its_torch_saves_the_release(sartor: Sartor, index: Index) -> None:
    status, plan = planned(sartor, "--index", f"pytorch-cu128={index.url}")
    assert status == 0
    assert plan["stack"]["strategy"] == "index"
    packages = {p["name"]: p for p in plan["stack"]["packages"]}
    for name, version in RELEASES.items():
        assert packages[name]["version"] == f"{version}+cu128"
        assert packages[name]["index"] == "pytorch-cu128"
    assert packages["vllm"]["index"] == "default"
    assert packages["torch"]["cuda"] == "12.8"
    assert {i["alias"]: i["state"] for i in plan["indexes"]}["pytorch-cu128"] == "reached"
    usual = plan["rejected"][0]
    assert usual["candidate"]["strategy"] == "release"
    assert {d["rule"] for d in usual["decisions"] if d["outcome"] == "rejected"} == {"device-code"}
    assert any("torch" in text for text in plan["not_checked"])


def test_without_it_there_is_no_stack(sartor: Sartor, index: Index) -> None:
    index.status = 503
    status, plan = planned(sartor, "--index", f"pytorch-cu128={index.url}")
    assert status == 13
    assert plan["stack"] is None
    state = next(i for i in plan["indexes"] if i["alias"] == "pytorch-cu128")
    assert state["state"] == "not reached"
    ways = [way["strategy"] for way in plan["alternatives"]]
    assert "index" in ways
    assert "source" in ways


def test_an_address_that_is_none(sartor: Sartor) -> None:
    done = sartor.run("plan", "--index", "pytorch-cu128=nowhere", "--json")
    assert "address" in done.failed("usage", 2)["message"]
