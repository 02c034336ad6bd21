"""Small files that may be lost, and plans that hold while all holds that they rest on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sartor.catalog.kept_plans import KeptPlans, Validity, key, mark, marks
from sartor.catalog.sdist import not_static
from sartor.kept import KeptFiles
from sartor.paths import Places
from sartor.remote.listings import now
from sartor.reporter import Reporter, Silent

if TYPE_CHECKING:
    from pathlib import Path


class Heard(Reporter):
    def __init__(self) -> None:
        self.warned: list[str] = []

    def warn(self, text: str) -> None:
        self.warned.append(text)


def test_what_is_kept_is_for_this_user_alone(tmp_path: Path) -> None:
    kept = KeptFiles(tmp_path / "kept", Silent(), what="it")
    kept.put("a", b"1")
    kept.put("a", b"2")
    assert (kept.get("a"), kept.get("b")) == (b"2", None)
    assert (tmp_path / "kept").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "kept" / "a").stat().st_mode & 0o777 == 0o600
    kept.forget("a")
    assert kept.get("a") is None


def test_no_more_than_so_many_files(tmp_path: Path) -> None:
    kept = KeptFiles(tmp_path, Silent(), what="it", most=10)
    for number in range(40):
        kept.put(str(number), b"")
    left = {path.name for path in tmp_path.iterdir()}
    assert "39" in left
    assert len(left) <= 10


def test_what_cannot_be_kept_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    heard = Heard()
    kept = KeptFiles(tmp_path / "file", heard, what="it")
    kept.put("a", b"1")
    kept.put("b", b"1")
    assert kept.get("a") is None
    assert len(heard.warned) == 1
    assert heard.warned[0].startswith("it is not kept: ")
    assert not kept.is_kept


def test_nowhere_to_keep_it() -> None:
    kept = KeptFiles(None, Silent(), what="it")
    kept.put("a", b"1")
    assert kept.get("a") is None


def test_a_plan_holds_until_its_time_and_while_no_file_changes(tmp_path: Path) -> None:
    plans, watched = KeptPlans(Places(tmp_path), Silent()), tmp_path / "watched"
    for change in (
        lambda: watched.write_text("1"),
        lambda: watched.write_text("22"),
        watched.unlink,
    ):
        plans.keep("k", b"{}", Validity(now() + 60, marks([watched])))
        assert plans.find("k") == b"{}"
        change()
        assert plans.find("k") is None
    plans.keep("k", b"{}", Validity(now() - 1))
    assert plans.find("k") is None


def test_a_plan_of_the_future_or_a_torn_one_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = KeptPlans(Places(tmp_path), Silent())
    plans.keep("k", b"{}", Validity(now() + 1e6))
    monkeypatch.setattr("sartor.catalog.kept_plans.now", lambda: 0.0)
    assert plans.find("k") is None
    (path,) = (tmp_path / "caches" / "catalog" / "plans").iterdir()
    path.write_bytes(path.read_bytes()[:20])
    monkeypatch.undo()
    assert plans.find("k") is None


def test_keys_differ_with_what_a_plan_is_made_of() -> None:
    assert key("a", "b") == key("a", "b")
    assert key("a", "b") != key("ab")
    assert key({"gpu": 1}) != key({"gpu": 2})


def test_an_empty_log_is_no_change(tmp_path: Path) -> None:
    log = tmp_path / "store.sqlite-wal"
    assert mark(str(log)) == ""
    log.write_bytes(b"")
    assert mark(str(log)) == ""
    log.write_bytes(b"a row")
    assert mark(str(log)) != ""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Metadata-Version: 2.2\nName: a\n", None),
        ("Metadata-Version: 2.4\nName: a\nDynamic: Version\n", None),
        ("Metadata-Version: 2.2\nDynamic: Requires-Dist\n", "dynamic"),
        ("Metadata-Version: 2.2\nDynamic: license\nDynamic: requires-python\n", "dynamic"),
        ("Metadata-Version: 2.1\nName: a\n", "2.1"),
        ("Name: a\n", "no version"),
    ],
)
def test_metadata_that_settles_what_is_required(text: str, why: str | None) -> None:
    found = not_static(text.encode())
    assert found is None if why is None else why in (found or "")
