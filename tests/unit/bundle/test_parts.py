"""The law of parts: put together again they are the same, or what is wrong is named."""

from __future__ import annotations

import json
import random
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundles import collected, manifest_of, pieces_of
from sartor.bundle import install, make
from sartor.bundle.collect import BundleRequest
from sartor.bundle.make import Count, write_bundle, write_parts
from sartor.bundle.take import check, open_bundle
from sartor.errors import (
    BundleDamagedError,
    FolderNotWritableError,
    NotBundlableError,
    OthersFileError,
)
from sartor.paths import Places
from sartor.reporter import Silent

if TYPE_CHECKING:
    from collections.abc import Iterator

FILES = st.lists(st.binary(max_size=300), min_size=1, max_size=8).map(
    lambda data: {f"wheels/{number}.whl": each for number, each in enumerate(data)}
)
SPLIT = st.integers(1, 400)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


@given(FILES, SPLIT)
def test_what_was_cut_is_put_together_again(files: dict[str, bytes], split: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "parts").mkdir()
        manifest = manifest_of(files, folder / "parts", split)
        sizes = [part["size"] for part in manifest["parts"]]
        assert all(size == split for size in sizes[:-1])
        assert all(0 < size <= split for size in sizes)
        assert install.check(manifest, [folder / "parts"]) == []
        install.gather(manifest, [folder / "parts"], folder / "joined", ["wheel"])
        assert contents(folder / "joined") == files


@given(FILES, SPLIT, st.randoms(use_true_random=False))
def test_each_part_that_is_not_whole_is_named(
    files: dict[str, bytes], split: int, chance: random.Random
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest = manifest_of(files, folder, split)
        names = [part["name"] for part in manifest["parts"]]
        hurt = {one for one in names if chance.random() < 0.5}
        for one in hurt:
            damage(folder / one, chance)
        said = install.check(manifest, [folder])
        assert {line.partition(":")[0] for line in said} == hurt
        if hurt:
            with pytest.raises(install.Fault) as fault:
                install.gather(manifest, [folder], folder / "joined", ["wheel"])
            assert {line.partition(":")[0] for line in fault.value.found} == hurt
            assert not (folder / "joined").exists()


def damage(part: Path, chance: random.Random) -> None:
    data = part.read_bytes()
    way = chance.choice(["missing", "truncated", "longer", "bit", "empty"])
    if way == "missing":
        part.unlink()
    elif way == "bit":
        at = chance.randrange(len(data))
        part.write_bytes(data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :])
    else:
        part.write_bytes({"truncated": data[:-1], "longer": data + b"x", "empty": b""}[way])


def test_parts_that_changed_places_are_both_named(tmp_path: Path) -> None:
    manifest = manifest_of({"wheels/a.whl": b"abcdef"}, tmp_path, 3)
    first, second = tmp_path / "part-0000", tmp_path / "part-0001"
    first.rename(tmp_path / "third")
    second.rename(first)
    (tmp_path / "third").rename(second)
    assert [line.partition(":")[0] for line in install.check(manifest, [tmp_path])] == [
        "part-0000",
        "part-0001",
    ]


class KilledError(BaseException):
    """As by SIGKILL: nothing that catches errors sees it."""


def dying(real: Any, left: list[int]) -> Any:
    """A stream that breaks off after so many blocks in all."""

    def stream(*arguments: Any) -> Iterator[bytes]:
        for block in real(*arguments):
            for at in range(0, len(block), 50):
                if left[0] == 0:
                    raise KilledError
                left[0] -= 1
                yield block[at : at + 50]

    return stream


@given(FILES, SPLIT, st.integers(0, 40))
def test_put_together_after_a_kill_it_is_the_same(
    files: dict[str, bytes], split: int, blocks: int
) -> None:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        (folder / "parts").mkdir()
        manifest = manifest_of(files, folder / "parts", split)
        with patch.context() as dies:
            dies.setattr(install, "stream", dying(install.stream, [blocks]))
            try:
                install.gather(manifest, [folder / "parts"], folder / "joined", ["wheel"])
            except KilledError:
                whole = {n: d for n, d in contents(folder / "joined").items() if "/." not in n}
                assert whole.items() <= files.items()
        install.gather(manifest, [folder / "parts"], folder / "joined", ["wheel"])
        assert contents(folder / "joined") == files


@given(FILES, SPLIT, st.integers(0, 40))
def test_made_after_a_kill_it_is_the_same(files: dict[str, bytes], split: int, blocks: int) -> None:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        whole, killed = Path(name) / "whole", Path(name) / "killed"
        whole.mkdir()
        killed.mkdir()
        parts = write_parts(pieces_of(files), whole, split, Count(Silent(), 1))
        with patch.context() as dies:
            dies.setattr(make, "stream", dying(make.stream, [blocks]))
            try:
                write_parts(pieces_of(files), killed, split, Count(Silent(), 1))
            except KilledError:
                named = {n: d for n, d in contents(killed).items() if not n.startswith(".")}
                assert named.items() <= contents(whole).items()
        there = {p.name for p in killed.glob("part-*")}
        count = Count(Silent(), 1)
        assert write_parts(pieces_of(files), killed, split, count) == parts
        assert count.kept == len(there)
        assert contents(killed) == contents(whole)


BIG = {f"wheels/{n}.whl": random.Random(n).randbytes(40_000) for n in range(4)}  # noqa: S311


@pytest.mark.parametrize("split", [None, 30_000, 100_000])
def test_the_same_bundle_is_the_same_bytes(tmp_path: Path, split: int | None) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for out in (first, second, first):
        out.mkdir(exist_ok=True)
        state = write_bundle(collected(BIG), out, split, Silent())
    assert state.written == 0
    assert state.kept == (state.parts or state.members)
    assert contents(first) == contents(second)
    assert all(len(data) <= (split or 10**9) for data in contents(first).values())
    check(open_bundle([str(first)]))


def test_another_split_leaves_nothing_of_the_one_before(tmp_path: Path) -> None:
    for split in (30_000, None, 100_000):
        (tmp_path / "b").mkdir(exist_ok=True)
        write_bundle(collected(BIG), tmp_path / "b", split, Silent())
    (tmp_path / "fresh").mkdir()
    write_bundle(collected(BIG), tmp_path / "fresh", 100_000, Silent())
    assert contents(tmp_path / "b") == contents(tmp_path / "fresh")


def test_parts_in_several_folders(tmp_path: Path) -> None:
    made, other = tmp_path / "made", tmp_path / "other"
    made.mkdir()
    other.mkdir()
    write_bundle(collected(BIG), made, 30_000, Silent())
    for part in ("part-0001", "part-0003"):
        (made / part).rename(other / part)
    check(open_bundle([str(made), str(other)]))
    with pytest.raises(BundleDamagedError) as error:
        check(open_bundle([str(made)]))
    assert error.value.found == ["part-0001: missing", "part-0003: missing"]


def test_a_damaged_copy_does_not_hide_a_whole_one(tmp_path: Path) -> None:
    made, other = tmp_path / "made", tmp_path / "other"
    made.mkdir()
    other.mkdir()
    write_bundle(collected(BIG), made, 30_000, Silent())
    (other / "part-0002").write_bytes(b"broken")
    check(open_bundle([str(other), str(made)]))


@pytest.mark.parametrize(
    "edit",
    [
        lambda m: m["members"][0].update(path="../outside"),
        lambda m: m["members"][0].update(path="/etc/passwd"),
        lambda m: m["members"][0].update(path="wheels/../../x"),
        lambda m: m["parts"][0].update(name="bundle.json"),
        lambda m: m["members"][0].update(size=-1),
        lambda m: m["members"][0].update(sha256="0"),
    ],
)
def test_a_manifest_that_names_what_cannot_be_is_refused(tmp_path: Path, edit: Any) -> None:
    write_bundle(collected(BIG), tmp_path, 30_000, Silent())
    manifest = json.loads((tmp_path / "bundle.json").read_bytes())
    edit(manifest)
    manifest["digest"] = install.digest_of(manifest)
    (tmp_path / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(install.Fault, match="cannot be in a bundle"):
        install.read_manifest([tmp_path])


@given(st.integers(0, 10**6), st.integers(1, 255))
def test_a_manifest_with_one_byte_changed_is_refused(at: int, flip: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_bundle(collected(BIG), folder, 30_000, Silent())
        data = bytearray((folder / "bundle.json").read_bytes())
        at %= len(data)
        before = json.loads(data)
        data[at] ^= flip
        (folder / "bundle.json").write_bytes(data)
        try:
            same = json.loads(data) == before
        except ValueError:
            same = False
        if same:
            install.read_manifest([folder])
        else:
            with pytest.raises(install.Fault):
                install.read_manifest([folder])


def test_parts_smaller_than_the_installer_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotBundlableError, match=r"install\.py"):
        write_bundle(collected(BIG), tmp_path, 1000, Silent())
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("name", ["notes.txt", "sartor/__init__.py", "wheels/mine.whl"])
def test_a_folder_with_something_else_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(OthersFileError):
        make.refuse_others(tmp_path)


def test_what_others_put_into_a_bundle_stays(tmp_path: Path) -> None:
    write_bundle(collected(BIG), tmp_path, None, Silent())
    (tmp_path / "wheels" / "mine.whl").write_text("mine")
    write_bundle(collected({"wheels/0.whl": b"0"}), tmp_path, None, Silent())
    assert (tmp_path / "wheels" / "mine.whl").read_text() == "mine"
    assert not (tmp_path / "wheels" / "3.whl").exists()


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_fetched(tmp_path: Path) -> None:
    (tmp_path / "file").touch(mode=0o644)
    make.refuse_unwritable(tmp_path / "not there" / "yet")
    with pytest.raises(FolderNotWritableError) as told:
        make.make(
            BundleRequest(tmp_path / "no lock"),
            tmp_path / "file" / "out",
            None,
            Places(tmp_path / "home"),
            Silent(),
        )
    assert "-o DIR" in str(told.value.hint)
    assert not (tmp_path / "home").exists()
