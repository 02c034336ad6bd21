"""Extensions of PyTorch that do not open, and calls that the driver's library does not have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from libraries import environment, register, shared, site
from opened import GOOD, failed, made, opened
from sartor.verify.model import Failed, Passed

if TYPE_CHECKING:
    from pathlib import Path

TORCH_LIBRARY = "int _ZN3c103oneEv(void) { return 1; }"
EXTENSION = "int {0}(void); int f(void) {{ return {0}(); }}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return environment(tmp_path / "env")


def torch_package(folder: Path, needed: str) -> Path:
    """A package ``torch`` 2.8.0 whose import opens its only library, which needs ``needed``."""
    other = made(folder, f"nvidia/lib/{needed}", GOOD, f"-Wl,-soname,{needed}")
    options = ("-Wl,-soname,libc10.so", "-Wl,-rpath,$ORIGIN/../../nvidia/lib", "-Wl,--no-as-needed")
    library = made(folder, "torch/lib/libc10.so", TORCH_LIBRARY, *options, str(other))
    code = "import ctypes, pathlib\nhere = pathlib.Path(__file__).parent\n"
    code += "ctypes.CDLL(str(here / 'lib' / 'libc10.so'))"
    (site(folder) / "torch" / "__init__.py").write_text(f"{code}\n")
    register(site(folder), "torch", "2.8.0")
    return library


def test_an_extension_for_another_torch(folder: Path) -> None:
    library = torch_package(folder, "libcudart.so.13")
    made(folder, "vision/_C.so", EXTENSION.format("_ZN3c103oneEv"), str(library))
    made(folder, "vision/image.so", EXTENSION.format("_ZN3c103twoEv"), str(library))
    register(site(folder), "vision", requires=("torch==2.5.1",))
    found = opened(folder)
    assert isinstance(found["vision/_C.so"], Passed)
    outcome = found["vision/image.so"]
    assert isinstance(outcome, Failed)
    assert "undefined symbol: _ZN3c103twoEv" in outcome.detail
    assert (
        "built for another PyTorch: 2.8.0, which is here, has no `c10::two()`;"
        " it requires `torch==2.5.1`"
    ) in outcome.detail
    assert outcome.hint == "install a build of `vision` for torch 2.8.0"


def test_an_extension_for_another_cuda_major(folder: Path) -> None:
    library = torch_package(folder, "libcudart.so.13")
    older = folder / "elsewhere" / "libcudart.so"
    shared(older, "int cuda(void) { return 1; }", "-Wl,-soname,libcudart.so.12")
    made(folder, "vision/_C.so", EXTENSION.format("cuda"), str(library), str(older))
    register(site(folder), "vision", requires=("torch",))
    outcome = failed(folder, "vision/_C.so")
    assert "`_C.so` needs `libcudart.so.12`" in outcome.detail
    assert "for CUDA 12 brings: it is not installed" in outcome.detail
    assert "PyTorch is built for CUDA 13" in outcome.detail
    assert outcome.hint == "install a build of `vision` for CUDA 13"


def test_an_extension_for_cuda_beside_a_torch_without_it(folder: Path) -> None:
    library = torch_package(folder, "libother.so")
    absent = folder / "elsewhere" / "libc10_cuda.so"
    shared(absent, "int cuda(void) { return 1; }", "-Wl,-soname,libc10_cuda.so")
    made(folder, "vision/_C.so", EXTENSION.format("cuda"), str(library), str(absent))
    register(site(folder), "vision", requires=("torch",))
    outcome = failed(folder, "vision/_C.so")
    assert "torch 2.8.0, which is here, is a build without it" in outcome.detail


def test_a_driver_that_is_too_old_for_a_call(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = shared(
        tmp_path / "newer" / "libcuda.so.1",
        "int cuInit(void) { return 1; } int cuNew(void) { return 1; }",
        "-Wl,-soname,libcuda.so.1",
    )
    older = shared(tmp_path / "older" / "libcuda.so.1", "int cuInit(void) { return 1; }")
    made(folder, "pkg/a.so", EXTENSION.format("cuNew"), str(newer))
    monkeypatch.setenv("LD_LIBRARY_PATH", str(older.parent))
    outcome = failed(folder, "pkg/a.so")
    assert "the driver's library has no `cuNew`" in outcome.detail
