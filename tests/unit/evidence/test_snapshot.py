"""That the snapshot which is shipped holds what its list asks for, as today's readers say it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sartor.evidence.row import plain
from sartor.evidence.snapshot import SNAPSHOT, open_snapshot
from snapshot_tool import tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sartor.evidence.row import Row

COMMAND = "python tools/make_snapshot.py"
MOST_BYTES = 10_000_000
FEWEST_WHEELS = 60


@pytest.fixture(scope="module")
def rows() -> Iterator[list[Row]]:
    """Those of the snapshot that is shipped."""
    snapshot = open_snapshot()
    assert snapshot is not None, f"there is no snapshot: `{COMMAND}`"
    with snapshot:
        yield list(snapshot.rows())


def test_the_snapshot_holds_what_its_list_asks_for(rows: list[Row]) -> None:
    """Where it does not: the list has grown, or readers, or what facts look for, have changed."""
    asked, good = tool.releases(), [row for row in rows if tool.is_good(row)]
    lacking = tool.lacking(asked, good)
    assert not lacking, f"`{COMMAND}` reads what the snapshot lacks: {lacking}"
    more = [row.name for row in rows if not any(release.has(row.name) for release in asked)]
    assert not more, f"`{COMMAND}` takes out what the list does not ask for: {more}"
    old = [row.name for row in rows if row not in good]
    assert not old, f"`{COMMAND}` reads again what is old: {old}"
    assert len(rows) >= FEWEST_WHEELS


def test_the_snapshot_says_what_each_file_is(rows: list[Row]) -> None:
    for row in rows:
        assert (row.kind, row.origin, row.extent) == ("wheel", "read", "complete"), row.name
        assert row.name.endswith(".whl")
        assert row.size > 0
        assert row.read_at >= "2026-11-21"
    assert len({row.sha256 for row in rows}) == len({row.name for row in rows}) == len(rows)


def test_the_snapshot_is_small_and_has_no_addresses(rows: list[Row]) -> None:
    data = SNAPSHOT.read_bytes()
    assert len(data) < MOST_BYTES
    assert b"://" not in data
    for row in rows:
        assert b"://" not in plain(row.document, row.name), row.name


def test_where_there_is_no_snapshot_there_is_none(tmp_path: Path) -> None:
    assert open_snapshot(tmp_path / "none") is None
