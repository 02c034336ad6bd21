"""Fetching a source package: what came is kept and gone on with; what is wrong is not used."""

from __future__ import annotations

import hashlib
import random
from typing import TYPE_CHECKING

import msgspec
import pytest

from indexserver import serving
from sartor.build.native import fetch_source
from sartor.errors import BuildError, IndexUnreachableError
from sartor.paths import Places
from sartor.plan.model import Python, Recipe, Stack
from sartor.reporter import Silent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from indexserver import Index

DATA = random.Random(1).randbytes(300_000)  # noqa: S311 - bytes that do not repeat
CUT = 200_000
STACK = Stack(
    engine="llama.cpp",
    line="native",
    label="",
    strategy="source",
    version="1.0",
    accelerator="cpu",
    launcher="",
    requirements=[],
    modules=[],
    python=Python(None, None),
    architecture=None,
    disk_mb=1,
    source=Recipe(project="thing", sha256=hashlib.sha256(DATA).hexdigest(), cmake_args=[]),
)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """An index that has the source package and breaks off in its middle."""
    file = tmp_path / "thing-1.0.tar.gz"
    file.write_bytes(DATA)
    with serving([file]) as index:
        monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        index.cut_after = CUT
        yield index


@pytest.fixture
def places(index: Index, tmp_path: Path) -> Places:
    """A home with a download that broke off; the index is well again."""
    places = Places(tmp_path / "home")
    with pytest.raises(IndexUnreachableError):
        fetch_source(STACK, places, Silent())
    kept = partial(places).read_bytes()
    assert kept
    assert DATA.startswith(kept)
    index.cut_after = None
    index.sent = 0
    return places


def partial(places: Places) -> Path:
    return places.root / "sources/.thing-1.0.tar.gz.partial"


@pytest.mark.parametrize("ranges", [True, False])
def test_it_goes_on_where_it_was(index: Index, places: Places, ranges: bool) -> None:
    index.ranges = ranges
    assert fetch_source(STACK, places, Silent()).read_bytes() == DATA
    assert (index.sent < len(DATA)) == ranges
    assert not partial(places).exists()


def test_the_beginning_of_another_is_thrown_away(index: Index, places: Places) -> None:
    partial(places).write_bytes(b"x" * CUT)
    assert fetch_source(STACK, places, Silent()).read_bytes() == DATA


def test_other_bytes_are_not_used(index: Index, places: Places) -> None:
    other = msgspec.structs.replace(
        STACK, source=Recipe(project="thing", sha256="0" * 64, cmake_args=[])
    )
    with pytest.raises(BuildError, match="not the one"):
        fetch_source(other, places, Silent())
    assert not partial(places).exists()
    assert not (partial(places).parent / "thing-1.0.tar.gz").exists()
