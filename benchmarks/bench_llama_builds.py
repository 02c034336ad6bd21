"""llama.cpp on this CPU: the published build and the one compiled for it, side by side.

Both serve the same random model (the speed of a matrix product does not depend on its numbers) and
are asked the same things in turns: a long prompt for one token, and a short prompt for many.

usage: python benchmarks/bench_llama_builds.py
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from timing import interleaved, write_result

from sartor.models.demo import write_random_gguf
from sartor.models.demo_weights import Shape
from sartor.serve.ask import request

ROUNDS, GENERATED = 5, 96
SHAPE = Shape(width=1024, blocks=16, heads=16, kv_heads=8, head_size=64, feed_forward=2816)
LONG_PROMPT = "The quick brown fox jumps over the lazy dog. " * 60


def up(model: Path, build: str) -> dict[str, Any]:
    """Start a build in the background; returns its endpoint document."""
    argv = [sys.executable, "-m", "sartor", "up", "--model", str(model), "--build", build]
    done = subprocess.run([*argv, "--detach", "--json"], stdout=subprocess.PIPE, check=True)
    endpoint: dict[str, Any] = json.loads(done.stdout)
    return endpoint


def ask(endpoint: dict[str, Any], prompt: str, tokens: int) -> tuple[float, dict[str, Any]]:
    """One request: its seconds and what it used. ``prompt`` must be new, or a cache answers."""
    body = {"model": endpoint["model"], "prompt": prompt, "max_tokens": tokens, "temperature": 0}
    began = time.perf_counter()
    status, reply = request(endpoint["url"], "/completions", None, body, 600)
    assert status == 200, reply
    usage: dict[str, Any] = reply["usage"]  # type: ignore[assignment]
    return time.perf_counter() - began, usage


class Subject:
    """One build under measurement; every prompt begins anew so that no cached prefix helps."""

    def __init__(self, endpoint: dict[str, Any]) -> None:
        self._endpoint = endpoint
        self._count = 0

    def prompt_speed(self) -> float:
        """Prompt tokens for each second."""
        self._count += 1
        seconds, usage = ask(self._endpoint, f"{self._count} {LONG_PROMPT}", 1)
        return float(usage["prompt_tokens"]) / seconds

    def generation_speed(self) -> float:
        """Generated tokens for each second, over a request with a prompt of a few tokens."""
        self._count += 1
        seconds, usage = ask(self._endpoint, f"{self._count} Hello", GENERATED)
        return float(usage["completion_tokens"]) / seconds


def main() -> None:
    """Measure, write the result, print it, stop the servers."""
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "random.gguf"
        write_random_gguf(model, SHAPE)
        endpoints = {build: up(model, build) for build in ("published", "native")}
        try:
            subjects = {name: Subject(endpoint) for name, endpoint in endpoints.items()}
            prompt = interleaved({n: partial(s.prompt_speed) for n, s in subjects.items()}, ROUNDS)
            text = interleaved(
                {n: partial(s.generation_speed) for n, s in subjects.items()}, ROUNDS
            )
        finally:
            for endpoint in endpoints.values():
                stop = [sys.executable, "-m", "sartor", "stop", endpoint["id"]]
                subprocess.run(stop, check=True)
        size = model.stat().st_size
    write_result(
        "llama_builds",
        ["src/sartor/facts/engines/llama.cpp.toml", "src/sartor/engines/launchers"],
        {
            "rounds": ROUNDS,
            "model": {"bytes": size, "quantization": "Q8_0", "weights": "random"},
            "versions": {n: f"{e['build']} {e['version']}" for n, e in endpoints.items()},
            "prompt_tokens_per_second": prompt,
            "generated_tokens_per_second": text,
            "ratios": {
                "prompt: native / published": _ratio(prompt),
                "generation: native / published": _ratio(text),
            },
        },
    )


def _ratio(figures: dict[str, dict[str, float]]) -> float:
    return round(figures["native"]["median"] / figures["published"]["median"], 2)


if __name__ == "__main__":
    main()
