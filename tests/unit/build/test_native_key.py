"""What a compiled wheel is found again by."""

from __future__ import annotations

import msgspec
import pytest

from sartor.build.native import cuda_compiler_version, wheel_key
from sartor.errors import CompilerMissingError
from sartor.plan.model import Python, Recipe, Stack

RECIPE = Recipe(
    project="llama-cpp-python",
    sha256="0",
    cmake_args=["-DGGML_CUDA=ON", "-DCMAKE_CUDA_COMPILER=/nonexistent/nvcc"],
    isa="zen5:avx2",
)
STACK = Stack(
    engine="llama.cpp",
    line="native-cuda",
    label="",
    strategy="source",
    version="1.0",
    accelerator="cuda",
    launcher="",
    requirements=[],
    modules=[],
    python=Python(None, None),
    architecture="x86_64",
    disk_mb=1,
    source=RECIPE,
)


def test_both_compilers_are_in_the_key() -> None:
    keys = [wheel_key(STACK, c, n) for c in ("gcc 12", "gcc 13") for n in (None, "12.9", "13.0")]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    ("field", "other"), [("sha256", "1"), ("cmake_args", ["-DGGML_CUDA=ON"]), ("isa", "zen4:avx2")]
)
def test_what_is_compiled_and_for_what_is_in_the_key(field: str, other: object) -> None:
    recipe = msgspec.structs.replace(RECIPE, **{field: other})
    stack = msgspec.structs.replace(STACK, source=recipe)
    assert wheel_key(stack, "gcc 12", None) != wheel_key(STACK, "gcc 12", None)


def test_a_stack_of_wheels_alone_is_not_compiled() -> None:
    with pytest.raises(ValueError, match="source"):
        wheel_key(msgspec.structs.replace(STACK, source=None), "gcc 12", None)


def test_an_nvcc_that_is_not_there() -> None:
    with pytest.raises(CompilerMissingError, match="/nonexistent/nvcc"):
        cuda_compiler_version(STACK)
    cpu = msgspec.structs.replace(STACK, accelerator="cpu")
    assert cuda_compiler_version(cpu) is None
