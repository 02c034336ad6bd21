"""Files changed in their place: other names of them keep the old one, and all of it is undone."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
from pathlib import Path

import msgspec
import pytest

import sartor.slim.environment.in_place
from sartor.errors import DiskFullError, UndoRecordError
from sartor.slim.choice import Wanted
from sartor.slim.environment.in_place import InPlace, Owned
from sartor.slim.environment.patch import Unfit
from sartor.slim.environment.slimmed import FOLDER, RECORD, Slimmed, slimmed_in
from sartor.verdict.model import Target
from slim_maker import DATA

HOPPER = Wanted((Target("sm_90", "9.0"),))
AMPERE = Wanted((Target("sm_80", "8.0"),))
INFO = "made-1.dist-info/RECORD"
NAMES = ("made/units.so", "made/linked.so", "made/lib.a")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def line(name: str, path: Path) -> str:
    told = base64.urlsafe_b64encode(bytes.fromhex(digest(path))).rstrip(b"=").decode()
    return f"{name},sha256={told},{path.stat().st_size}\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two libraries and an archive, each under a second name too, and the RECORD of them."""
    root = tmp_path / "env"
    (root / "made").mkdir(parents=True)
    (root / INFO).parent.mkdir()
    for name in NAMES[:2]:
        shutil.copyfile(DATA / Path(name).name, root / name)
    (root / NAMES[2]).write_bytes(b"!<arch>\n")
    os.utime(root / NAMES[0], ns=(1, 1_000_000_123))
    (root / NAMES[1]).chmod(0o751)
    (root / INFO).write_text("".join(line(name, root / name) for name in NAMES) + f"{INFO},,\n")
    (root / INFO).chmod(0o640)
    os.utime(root / INFO, ns=(1, 2_000_000_456))
    cache = tmp_path / "cache"
    for name in (*NAMES, INFO):
        (cache / name).parent.mkdir(parents=True, exist_ok=True)
        os.link(root / name, cache / name)
    return root


def facts(root: Path) -> dict[str, tuple[bytes, int, int]]:
    """Every file: its bytes, mode and time."""
    return {
        path.relative_to(root).as_posix(): (
            path.read_bytes(),
            path.stat().st_mode,
            path.stat().st_mtime_ns,
        )
        for path in root.rglob("*")
        if path.is_file()
    }


def owned(root: Path, name: str) -> Owned:
    return Owned(
        path=name, project="made", version="1", sha256=digest(root / name), lines={INFO: name}
    )


def slim_all(root: Path, wanted: Wanted = HOPPER, *, keeping: bool = True) -> InPlace:
    place = InPlace(root)
    for name in NAMES[:2]:
        assert place.slim(owned(root, name), wanted, keeping=keeping).result.changed
    place.remove(owned(root, NAMES[2]), "of no use", keeping=keeping)
    return place


def undo_all(root: Path) -> None:
    place = InPlace(root)
    for one in reversed(place.slimmed.files):
        place.bring_back(one)


def recorded(root: Path) -> set[str]:
    """The lines of the RECORD that hold."""
    lines = (root / INFO).read_text().splitlines(keepends=True)
    names = [one.partition(",")[0] for one in lines]
    return {
        n for n, one in zip(names, lines, strict=True) if n != INFO and line(n, root / n) == one
    }


def test_other_names_of_the_files_stay_as_they_are(root: Path, tmp_path: Path) -> None:
    before = facts(tmp_path / "cache")
    slim_all(root)
    assert facts(tmp_path / "cache") == before
    assert (root / NAMES[0]).stat().st_size < len(before[NAMES[0]][0])
    assert not (root / NAMES[2]).exists()
    assert recorded(root) == set(NAMES[:2])


def test_undone_it_is_what_it_was(root: Path) -> None:
    before = facts(root)
    slim_all(root)
    assert facts(root) != before
    undo_all(root)
    assert facts(root) == before


def test_what_is_written_down(root: Path) -> None:
    slim_all(root)
    found = slimmed_in(root)
    assert found is not None
    for one, name in zip(found.files, NAMES, strict=True):
        assert one.path == name
        assert one.before.sha256 == digest(root.parent / "cache" / name)
    assert found.files[0].sha256 == digest(root / NAMES[0])
    assert found.files[0].gpus == "sm_90"
    assert msgspec.json.decode(msgspec.json.encode(found), type=Slimmed) == found
    assert {path.name for path in (root / FOLDER).iterdir()} == {"kept", RECORD}


def test_nothing_is_kept_where_nothing_is_to_be(root: Path) -> None:
    before = facts(root)
    place = slim_all(root, keeping=False)
    assert place.kept_bytes == 0
    for one in place.slimmed.files:
        with pytest.raises(Unfit, match="nothing was kept"):
            place.bring_back(one)
    assert {path.name for path in (root / FOLDER).iterdir()} == {RECORD}
    assert facts(root)[NAMES[0]] != before[NAMES[0]]


def test_what_is_kept_is_given_up(root: Path) -> None:
    place = slim_all(root)
    assert place.kept_bytes > 1000
    place.let_go()
    assert place.kept_bytes == 0
    assert list((root / FOLDER / "kept").iterdir()) == []
    assert [one.kept for one in InPlace(root).slimmed.files] == [None] * 3


def test_slimmed_again_without_an_original(root: Path) -> None:
    """What a file was stays what its package brought."""
    both = Wanted((*AMPERE.targets, *HOPPER.targets))
    original = digest(root / NAMES[0])
    place = InPlace(root)
    place.slim(owned(root, NAMES[0]), both, keeping=False)
    (first,) = place.slimmed.files
    again = msgspec.structs.replace(owned(root, NAMES[0]), earlier=first)
    place.slim(again, HOPPER, keeping=True)
    (second,) = InPlace(root).slimmed.files
    assert (second.before.sha256, second.kept) == (original, None)
    assert second.rows[0].before == first.rows[0].before
    assert recorded(root) == set(NAMES)


class Cut(Exception):  # noqa: N818
    """Where the process ends."""


def ended_after(most: int, root: Path, monkeypatch: pytest.MonkeyPatch, *, undoing: bool) -> bool:
    """Slim or undo, cut at the rename after so many; whether it came to its end before that."""
    real, done = Path.replace, [0]

    def counted(self: Path, target: Path) -> Path:
        done[0] += 1
        if done[0] > most:
            raise Cut
        return real(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", counted)
        try:
            undo_all(root) if undoing else slim_all(root)
        except Cut:
            return False
    return True


@pytest.mark.parametrize("undoing", [False, True])
def test_ended_at_every_rename(root: Path, monkeypatch: pytest.MonkeyPatch, undoing: bool) -> None:
    """Each file is one of the two; undoing goes on from there."""
    before = facts(root)
    slim_all(root)
    after = {name: content for name, content in facts(root).items() if FOLDER not in name}
    undo_all(root)
    for most in range(40):
        if undoing:
            slim_all(root)
        ended = ended_after(most, root, monkeypatch, undoing=undoing)
        found = {name for name in facts(root) if FOLDER not in name}
        for name in found - {INFO}:
            content = facts(root)[name][0]
            assert content in {before[name][0], after.get(name, before[name])[0]}
        undo_all(root)
        assert facts(root) == before
        if ended:
            return
    pytest.fail("it has no end")


def test_a_run_that_ended_before_the_record_is_finished(root: Path) -> None:
    slim_all(root)
    (root / INFO).write_bytes(facts(root.parent / "cache")[INFO][0])
    place = InPlace(root)
    for one in place.slimmed.files:
        assert place.state(one) == one.change
    assert set(place.settle()) == set(NAMES)
    assert recorded(root) == set(NAMES[:2])


def test_files_that_were_changed_since(root: Path) -> None:
    slim_all(root)
    (root / NAMES[0]).write_bytes(b"damaged")
    place = InPlace(root)
    states = {one.path: place.state(one) for one in place.slimmed.files}
    assert states == {NAMES[0]: "other", NAMES[1]: "slimmed", NAMES[2]: "removed"}
    first = place.slimmed.by_path()[NAMES[0]]
    assert place.is_of_package(first)
    (root / INFO).write_text(line(NAMES[0], root / NAMES[0]))
    assert not place.is_of_package(first)


def test_kept_bytes_that_are_damaged_are_not_written(root: Path) -> None:
    slim_all(root)
    now = facts(root)
    for path in (root / FOLDER / "kept").iterdir():
        path.write_bytes(path.read_bytes()[:-9] + b"\0" * 9)
    place = InPlace(root)
    for one in list(place.slimmed.files):
        with pytest.raises(Unfit):
            place.bring_back(one)
    left = {name: content for name, content in facts(root).items() if "kept" not in name}
    assert left == {name: content for name, content in now.items() if "kept" not in name}


def test_a_full_disk_leaves_what_was_there(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = facts(root)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    for step in ("keep", "write_down"):
        with monkeypatch.context() as patched:
            patched.setattr(sartor.slim.environment.in_place, step, full)
            with pytest.raises(DiskFullError) as raised:
                InPlace(root).slim(owned(root, NAMES[0]), HOPPER, keeping=True)
        assert "goes on" in (raised.value.hint or "")
        InPlace(root)
        files = {path for path in facts(root) if "kept" not in path}
        assert {path: facts(root)[path] for path in files} == before


def test_a_record_that_is_none(root: Path) -> None:
    (root / FOLDER).mkdir()
    (root / FOLDER / RECORD).write_bytes(b"{")
    with pytest.raises(UndoRecordError, match="cannot be read"):
        InPlace(root)
