"""Torch's checks on the CPU: all hold, and every operator that is slightly wrong is found out."""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path

import pytest

import sartor
from sartor.errors import SartorError
from sartor.index.uv import run_uv
from sartor.reporter import Silent
from sartor.verify.child import LOOP, Program, run
from sartor.verify.model import Failed, NotApplicable, NotChecked, Outcome, Passed

TORCH = "2.13.0+cpu"
MUTATIONS = Path(__file__).parents[1] / "torch_mutations.py"
FACTS = Path(sartor.__file__).parent / "facts" / "packages"
NOT_TRIED = {"NVSHMEM collectives"}
"""They want NVLink multicast, or several hosts."""
NOT_BY_PRECISION = {"convolution 2d 3x3, float32, any algorithm"}
"""Winograd's algorithm may lose as many bits as TF32 does."""


@pytest.fixture(scope="module")
def torch_cpu(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with torch for the CPU, by the user's own configuration."""
    folder = tmp_path_factory.mktemp("torch")
    python, log = folder / "env" / "bin" / "python", folder / "log"
    try:
        run_uv(["venv", str(folder / "env")], log, Silent(), what="making an environment")
        arguments = ["pip", "install", "--no-build", "--python", str(python), f"torch=={TORCH}"]
        run_uv(arguments, log, Silent(), what="installing torch")
    except SartorError as error:
        pytest.skip(f"NOT CHECKED: torch {TORCH} cannot be had here: {error}")
    return python


def outcomes(python: Path, which: str, device: str = "cpu", **variables: str) -> list[Outcome]:
    program = Program(
        module=f"torch_{which}",
        label="start",
        python=python,
        grade="launches" if which == "launch" else "golden",
        settings={"device": device, "expected": False},
        variables=variables,
    )
    return run(program)


def test_every_kernel_of_the_cpu_runs(torch_cpu: Path) -> None:
    found = outcomes(torch_cpu, "launch")
    assert [o for o in found if not isinstance(o, Passed)] == []
    names = {o.check.removeprefix("torch on the CPU: ") for o in found}
    assert {"pointwise", "torch.compile", "attention flash", "Gloo across the processes"} <= names


def test_every_operator_of_the_cpu_is_within_its_bound_and_gives_the_same_bits_again(
    torch_cpu: Path,
) -> None:
    first, second = (outcomes(torch_cpu, "golden") for _ in range(2))
    assert len(first) > 120
    assert [o for o in first if not isinstance(o, Passed | NotApplicable)] == []
    digests = [
        {o.check: o.measured.digest for o in found if isinstance(o, Passed) and o.measured}
        for found in (first, second)
    ]
    assert digests[0] == digests[1]
    assert all(digests[0].values())


def test_an_operator_that_is_slightly_wrong_is_found_out(torch_cpu: Path) -> None:
    words = [str(torch_cpu), str(MUTATIONS), str(LOOP.parent.parent)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) > 120
    for line in lines:
        assert "none" in line or (line["right"] and line["found out"]), line["name"]
    missed = {
        (line["name"], wrong)
        for line in lines
        for wrong, found in line.get("found out", {}).items()
        if not found
    }
    assert missed == {(name, "precision") for name in NOT_BY_PRECISION}


def test_what_needs_a_gpu_is_not_checked_without_one(torch_cpu: Path) -> None:
    for which in ("launch", "golden"):
        found = outcomes(torch_cpu, which, "cuda")
        assert found
        assert {type(o) for o in found} == {NotChecked}
        assert all("no GPU" in o.why for o in found if isinstance(o, NotChecked))


def test_every_feature_that_the_facts_know_of_torch_is_launched_and_judged(torch_cpu: Path) -> None:
    rows = tomllib.loads((FACTS / "torch.toml").read_text())["feature"]
    for which in ("launch", "golden"):
        named = {name for o in outcomes(torch_cpu, which, "cuda") for name in o.features}
        assert named == {row["name"] for row in rows} - NOT_TRIED


def test_without_a_compiler_torch_compile_fails_and_says_what_to_do(torch_cpu: Path) -> None:
    found = outcomes(torch_cpu, "launch", CXX="/nowhere/c++")
    failed = [o for o in found if isinstance(o, Failed)]
    assert [o.check for o in failed] == ["torch on the CPU: torch.compile"]
    assert "no C++ compiler" in failed[0].detail
    assert "install a C++ compiler" in (failed[0].hint or "")


RANKS = """
import json, pathlib, sys
sys.path.append(sys.argv[1])
from sartor_checks import torch_nccl
torch_nccl.RANK, torch_nccl.SECONDS = sys.argv[2], 5.0
result = torch_nccl.ranks("cpu", 2)
print(json.dumps([result.passed, result.detail]))
"""


RIGHT = 'print(\'RANK {"sum": ""}\')'
WRONG = """
import json, sys
rank = json.loads(sys.argv[1])["rank"]
print("RANK", json.dumps({"sum": "3 of 4 are wrong" if rank else ""}))
"""
ENDING = """
import json, sys, time
if json.loads(sys.argv[1])["rank"]:
    sys.exit("NCCL says no")
time.sleep(60)
"""
HANGING = "import time\ntime.sleep(60)"


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (RIGHT, None),
        (WRONG, "rank 1: sum: 3 of 4 are wrong"),
        (ENDING, "rank 1: NCCL says no"),
        (HANGING, "rank 0: did not end within 5 s"),
    ],
    ids=["right", "wrong", "ending", "hanging"],
)
def test_what_the_ranks_of_a_collective_say(
    torch_cpu: Path, tmp_path: Path, program: str, said: str | None
) -> None:
    rank = tmp_path / "rank.py"
    rank.write_text(program)
    words = [str(torch_cpu), "-c", RANKS, str(LOOP.parent.parent), str(rank)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120)
    passed, detail = json.loads(done.stdout)
    assert passed is (said is None)
    assert (said or "2 of sum") in detail
