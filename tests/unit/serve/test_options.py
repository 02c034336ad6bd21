"""What a server is started with is held against the options of the engine's version."""

from __future__ import annotations

from pathlib import Path

import pytest

from sartor.engines.facts import BuildFact, engines
from sartor.engines.launch import Command, ServeSettings, launcher
from sartor.errors import OptionRefusedError
from sartor.plan.model import Python, Stack
from sartor.serve.options import check_options

BUILDS = [(engine.name, build) for engine in engines() for build in engine.build]


def stack(engine: str, build: BuildFact) -> Stack:
    return Stack(
        engine=engine,
        build=build.id,
        label=build.label,
        how=build.how,
        version=build.version,
        accelerator=build.accelerator,
        launcher=build.launcher,
        requirements=build.requirements,
        modules=build.modules,
        python=Python("/python", "3.12"),
        architecture="x86_64",
        disk_mb=build.disk_mb,
    )


@pytest.mark.parametrize(("engine", "build"), BUILDS, ids=[b.id for _, b in BUILDS])
def test_what_sartor_starts_is_taken(engine: str, build: BuildFact, tmp_path: Path) -> None:
    gpus = ["0", "1"] if build.accelerator == "cuda" else []
    settings = ServeSettings(
        "/model", "model", "127.0.0.1", 8000, 4096, build.accelerator, threads=2, gpus=gpus
    )
    command = launcher(build.launcher).command(Path("/python"), tmp_path, settings)
    check_options(stack(engine, build), command)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--enable-reasoning"], "--enable-reasoning: removed"),
        (["--max-model-length", "4096"], "--max-model-length: unknown"),
        (["--dtype", "bfloat17"], "--dtype: invalid"),
    ],
)
def test_what_a_version_does_not_take_is_refused(words: list[str], said: str) -> None:
    build = next(build for name, build in BUILDS if name == "vllm" and build.version == "0.32.0")
    command = Command(["/python", "-u", "-m", "vllm.entrypoints.openai.api_server", *words])
    with pytest.raises(OptionRefusedError) as raised:
        check_options(stack("vllm", build), command)
    assert said in "\n".join(raised.value.found)
    assert "sartor flags vllm==0.32.0" in str(raised.value.hint)
