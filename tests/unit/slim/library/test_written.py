"""Writing a slimmed library: beside its place, with mode and times, whole or not at all."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from sartor.errors import ArtifactUnreadableError, NoSuchTargetError, UsageError
from sartor.slim.choice import Wanted
from sartor.slim.library import reduce
from sartor.slim.library.pieces import Copied, Made
from sartor.slim.library.reduce import slim_library
from sartor.slim.library.written import PART, SMALL, beside, sweep
from sartor.verdict.model import Target
from slim_maker import DATA

if TYPE_CHECKING:
    from pathlib import Path

    from sartor.slim.library.pieces import Piece

HOPPER = Wanted((Target("sm_90", "9.0"),))


@pytest.fixture
def library(tmp_path: Path) -> Path:
    path = tmp_path / "units.so"
    shutil.copyfile(DATA / "units.so", path)
    path.chmod(0o750)
    os.utime(path, ns=(1_000_000_000, 2_000_000_123))
    return path


def test_mode_and_times_are_kept_and_the_input_is_as_it_was(library: Path, tmp_path: Path) -> None:
    before = library.read_bytes()
    output = tmp_path / "new" / "out.so"
    result = slim_library(library, output, HOPPER)
    assert result.changed
    assert output.stat().st_size == result.bytes_after < result.bytes_before == len(before)
    assert output.stat().st_mode & 0o777 == 0o750
    assert output.stat().st_mtime_ns == 2_000_000_123
    assert library.read_bytes() == before
    assert [path.name for path in output.parent.iterdir()] == ["out.so"]


def test_bytes_are_the_same_each_time(library: Path, tmp_path: Path) -> None:
    for name in ("a.so", "b.so"):
        slim_library(library, tmp_path / name, HOPPER)
    assert (tmp_path / "a.so").read_bytes() == (tmp_path / "b.so").read_bytes()


def test_without_an_output_nothing_is_written(library: Path, tmp_path: Path) -> None:
    assert slim_library(library, None, HOPPER).changed
    assert [path.name for path in tmp_path.iterdir()] == ["units.so"]


def test_what_is_left_alone_is_copied(library: Path, tmp_path: Path) -> None:
    data = b"no library at all" * 1000
    library.write_bytes(data)
    result = slim_library(library, tmp_path / "out.so", HOPPER)
    assert [left.code for left in result.left_alone] == ["unreadable"]
    assert (tmp_path / "out.so").read_bytes() == data


def test_the_input_is_no_output(library: Path) -> None:
    before = library.read_bytes()
    with pytest.raises(UsageError, match="never changed"):
        slim_library(library, library, HOPPER)
    assert library.read_bytes() == before


def test_what_is_not_there_or_no_file(tmp_path: Path) -> None:
    with pytest.raises(NoSuchTargetError):
        slim_library(tmp_path / "none.so", tmp_path / "out.so", HOPPER)
    with pytest.raises(ArtifactUnreadableError):
        slim_library(tmp_path, tmp_path / "out.so", HOPPER)


def test_an_output_that_does_not_hold_is_not_given_out(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reduce, "fault_of", lambda *_: "a wrapper points elsewhere")
    result = slim_library(library, tmp_path / "out.so", HOPPER)
    assert not result.changed
    assert [(left.code, left.why) for left in result.left_alone] == [
        ("check", "a wrapper points elsewhere")
    ]
    assert (tmp_path / "out.so").read_bytes() == library.read_bytes()
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("kernel_copies", [True, False])
def test_pieces_of_any_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel_copies: bool
) -> None:
    if not kernel_copies:

        def refuse(*_: object) -> int:
            raise OSError(18, "not on this file system")

        monkeypatch.setattr(os, "copy_file_range", refuse)
    data = os.urandom(5 * SMALL)
    source, output = tmp_path / "in", tmp_path / "out"
    source.write_bytes(data)
    pieces: list[Piece] = [Copied(3, 10), Made(b"new"), Copied(7, 4 * SMALL)]
    pieces += [Copied(0, SMALL), Made(b"end")]
    with beside(source, output, pieces):
        assert not output.exists()
    assert output.read_bytes() == (
        data[3:13] + b"new" + data[7 : 7 + 4 * SMALL] + data[:SMALL] + b"end"
    )


def test_a_file_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.write_bytes(b"short")
    with pytest.raises(OSError, match="shorter"), beside(source, tmp_path / "out", [Copied(0, 9)]):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_what_nobody_writes_any_more_is_removed(library: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    left, others = folder / f".units.so.ab12cd34{PART}", folder / ".units.so.ab12cd34"
    for path in (left, others):
        path.write_bytes(b"half")
    with beside(library, folder / "one.so", [Copied(0, 8)]) as written:
        assert not left.exists()
        sweep(folder)
        assert written.exists()
        slim_library(library, folder / "two.so", HOPPER)
    assert sorted(path.name for path in folder.iterdir()) == [others.name, "one.so", "two.so"]
