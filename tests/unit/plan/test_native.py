"""What a native build is told to compile for, on captured hosts."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from market import planned
from sartor import facts
from sartor.host.capture import CapturedMachine, read_capture
from sartor.host.detect import detect
from sartor.paths import Places
from sartor.plan.model import Plan, Recipe, Request, environment_key

CAPTURES = Path(__file__).parent.parent / "host" / "captures"


def made(capture: str, build: str) -> Plan:
    """The plan of llama.cpp on a captured host."""
    captured = read_capture((CAPTURES / f"{capture}.json").read_bytes())
    others = {row.soname: f"/usr/lib/{row.soname}" for row in facts.libraries()}
    captured = msgspec.structs.replace(captured, libraries=others | captured.libraries)
    machine = CapturedMachine(captured)
    host = detect(machine, Places(Path("/home/user/.local/share/sartor")))
    return planned(host, Request(engines=("llama.cpp",), build=build)).plan


def recipe(plan: Plan) -> Recipe:
    """What is compiled."""
    assert plan.stack
    assert plan.stack.strategy == "source"
    assert plan.stack.source
    return plan.stack.source


def test_amx_is_left_out_where_the_compiler_gets_it_wrong() -> None:
    found = made("xeon-no-gpu", "native")
    assert "-DGGML_AMX_TILE=OFF" in recipe(found).cmake_args
    assert "-DGGML_AVX512_VNNI=ON" in recipe(found).cmake_args
    assert any("gcc 12.2.0" in warning for warning in found.warnings)


def test_amx_is_compiled_in_by_a_compiler_that_can() -> None:
    found = made("h200", "native")
    assert "-DGGML_AMX_INT8=ON" in recipe(found).cmake_args
    assert not any("amx" in warning for warning in found.warnings)


def test_cuda_is_compiled_for_the_gpu_that_is_used_alone() -> None:
    arguments = recipe(made("h200", "native-cuda")).cmake_args
    assert "-DCMAKE_CUDA_ARCHITECTURES=90-real" in arguments
    assert "-DCMAKE_CUDA_COMPILER=/usr/local/cuda/bin/nvcc" in arguments
    assert "-DGGML_CUDA=ON" in arguments


def test_native_is_for_the_gpu_where_there_is_one() -> None:
    stack = made("h200", "native").stack
    assert stack
    assert stack.line == "native-cuda"


def test_what_is_compiled_is_for_this_very_processor() -> None:
    isa = recipe(made("xeon-no-gpu", "native")).isa
    assert isa
    assert "avx512" in isa


def test_its_requirements_are_not_resolved_before_its_wheel_is_there() -> None:
    found = made("xeon-no-gpu", "native")
    assert found.stack
    assert found.stack.packages == []
    assert any(text.startswith("resolution: ") for text in found.not_checked)


@pytest.mark.parametrize("build", ["published", "native"])
def test_a_published_build_compiles_nothing(build: str) -> None:
    stack = made("xeon-no-gpu", build).stack
    assert stack
    assert (stack.source is not None) == (build == "native")


def test_it_is_another_environment_than_the_published_one() -> None:
    stacks = [made("xeon-no-gpu", build).stack for build in ("published", "native")]
    keys = {environment_key(stack) for stack in stacks if stack}
    assert len(keys) == len(stacks)
