"""Fetching a source package: from the user's index, kept, and never other bytes than are known.

How a download goes on that broke off is `test_fetch`'s.
"""

from __future__ import annotations

import hashlib
import random
from typing import TYPE_CHECKING

import msgspec
import pytest

from indexserver import serving
from sartor.build.native import fetch_source
from sartor.errors import BuildError, UntrustedBytesError
from sartor.index.files import IndexFile
from sartor.paths import Places
from sartor.plan.model import Python, Recipe, Stack
from sartor.remote.fetch import kept_path
from sartor.reporter import Silent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from indexserver import Index

DATA = random.Random(1).randbytes(300_000)  # noqa: S311 - bytes that do not repeat
SHA256 = hashlib.sha256(DATA).hexdigest()
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
    source=Recipe(project="thing", sha256=SHA256, cmake_args=[]),
)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """An index that has the source package."""
    file = tmp_path / "thing-1.0.tar.gz"
    file.write_bytes(DATA)
    with serving([file]) as index:
        monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield index


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "home")


def test_it_is_fetched_once(index: Index, places: Places) -> None:
    assert fetch_source(STACK, places, Silent()).read_bytes() == DATA
    index.sent = 0
    assert fetch_source(STACK, places, Silent()).read_bytes() == DATA
    assert not index.sent


def test_what_is_kept_and_was_altered_is_fetched_anew(index: Index, places: Places) -> None:
    kept = fetch_source(STACK, places, Silent())
    kept.write_bytes(b"x" * len(DATA))
    index.sent = 0
    assert fetch_source(STACK, places, Silent()).read_bytes() == DATA
    assert index.sent >= len(DATA)


@pytest.mark.usefixtures("index")
def test_other_bytes_are_not_used(places: Places) -> None:
    source = Recipe(project="thing", sha256="0" * 64, cmake_args=[])
    other = msgspec.structs.replace(STACK, source=source)
    with pytest.raises(UntrustedBytesError, match="its sha256 is"):
        fetch_source(other, places, Silent())
    kept = IndexFile("thing-1.0.tar.gz", "", sha256="0" * 64)
    assert not list(kept_path(places.packages, kept).parent.iterdir())


@pytest.mark.usefixtures("index")
def test_a_version_that_is_not_there_is_said(places: Places) -> None:
    other = msgspec.structs.replace(STACK, version="2.0")
    with pytest.raises(BuildError, match=r"no source package of version 2\.0"):
        fetch_source(other, places, Silent())
