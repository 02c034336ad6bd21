"""Environments that do not hold together, of published wheels: each is named for what it is."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from fnmatch import fnmatch
from typing import TYPE_CHECKING

import pytest

from sartor.host.loader import find_library
from wheels import wheel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sartor_cli import Document, Sartor

TORCH = "2.11.0"
TORCH_LIBRARIES = (
    "libc10.so",
    "libc10_cuda.so",
    "libtorch.so",
    "libtorch_cpu.so",
    "libtorch_cuda.so",
    "libtorch_python.so",
)
WITHOUT_NUMA = {
    "schema": "sartor.host/1",
    "gpus": [{"name": "NVIDIA H200", "compute_capability": "9.0"}],
    "libraries": {"libnuma.so.1": None},
    "described": True,
}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """An empty environment, removed afterwards: pytest would keep a gigabyte of each."""
    made = tmp_path / "environment"
    made.mkdir()
    yield made
    shutil.rmtree(made)


def unpack(requirement: str, folder: Path, *globs: str) -> None:
    """What a wheel holds under these names, and its metadata, as an installer lays it down."""
    with zipfile.ZipFile(wheel(requirement)) as archive:
        for name in archive.namelist():
            if any(fnmatch(name, glob) for glob in ("*.dist-info/*", *globs)):
                archive.extract(name, folder)


def install(folder: Path, *requirements: str) -> None:
    """The wheels in a folder, laid down by uv without what they require."""
    files = [str(wheel(requirement)) for requirement in requirements]
    uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps", "--offline"]
    options = ["--python-version", "3.12", "--target", str(folder)]
    subprocess.run([*uv, *options, *files], check=True, stdin=subprocess.DEVNULL)


def codes(inspection: Document, severity: str) -> set[str]:
    """The codes of the findings of one severity."""
    return {f["code"] for f in inspection["findings"] if f["severity"] == severity}


def text(inspection: Document, code: str) -> str:
    """The text of the one finding with a code."""
    (found,) = [f["text"] for f in inspection["findings"] if f["code"] == code]
    return str(found)


def needed(file: Path) -> list[str]:
    """What readelf says that a library needs."""
    done = subprocess.run(["readelf", "-d", str(file)], capture_output=True, text=True, check=True)
    return [line.split("[")[1].rstrip("]") for line in done.stdout.splitlines() if "NEEDED" in line]


def test_mixed_cuda_majors(plain: Sartor, folder: Path) -> None:
    """torchaudio for CUDA 12 beside torchvision for CUDA 13."""
    install(folder, "torchaudio==2.8.0", "torchvision==0.26.0")
    assert "libcudart.so.12" in needed(folder / "torchaudio" / "lib" / "libtorchaudio.so")
    assert "libcudart.so.13" in needed(folder / "torchvision" / "_C.so")

    inspection = plain.json("inspect", str(folder), "--gpu", "h200")
    assert inspection["kind"] == "environment"
    said = text(inspection, "mixed-cuda-majors")
    assert "CUDA 12 (`torchaudio` 2.8.0" in said
    assert "CUDA 13 (`torchvision` 0.26.0" in said
    assert "mixed-cuda-majors" in codes(inspection, "error")
    assert "torch-abi" not in codes(inspection, "error"), "there is no PyTorch to hold it against"


def test_bitsandbytes_for_every_cuda_is_not_mixed(plain: Sartor) -> None:
    """It carries a library for each CUDA version and loads one."""
    inspection = plain.json("inspect", str(wheel("bitsandbytes==0.50.2")), "--gpu", "h200")
    assert {library["cuda_major"] for library in inspection["libraries"]} >= {11, 12, 13}
    every = codes(inspection, "error") | codes(inspection, "warning")
    assert not every & {"mixed-cuda-majors", "library-not-provided", "cuda-major-pins"}


def test_without_libnuma(plain: Sartor, folder: Path, tmp_path: Path) -> None:
    """sgl-kernel 0.3.21 declares no dependency, and two of its libraries need libnuma."""
    host = tmp_path / "host.json"
    unpack("sgl-kernel==0.3.21", folder, "_mscclpp*.so", "lib/mscclpp.so", "*/spatial_ops*.so")
    assert "libnuma.so.1" in needed(folder / "lib" / "mscclpp.so")
    host.write_text(json.dumps(WITHOUT_NUMA))

    inspection = plain.json("inspect", str(folder), "--host", str(host))
    lacking = [f for f in inspection["findings"] if "libnuma.so.1" in f["text"]]
    assert [(f["code"], f["severity"]) for f in lacking] == [("library-not-provided", "error")]
    assert "`sgl-kernel` 0.3.21" in lacking[0]["text"]
    assert "mscclpp.so" in lacking[0]["text"]
    assert "libnuma1" in lacking[0]["text"], "the package of the host's distribution"


def test_what_this_machine_has_is_what_the_loader_finds(plain: Sartor, folder: Path) -> None:
    """Without a described host an installed library's needs are looked for here."""
    unpack("sgl-kernel==0.3.21", folder, "lib/mscclpp.so")
    inspection = plain.json("inspect", str(folder))
    lacking = [f for f in inspection["findings"] if "libnuma.so.1" in f["text"]]
    assert bool(lacking) is (find_library("libnuma.so.1", "x86_64") is None)


def test_a_torchvision_built_for_another_torch(plain: Sartor, folder: Path) -> None:
    """torchvision 0.20.1, built for torch 2.5.1, beside torch 2.11.0."""
    unpack(f"torch=={TORCH}", folder, *(f"torch/lib/{name}" for name in TORCH_LIBRARIES))
    install(folder, "torchvision==0.20.1")
    lacking = undefined_by_nm(folder)
    assert lacking, "the premise: the loader would find symbols missing"

    inspection = plain.json("inspect", str(folder), "--gpu", "h200")
    assert {"torch-abi", "torch-pin"} <= codes(inspection, "error")
    said = text(inspection, "torch-abi")
    assert f"needs {len(lacking)} symbols of PyTorch that torch {TORCH} does not define" in said
    assert all(name in lacking for name in said.split("(`")[1].split("` and ")[0].split("`, `"))
    assert "it requires `torch==2.5.1`" in said


def test_a_torchvision_built_for_this_torch(plain: Sartor, folder: Path) -> None:
    """torchvision 0.26.0 was built for torch 2.11.0, and nothing is said of the two."""
    unpack(f"torch=={TORCH}", folder, *(f"torch/lib/{name}" for name in TORCH_LIBRARIES))
    install(folder, "torchvision==0.26.0")
    inspection = plain.json("inspect", str(folder), "--gpu", "h200")
    every = {finding["code"] for finding in inspection["findings"]}
    assert not every & {"torch-abi", "torch-pin", "mixed-cuda-majors", "cuda-major-pins"}


def undefined_by_nm(folder: Path) -> set[str]:
    """By nm: what torchvision wants in PyTorch's namespaces and its libraries do not define."""
    defined = set()
    for name in TORCH_LIBRARIES:
        defined |= symbols(folder / "torch" / "lib" / name, "--defined-only")
    wanted = symbols(folder / "torchvision" / "_C.so", "--undefined-only")
    spaces = ("2at", "3c10", "5torch", "6caffe2")
    prefixes = tuple(f"_Z{kind}{space}" for kind in ("N", "NK", "TIN", "TVN") for space in spaces)
    return {name for name in wanted if name.startswith(prefixes)} - defined


def symbols(file: Path, which: str) -> set[str]:
    """The names that nm lists in a library's dynamic table, without versions."""
    command = ["nm", "--dynamic", "--format=posix", which, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {line.split()[0].partition("@")[0] for line in done.stdout.splitlines()}
