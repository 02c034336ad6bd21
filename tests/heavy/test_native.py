"""`--build native`: llama.cpp compiled here, killed in the middle, resumed, and found again."""

from __future__ import annotations

import re
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import sartor_cli
from sartor_cli import client, processes_of, wait_until

if TYPE_CHECKING:
    from sartor_cli import Sartor

pytestmark = pytest.mark.skipif(
    shutil.which("c++") is None, reason="DID NOT RUN: there is no C++ compiler on this machine"
)
UNITS = re.compile(r"compiling: (\d+) of (\d+) units")
MINUTES_20 = 1200.0


def progress(text: str) -> tuple[int, int]:
    """The last (units done, units in all) that was said; (0, 0) before the first."""
    said = UNITS.findall(text)
    return (int(said[-1][0]), int(said[-1][1])) if said else (0, 0)


def test_killed_in_the_middle_it_leaves_no_process(sartor: Sartor) -> None:
    with sartor.start("up", "--build", "native", "--detach", "--json") as running:
        wait_until(lambda: progress(running.stderr)[0] >= 40, MINUTES_20)
        for process in processes_of(sartor.home):
            process.send_signal(signal.SIGKILL)
        running.process.kill()
        running.wait()
    assert not sartor.states()


def test_the_next_one_goes_on_where_it_was(sartor: Sartor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sartor_cli, "SECONDS", MINUTES_20)
    with sartor.start("up", "--build", "native", "--detach", "--json") as running:
        endpoint = running.endpoint()
        units = progress(running.stderr)[1]
        assert running.wait().status == 0
    assert 0 < units < 110, "the whole of it is about 140 units"
    assert endpoint["build"] == "native"
    with client(endpoint) as api:
        reply = api.chat.completions.create(
            model=endpoint["model"], messages=[{"role": "user", "content": "Hi"}], max_tokens=8
        )
    assert reply.usage is not None
    assert reply.usage.completion_tokens == 8
    assert not list((sartor.home / "builds").iterdir())


def test_the_wheel_is_found_again(sartor: Sartor) -> None:
    shutil.rmtree(sartor.home / "environments")
    (wheel,) = (sartor.home / "wheels").glob("*/*.whl")
    before = wheel.stat().st_mtime_ns
    done = sartor.run("up", "--build", "native", "--detach", "--json").succeeded()
    assert "compiling" not in done.stderr
    assert wheel.stat().st_mtime_ns == before


COMPILED = {"AVX512 = 1": "avx512f", "AVX2 = 1": "avx2", "AMX_INT8 = 1": "amx_int8"}


def test_it_is_compiled_for_this_cpu(sartor: Sartor) -> None:
    """The library's own word on what it was compiled with, against the kernel's on the CPU."""
    done = sartor.run("up", "--build", "native", "--detach", "--json").succeeded()
    log = Path(done.document["log"]).read_text("utf-8")
    flags = Path("/proc/cpuinfo").read_text("utf-8")
    for word, flag in COMPILED.items():
        said_to_be_left_out = f"compiled without amx_tile, {flag}" in done.stderr
        assert (word in log) == (f" {flag} " in flags and not said_to_be_left_out), word
