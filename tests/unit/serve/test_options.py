"""What a server is started with is held against the options of the engine's version."""

from __future__ import annotations

from pathlib import Path

import pytest

from sartor.engines.facts import LineFact, engine, engines
from sartor.engines.launch import Command, ServeSettings, launcher
from sartor.errors import OptionRefusedError
from sartor.facts.versions import within_versions
from sartor.flags.snapshot import open_snapshot
from sartor.plan.model import Python, Stack
from sartor.serve.options import check_options

VLLM = engine("vllm")
PUBLISHED, CPU = VLLM.line
SHIPPED = open_snapshot()
MISREAD = pytest.mark.xfail(
    strict=True, reason="of these releases the options as they were read have no `--model`"
)
RELEASES = [
    pytest.param(
        line,
        one.version,
        id=f"{line.distribution}-{one.version}",
        marks=[MISREAD] if (line.id, one.version[:5]) == ("published", "0.9.0") else [],
    )
    for line in VLLM.line
    for one in (SHIPPED.sets(line.distribution) if SHIPPED else [])
    if within_versions(line.versions, one.version)
]
UNREAD = [
    pytest.param(e.name, line, id=f"{e.name}-{line.id}")
    for e in engines()
    for line in e.line
    if line.launcher and e is not VLLM
]


def stack(engine: str, line: LineFact, version: str) -> Stack:
    return Stack(
        engine=engine,
        line=line.id,
        label=line.label,
        strategy="release",
        version=version,
        accelerator=line.accelerator,
        launcher=line.launcher,
        requirements=[line.requirement or f"{line.distribution}=={version}"],
        modules=line.modules,
        python=Python("/python", "3.12"),
        architecture="x86_64",
        disk_mb=line.disk_mb,
    )


def started(line: LineFact, folder: Path) -> Command:
    """What Sartor starts a server of it with."""
    gpus = ["0", "1"] if line.accelerator == "cuda" else []
    settings = ServeSettings(
        "/model", "model", "127.0.0.1", 8000, 4096, line.accelerator, threads=2, gpus=gpus
    )
    return launcher(line.launcher or "").command(Path("/python"), folder, settings)


@pytest.mark.parametrize(("line", "version"), RELEASES)
def test_what_sartor_starts_is_taken(line: LineFact, version: str, tmp_path: Path) -> None:
    """By every release that may be planned and whose options are known."""
    check_options(stack("vllm", line, version), started(line, tmp_path))


def test_releases_of_many_months_are_judged() -> None:
    assert len(RELEASES) > 40


@pytest.mark.parametrize(("name", "line"), UNREAD)
def test_nothing_is_said_of_options_that_nobody_read(
    name: str, line: LineFact, tmp_path: Path
) -> None:
    check_options(stack(name, line, line.version or "2026.10"), started(line, tmp_path))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--enable-reasoning"], "--enable-reasoning: removed"),
        (["--max-model-length", "4096"], "--max-model-length: unknown"),
        (["--dtype", "bfloat17"], "--dtype: invalid"),
    ],
)
def test_what_a_version_does_not_take_is_refused(words: list[str], said: str) -> None:
    command = Command(["/python", "-u", "-m", "vllm.entrypoints.openai.api_server", *words])
    with pytest.raises(OptionRefusedError) as raised:
        check_options(stack("vllm", PUBLISHED, "0.32.0"), command)
    assert said in "\n".join(raised.value.found)
    assert "sartor flags vllm==0.32.0" in str(raised.value.hint)
