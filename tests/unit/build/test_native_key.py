"""What a compiled wheel is found again by."""

from __future__ import annotations

import msgspec
import pytest

from sartor.build.native import cuda_compiler_version, wheel_key
from sartor.errors import CompilerMissingError
from sartor.plan.model import Python, Stack

STACK = Stack(
    engine="llama.cpp",
    build="native-cuda",
    label="",
    how="source",
    version="1.0",
    accelerator="cuda",
    launcher="",
    requirements=[],
    modules=[],
    python=Python(None, None),
    architecture="x86_64",
    disk_mb=1,
    source_sha256="0",
    cmake_args=["-DGGML_CUDA=ON", "-DCMAKE_CUDA_COMPILER=/nonexistent/nvcc"],
)


def test_both_compilers_are_in_the_key() -> None:
    keys = [wheel_key(STACK, c, n) for c in ("gcc 12", "gcc 13") for n in (None, "12.9", "13.0")]
    assert len(set(keys)) == len(keys)


def test_an_nvcc_that_is_not_there() -> None:
    with pytest.raises(CompilerMissingError, match="/nonexistent/nvcc"):
        cuda_compiler_version(STACK)
    cpu = msgspec.structs.replace(STACK, accelerator="cpu")
    assert cuda_compiler_version(cpu) is None
