"""What a native build is told to compile for, on captured hosts."""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec
import pytest

from sartor import facts
from sartor.host.capture import CapturedMachine, read_capture
from sartor.host.detect import detect
from sartor.paths import Places
from sartor.plan.model import Plan, Request
from sartor.plan.planner import plan

HOST = Path(__file__).parent.parent / "host"
CAPTURES = HOST / "captures"


@pytest.fixture(autouse=True)
def captured_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only those that were looked for when the hosts were captured."""
    rows = tomllib.loads((HOST / "facts.toml").read_text("utf-8"))["library"]
    known = msgspec.convert(rows, tuple[facts.LibraryFact, ...])
    monkeypatch.setattr(facts, "libraries", lambda: known)


def planned(capture: str, build: str) -> Plan:
    machine = CapturedMachine(read_capture((CAPTURES / f"{capture}.json").read_bytes()))
    host = detect(machine, Places(Path("/home/user/.local/share/sartor")))
    return plan(host, Request(engine="llama.cpp", build=build))


def test_amx_is_left_out_where_the_compiler_gets_it_wrong() -> None:
    found = planned("xeon-no-gpu", "native")
    assert "-DGGML_AMX_TILE=OFF" in found.stack.cmake_args
    assert "-DGGML_AVX512_VNNI=ON" in found.stack.cmake_args
    assert any("gcc 12.2.0" in warning for warning in found.warnings)


def test_amx_is_compiled_in_by_a_compiler_that_can() -> None:
    found = planned("h200", "native")
    assert "-DGGML_AMX_INT8=ON" in found.stack.cmake_args
    assert not any("amx" in warning for warning in found.warnings)


def test_cuda_is_compiled_for_the_gpu_that_is_used_alone() -> None:
    found = planned("h200", "native-cuda")
    assert "-DCMAKE_CUDA_ARCHITECTURES=90-real" in found.stack.cmake_args
    assert "-DCMAKE_CUDA_COMPILER=/usr/local/cuda/bin/nvcc" in found.stack.cmake_args
    assert "-DGGML_CUDA=ON" in found.stack.cmake_args


@pytest.mark.parametrize("build", ["published", "native"])
def test_a_published_build_compiles_nothing(build: str) -> None:
    arguments = planned("xeon-no-gpu", build).stack.cmake_args
    assert bool(arguments) == (build == "native")
