"""Five rows of the snapshot, read again where their wheels are: each says what it said.

Which five is chance: small wheels are likelier, so that it stays quick, and none is left out for
ever. The seed is the day, or what ``SARTOR_SNAPSHOT_SEED`` says; it is printed.
"""

from __future__ import annotations

import datetime
import os
import random
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from packaging.requirements import Requirement

from sartor.errors import IndexUnreachableError
from sartor.evidence.compare import differences
from sartor.evidence.snapshot import open_snapshot
from sartor.evidence.store import open_store
from sartor.paths import Places
from sartor.remote.targets import Remotes
from sartor.reporter import Silent
from sartor_cli import Sartor, isolated_variables
from snapshot_tool import tool
from wheels import wheel

if TYPE_CHECKING:
    from pathlib import Path

    from sartor.artifact.model import Evidence
    from sartor.artifact.reading import NamesWanted
    from sartor.evidence.row import Row

SEED = (
    os.environ.get("SARTOR_SNAPSHOT_SEED") or datetime.datetime.now(datetime.UTC).date().isoformat()
)
MANY = 5
SMALL = 150_000_000
LARGE_WEIGHT = 0.1
"""Of a wheel beyond `SMALL`, in place of 1."""


def rows() -> list[Row]:
    snapshot = open_snapshot()
    assert snapshot is not None
    with snapshot:
        return list(snapshot.rows())


ROWS = rows()


def chosen(seed: str) -> list[Row]:
    """Some rows by chance, in the order of their names."""
    chance = random.Random(seed)  # noqa: S311 - nothing is kept secret
    ranked = sorted(
        ROWS, key=lambda row: chance.random() ** (1 if row.size < SMALL else 1 / LARGE_WEIGHT)
    )
    return sorted(ranked[-MANY:], key=lambda row: row.name)


def test_every_row_may_be_chosen_and_small_ones_mostly_are() -> None:
    drawn = [row for seed in range(2000) for row in chosen(str(seed))]
    assert {row.name for row in drawn} == {row.name for row in ROWS}
    assert sum(row.size < SMALL for row in drawn) > len(drawn) / 2


@pytest.mark.parametrize("row", chosen(SEED), ids=lambda row: row.name)
def test_a_wheel_read_again_says_what_its_row_says(row: Row) -> None:
    print(f"SARTOR_SNAPSHOT_SEED={SEED}: {row.name}, {row.size} bytes")  # noqa: T201
    read = read_again(row)
    assert read.sha256 == row.sha256
    assert differences(row.evidence(), read) == [], f"SARTOR_SNAPSHOT_SEED={SEED}"


def read_again(row: Row) -> Evidence:
    """What the wheel says now; what the index lists besides is not fetched."""
    release = next(r for r in tool.releases() if r.has(row.name))
    others = {other.sha256: other.evidence() for other in ROWS if other.project == row.project}

    def known(sha256: str, _: NamesWanted) -> Evidence | None:
        return None if sha256 == row.sha256 else others.get(sha256)

    with closing(Remotes(Silent(), known=known)) as remotes:
        requirement = Requirement(f"{release.project}==={release.version}")
        try:
            found = [r.evidence for r in remotes.read(requirement, tool.names, release.fits)]
        except IndexUnreachableError as error:
            pytest.skip(f"NOT CHECKED, there is no network: {error.message}")
    (read,) = [tool.of_the_bytes(e) for e in found if e.sha256 == row.sha256]
    assert isinstance(read, type(row.evidence()))
    return read


@pytest.mark.parametrize("requirement", ["bitsandbytes==0.50.2", "vllm==0.32.0"])
def test_a_wheel_that_is_here_is_answered_from_its_row(
    requirement: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine that never read it, as reading it would."""
    path, words = wheel(requirement), ["--gpu", "rtx-5090", "--driver", "580.65.06", "--json"]
    sartor = Sartor(tmp_path / "home", tmp_path, isolated_variables(tmp_path))
    known = sartor.run("inspect", str(path), *words).succeeded().stdout
    with closing(open_store(Places(sartor.home).evidence) or pytest.fail("no store")) as own:
        assert list(own.rows()) == [], "nothing of it was read"
    assert sartor.run("inspect", str(path), *words, "--no-store").succeeded().stdout == known
