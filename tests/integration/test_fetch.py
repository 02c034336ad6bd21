"""Files of indexes fetched whole: resumed, hashed on the way, and kept."""

from __future__ import annotations

import hashlib
import random
from typing import TYPE_CHECKING

import pytest

from sartor.errors import SartorError, UntrustedBytesError
from sartor.index.files import IndexFile
from sartor.paths import Places
from sartor.remote.fetch import fetch_all, kept_path
from sartor.reporter import Silent
from wheelserver import Manners, serving_wheels

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wheelserver import WheelServer

DATA = {f"p{n}-1.0-py3-none-any.whl": random.Random(n).randbytes(3_000_000) for n in range(3)}  # noqa: S311


@pytest.fixture
def server() -> Iterator[WheelServer]:
    with serving_wheels(DATA) as opened:
        yield opened


def files(server: WheelServer, *, size: bool = True) -> list[IndexFile]:
    return [
        IndexFile(
            name,
            server.url(name),
            len(data) if size else None,
            hashlib.sha256(data).hexdigest(),
        )
        for name, data in DATA.items()
    ]


@pytest.mark.parametrize(
    "manners",
    [
        Manners(),
        Manners(drop_every=700_000),
        Manners(ranges=False),
        Manners(etag=None, chunked=True),
    ],
    ids=["as it should", "drops", "no ranges", "chunked"],
)
@pytest.mark.parametrize("size", [True, False])
def test_what_comes_is_what_the_index_said(
    server: WheelServer, tmp_path: Path, manners: Manners, size: bool
) -> None:
    server.manners = manners
    found = fetch_all(files(server, size=size), Places(tmp_path), Silent())
    assert {p.name: p.read_bytes() for p in found.values()} == DATA
    asked = len(server.seen)
    assert fetch_all(files(server, size=size), Places(tmp_path), Silent()) == found
    assert len(server.seen) == asked


def test_what_broke_off_is_taken_up_where_it_was(server: WheelServer, tmp_path: Path) -> None:
    (file, *_) = files(server)
    final = kept_path(Places(tmp_path).packages, file)
    final.parent.mkdir(parents=True)
    partial = final.with_name(f".{file.name}.partial")
    partial.write_bytes(DATA[file.name][:1_234_567])
    fetch_all([file], Places(tmp_path), Silent())
    assert final.read_bytes() == DATA[file.name]
    assert server.seen[0].range == f"bytes=1234567-{len(DATA[file.name]) - 1}"
    assert not partial.exists()


def test_a_beginning_that_is_not_of_the_file_is_fetched_anew(
    server: WheelServer, tmp_path: Path
) -> None:
    (file, *_) = files(server)
    final = kept_path(Places(tmp_path).packages, file)
    final.parent.mkdir(parents=True)
    final.with_name(f".{file.name}.partial").write_bytes(b"x" * 1000)
    fetch_all([file], Places(tmp_path), Silent())
    assert final.read_bytes() == DATA[file.name]


def test_other_bytes_than_the_index_said_are_not_kept(server: WheelServer, tmp_path: Path) -> None:
    server.manners = Manners(flip=2_000_000)
    with pytest.raises(UntrustedBytesError, match="sha256"):
        fetch_all(files(server), Places(tmp_path), Silent())
    assert not list(Places(tmp_path).packages.rglob("*.whl"))


def test_a_server_that_refuses_is_said(server: WheelServer, tmp_path: Path) -> None:
    server.manners = Manners(always=403)
    with pytest.raises(SartorError):
        fetch_all(files(server), Places(tmp_path), Silent())


def test_a_file_of_this_machine_is_copied_and_checked(tmp_path: Path) -> None:
    wheel = tmp_path / "p0-1.0-py3-none-any.whl"
    wheel.write_bytes(b"abc")
    good = hashlib.sha256(b"abc").hexdigest()
    found = fetch_all(
        [IndexFile(wheel.name, wheel.as_uri(), 3, good)], Places(tmp_path / "home"), Silent()
    )
    assert found[good].read_bytes() == b"abc"
    bad = IndexFile(wheel.name, wheel.as_uri(), 3, "0" * 64)
    with pytest.raises(UntrustedBytesError):
        fetch_all([bad], Places(tmp_path / "home"), Silent())
