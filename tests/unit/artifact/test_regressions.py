"""Inputs that once took too long, took memory, or ended in a wrong exception: never again."""

from __future__ import annotations

import resource
import time
from contextlib import suppress
from pathlib import Path

import pytest

from inspect_targets import TARGETS
from sartor.artifact.source import Invalid
from sartor.errors import SartorError

INPUTS = sorted(
    path
    for path in (Path(__file__).parents[2] / "data" / "regressions").iterdir()
    if path.name.partition("-")[0] in TARGETS
)
MORE_MEMORY = 768 << 20
"""Two payloads of the largest size that is taken, and some."""


def test_there_are_some() -> None:
    assert len(INPUTS) >= 5


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: path.name)
def test_only_own_exceptions_in_bounded_time_and_memory(path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    began = time.process_time()
    with suppress(Invalid, SartorError):
        TARGETS[path.name.partition("-")[0]].run(path.read_bytes())
    assert time.process_time() - began < 10
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10) - before < MORE_MEMORY


@pytest.mark.parametrize("name", list(TARGETS))
def test_every_target_reads_its_own_corpus(name: str) -> None:
    corpus = TARGETS[name].corpus()
    assert corpus
    for data in corpus:
        TARGETS[name].run(data)
