"""`sartor slim ENV --retarget --in-place` of a library that nvcc made; judged by `cuobjdump`.

Where nvcc or ptxas are not installed the tests are skipped, and say so.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from cuda_judges import kernels, listed
from nvcc import program, told
from slim_envs import HOPPER, Made, contents, made_with, slimmed, undone
from venvs import site, verified, wrong_by_hand
from wheelserver import make_wheel

if TYPE_CHECKING:
    from pathlib import Path

    from sartor_cli import Document, Sartor

UNITS = 3
UNIT = """
template <int N> __global__ void fill(float *out, float by) {
    for (int i = 0; i < 32; i++) out[threadIdx.x * N + i] += out[i] * by + N;
    asm volatile("ROOM");
}
#define JOINED(a, b) a##b
#define NAMED(a, b) JOINED(a, b)
extern "C" void NAMED(run_, NUMBER)(float *out) { fill<NUMBER><<<1, 1>>>(out, 2); }
"""
ROOM = "{ .reg .u32 dead; " + "mov.u32 dead, 1; " * 400 + "}"
"""Text that becomes no code: what is compiled finds room in the place of the PTX."""
REFUSING = """#!/bin/bash
[ "$1" != --version ] && grep -q {kernel} in.ptx && echo "ptxas fatal : not by this" && exit 1
exec {ptxas} "$@"
"""
AHEAD = (*HOPPER, "--retarget")
NAME = "ahead/units.so"
TEXTS = Counter({("ptx", "compute_80"): UNITS})
CODE = Counter({("cubin", "sm_90"): UNITS})


@pytest.fixture(scope="module")
def ahead_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel with a library of PTX alone, in which the machine code finds room."""
    nvcc, folder = program("nvcc"), tmp_path_factory.mktemp("ahead")
    program("ptxas")
    (folder / "unit.cu").write_text(UNIT.replace("ROOM", ROOM))
    objects = []
    for number in range(1, UNITS + 1):
        objects.append(folder / f"{number}.o")
        flags = ["-gencode=arch=compute_80,code=compute_80", "--compress-mode=none"]
        flags += [f"-DNUMBER={number}", "-Xcompiler=-fPIC", "--frandom-seed=1"]
        told(nvcc, "-c", *flags, folder / "unit.cu", "-o", objects[-1])
    library, wheel = folder / "units.so", folder / "ahead-1.0-py3-none-any.whl"
    told(nvcc, "-shared", "-cudart=none", *objects, "-o", library)
    assert listed(library) == TEXTS
    members = {"ahead/__init__.py": b"VALUE = 7\n", NAME: library.read_bytes()}
    wheel.write_bytes(make_wheel(members, "ahead"))
    return wheel


@pytest.fixture
def ahead(tmp_path: Path, ahead_wheel: Path) -> Made:
    return made_with(tmp_path, ahead_wheel)


def verdict(sartor: Sartor, env: Made, gpu: str) -> Document:
    """How many units of the library are what on the GPU, and why."""
    (library,) = sartor.json("inspect", str(env.path), "--gpu", gpu)["libraries"]
    (row,) = library["verdicts"]
    found: Document = row
    return found


def test_ptx_becomes_machine_code_and_comes_back(plain: Sartor, ahead: Made) -> None:
    before, names = contents(ahead.path), [found for _, found in kernels(ahead.file(NAME))]
    was = verdict(plain, ahead, "sm_90")
    assert (was["jit"], was["native"]) == (UNITS, 0)
    result = slimmed(plain, ahead, *AHEAD)
    (library,) = result["libraries"]
    (row,) = library["retargeted"]
    assert (row["units"], row["ptx"], row["arch"]) == (UNITS, "compute_80", "sm_90")
    assert library["left_alone"] == []
    assert listed(ahead.file(NAME)) == CODE
    assert sorted(map(sorted, names)) == sorted(sorted(n) for _, n in kernels(ahead.file(NAME)))
    assert wrong_by_hand(ahead.path) == set()
    path = ahead.file(NAME).relative_to(ahead.path).as_posix()
    assert verified(plain, ahead.path, 0)["slimmed"] == {path: "sm_90"}
    now = verdict(plain, ahead, "sm_90")
    assert (now["jit"], now["native"]) == (0, UNITS)
    other = verdict(plain, ahead, "sm_120")
    assert other["missing"] == UNITS
    assert all("slimmed to sm_90" in reason["why"] for reason in other["reasons"])
    assert undone(plain, ahead)["restored"] == [path]
    assert contents(ahead.path) == before
    assert verdict(plain, ahead, "sm_90") == was


def test_twice_is_once_and_a_dry_run_changes_nothing(plain: Sartor, ahead: Made) -> None:
    before = contents(ahead.path)
    (foretold,) = plain.json("slim", str(ahead.path), *AHEAD, "--dry-run")["results"]
    assert (foretold["output"], foretold["libraries"][0]["retargeted"]) == (None, [])
    assert contents(ahead.path) == before
    assert slimmed(plain, ahead, *AHEAD)["changed"]
    first = contents(ahead.path)
    again = slimmed(plain, ahead, *AHEAD)
    assert not again["changed"]
    assert again["environment"]["kept_bytes"] > 0
    plain.json("slim", str(ahead.path), *AHEAD, "--dry-run")
    assert contents(ahead.path) == first
    undone(plain, ahead)
    assert contents(ahead.path) == before


def test_with_and_without_compiling_goes_out_from_the_original(plain: Sartor, ahead: Made) -> None:
    before = contents(ahead.path)
    slimmed(plain, ahead, *AHEAD)
    slimmed(plain, ahead, *HOPPER)
    assert listed(ahead.file(NAME)) == TEXTS
    slimmed(plain, ahead, *AHEAD, "--keep-ptx", "--compress")
    assert listed(ahead.file(NAME)) == CODE + TEXTS
    undone(plain, ahead)
    assert contents(ahead.path) == before


@pytest.mark.parametrize("undo", [(), ("--no-undo",)])
def test_what_ptxas_refused_is_tried_again(
    plain: Sartor, ahead: Made, tmp_path: Path, undo: tuple[str, ...]
) -> None:
    """Each run says why PTX is still there, and compiles it once there is a ptxas that does."""
    before, refusing = contents(site(ahead.path)), tmp_path / "refusing" / "ptxas"
    refusing.parent.mkdir()
    refusing.write_text(REFUSING.format(ptxas=program("ptxas"), kernel="_Z4fillILi2"))
    refusing.chmod(0o755)
    path = f"{refusing.parent}:{os.environ['PATH']}"
    poor = plain.having(PATH=path, CUDA_HOME="", CUDA_PATH="")
    for changed in (True, False):
        result = slimmed(poor, ahead, *AHEAD, *undo)
        (left,) = result["libraries"][0]["left_alone"]
        assert (left["code"], left["units"]) == ("not-compiled", 1)
        assert "not by this" in left["why"]
        assert result["changed"] == changed
        code = CODE - Counter({("cubin", "sm_90"): 1}) + Counter({("ptx", "compute_80"): 1})
        assert listed(ahead.file(NAME)) == code
    result = slimmed(plain, ahead, *AHEAD, *undo)
    assert (result["changed"], result["libraries"][0]["left_alone"]) == (True, [])
    assert listed(ahead.file(NAME)) == CODE
    assert wrong_by_hand(ahead.path) == set()
    verified(plain, ahead.path, 0)
    if not undo:
        undone(plain, ahead)
        assert contents(site(ahead.path)) == before
