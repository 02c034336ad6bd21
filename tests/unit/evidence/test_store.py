"""The store: which rows stay, what becomes of other people's files, and what stands in it."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evidences import evidence, row, rows, sha256_of
from sartor.artifact.source import Invalid
from sartor.errors import DiskFullError, EvidenceStoreError, FolderNotWritableError
from sartor.evidence.faults import as_error
from sartor.evidence.row import Row, row_of
from sartor.evidence.schema import MIGRATIONS, file_system, on_shared_disk
from sartor.evidence.store import Store, open_read_only, open_store
from sartor.paths import Places

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return Places(tmp_path).evidence


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with made(path) as opened:
        yield opened


def made(path: Path) -> Store:
    opened = open_store(path)
    assert opened is not None
    return opened


def test_a_row_comes_back_as_it_was_put(store: Store) -> None:
    assert store.put(row(1, "one")) == "added"
    assert store.get(sha256_of(1)) == row(1, "one")
    assert row(1, "one").evidence() == evidence(1, "one")
    assert store.get(sha256_of(2)) is None
    assert (store.has_size(5001), store.has_size(5002)) == (True, False)


def test_more_replaces_less_and_never_the_other_way(store: Store) -> None:
    assert store.put(row(1)) == "added"
    assert store.put(row(1)) == "same"
    assert store.put(row(1, "all")) == "replaced"
    assert store.put(row(1, "one")) == "kept"
    assert store.put(row(1), again=True) == "kept"
    assert store.put(row(1, "one", faults=True)) == "kept"
    found = store.get(sha256_of(1))
    assert found is not None
    assert found.names == "all"


def test_names_outweigh_the_faults_that_reading_them_met(store: Store) -> None:
    assert store.put(row(1, "one")) == "added"
    assert store.put(row(1, "all", faults=True)) == "replaced"
    assert store.put(row(1, "one")) == "kept"
    assert store.put(row(1, "all", faults=True, whole=False)) == "same"


def test_what_was_read_here_stands_before_what_was_imported(store: Store) -> None:
    foreign = msgspec.structs.replace(row(1), origin="imported")
    assert store.put(foreign) == "added"
    assert store.put(row(1)) == "replaced"
    assert store.put(foreign) == "same"


def test_a_hash_that_was_computed_stands_before_one_that_was_stated(store: Store) -> None:
    here = msgspec.structs.replace(row(1, "all"), stated_by="b" * 16)
    there = msgspec.structs.replace(here, stated_by="a" * 16, read_at="2026-11-21T00:00:00Z")
    assert store.put(here) == "added"
    assert store.put(here) == "same"
    assert store.put(there) == "replaced"  # who asks now asks there
    assert store.put(here) == "same"
    assert store.put(msgspec.structs.replace(row(1), stated_by="a" * 16)) == "kept"
    assert store.put(row(1)) == "replaced"
    assert store.put(there) == "kept"
    found = store.get(sha256_of(1))
    assert found is not None
    assert found.stated_by is None


def test_an_older_sartor_does_not_undo_a_newer_ones_reading(store: Store) -> None:
    newer = msgspec.structs.replace(row(1), reader=1000)
    assert store.put(newer) == "added"
    assert store.put(row(1, "all"), again=True) == "kept"
    assert not newer.is_current


@settings(max_examples=25)
@given(several=st.lists(rows(), max_size=8))
def test_the_order_of_rows_does_not_matter(
    several: list[Row], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Of rows that are equally good any may stay: their times of reading are left aside."""
    kept = []
    for name, order in (("a", several), ("b", several[::-1]), ("c", several + several)):
        with made(tmp_path_factory.mktemp(name) / "s.sqlite") as opened:
            for one in order:
                opened.put(one)
            kept.append([msgspec.structs.replace(r, read_at="") for r in opened.rows()])
    assert kept[0] == kept[1] == kept[2]


def test_no_folder_of_the_machine_stands_in_it(path: Path, tmp_path: Path) -> None:
    here = tmp_path / "a secret folder" / "one-1.0-py3-none-any.whl"
    placed = msgspec.structs.replace(evidence(), target=str(here))
    with made(path) as opened:
        opened.put(row_of(placed, "none"))
        opened.remember("f" * 64, sha256_of(0))
    held = b"".join(p.read_bytes() for p in path.parent.iterdir())
    assert b"secret" not in held
    assert tmp_path.name.encode() not in held
    assert here.name.encode() in held


@pytest.mark.parametrize(
    "changes",
    [{"sha256": None}, {"sha256": "x"}, {"size": None}, {"size": 1 << 63}, {"kind": "environment"},
     {"target": "a/\udcff.whl"}],
    ids=str,
)  # fmt: skip
def test_what_has_no_place_in_it(changes: dict[str, object]) -> None:
    with pytest.raises(Invalid):
        row_of(msgspec.structs.replace(evidence(), **changes), "none")


def test_a_damaged_row_gives_way(store: Store, path: Path) -> None:
    store.put(row(1, "all"))
    half = row(1, "all").document[:-3]
    with sqlite3.connect(path) as other:
        other.execute("UPDATE evidence SET document = ?", (half,))
    other.close()
    found = store.get(sha256_of(1))
    assert found is not None
    with pytest.raises(Invalid, match="damaged"):
        found.evidence()
    assert store.put(row(1)) == "replaced"
    assert [r.evidence() for r in store.rows()] == [evidence(1)]


@pytest.mark.parametrize(
    "column", ["kind = 'boat'", "size = 'x'", "document = 'text'", "name = x'ff'"]
)
def test_columns_that_lie(store: Store, path: Path, column: str) -> None:
    store.put(row(1))
    with sqlite3.connect(path) as other:
        other.execute(f"UPDATE evidence SET {column}")  # noqa: S608
    other.close()
    with pytest.raises(EvidenceStoreError, match="damaged"):
        store.get(sha256_of(1))


@pytest.mark.parametrize(
    "content", [b"", b"x" * 5000, b"SQLite format 3\0" + b"\xff" * 4080], ids=["0", "text", "head"]
)
def test_files_that_are_no_store(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    for open_it in (open_store, open_read_only):
        with pytest.raises(EvidenceStoreError, match="damaged, or is no store") as raised:
            open_it(path)
        assert "move it away" in str(raised.value.hint)
    assert path.read_bytes() == content


def test_a_database_of_another_program(path: Path) -> None:
    path.parent.mkdir(parents=True)
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE evidence (x)")
    other.close()
    with pytest.raises(EvidenceStoreError, match="no store"):
        open_store(path)


@settings(max_examples=60)
@given(at=st.integers(0, 1 << 16), junk=st.binary(min_size=1, max_size=200))
def test_damage_anywhere_is_one_clear_error(
    at: int, junk: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Random bytes over the file: each call gives rows, or an error of the house; never a crash."""
    path = tmp_path_factory.mktemp("s") / "s.sqlite"
    with made(path) as opened:
        for number in range(12):
            opened.put(row(number, "one"))
    content = bytearray(path.read_bytes())
    at %= len(content)
    content[at : at + len(junk)] = junk
    path.write_bytes(content)
    try:
        with made(path) as opened:
            for found in opened.rows():
                try:
                    found.evidence()
                except Invalid:
                    continue
            opened.put(row(3, "all"))
    except (EvidenceStoreError, FolderNotWritableError):
        pass


def test_an_old_schema_is_brought_up_to_date(path: Path) -> None:
    old = open_store(path, migrations=MIGRATIONS[:1])
    assert old is not None
    old.close()
    values = msgspec.structs.asdict(row(1))
    del values["stated_by"]  # the column came with the third version
    with sqlite3.connect(path) as other:
        names, places = ", ".join(values), ", ".join("?" * len(values))
        other.execute(f"INSERT INTO evidence ({names}) VALUES ({places})", [*values.values()])  # noqa: S608
    other.close()
    with open_read_only(path) as read:
        assert read.digest("f") is None  # the table came with the second version
        assert [r.sha256 for r in read.rows()] == [sha256_of(1)]
    with made(path) as opened:
        opened.remember("f", sha256_of(1))
        assert opened.digest("f") == sha256_of(1)
        assert opened.get(sha256_of(1)) == row(1)
    with sqlite3.connect(path) as other:
        assert [v for v, _ in other.execute("SELECT * FROM migration")] == [1, 2, 3]
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    other.close()


def test_a_migration_that_fails_changes_nothing(path: Path) -> None:
    with made(path) as opened:
        opened.put(row(1))
    step = ("CREATE TABLE later (x)", "INSERT INTO nowhere VALUES (1)")
    with pytest.raises(EvidenceStoreError):
        open_store(path, migrations=(*MIGRATIONS, step))
    with made(path) as opened:
        assert opened.get(sha256_of(1)) == row(1)


def test_a_newer_schema_is_left_alone(path: Path) -> None:
    newer = open_store(path, migrations=(*MIGRATIONS, ("CREATE TABLE later (x)",)))
    assert newer is not None
    newer.close()
    before = path.read_bytes()
    for open_it in (open_store, open_read_only):
        with pytest.raises(EvidenceStoreError, match="newer Sartor"):
            open_it(path)
    assert path.read_bytes() == before


def test_what_a_killed_one_left_is_swept_up(path: Path) -> None:
    path.parent.mkdir(parents=True)
    for name in (".new.sqlite", ".new.sqlite-wal", ".new.sqlite-journal"):
        (path.parent / name).write_bytes(b"half")
    with made(path) as opened:
        opened.put(row(1))
    assert {p.name for p in path.parent.iterdir()} == {".create.lock", "store.sqlite"}


def test_a_snapshot_is_read_and_never_written(store: Store, tmp_path: Path) -> None:
    store.put(row(1, "one"))
    copy = tmp_path / "snapshot.sqlite"
    store.copy_to(copy)
    before = copy.read_bytes()
    with open_read_only(copy) as shipped:
        assert shipped.get(sha256_of(1)) == row(1, "one")
        with pytest.raises(FolderNotWritableError):
            shipped.put(row(2))
    assert copy.read_bytes() == before
    assert [p.name for p in tmp_path.glob("snapshot*")] == ["snapshot.sqlite"]


def test_errors_of_sqlite_have_a_way_out(path: Path) -> None:
    def error(code: int) -> sqlite3.Error:
        made = sqlite3.OperationalError("words")
        made.sqlite_errorcode = code
        return made

    assert isinstance(as_error(error(sqlite3.SQLITE_FULL), path), DiskFullError)
    assert isinstance(
        as_error(error(sqlite3.SQLITE_READONLY_DBMOVED), path), FolderNotWritableError
    )
    assert "in use" in as_error(error(sqlite3.SQLITE_BUSY_SNAPSHOT), path).message
    assert "damaged" in as_error(error(sqlite3.SQLITE_CORRUPT), path).message


def test_no_room(path: Path, store: Store) -> None:
    """SQLite's own limit on pages stands for a full disk: it gives the same error."""
    store._connection.execute("PRAGMA max_page_count=12")
    added = 0
    with pytest.raises(DiskFullError):  # noqa: PT012 - which of them it is depends on SQLite
        for number in range(200):
            store.put(row(number, "one"))
            added += 1
    assert sorted(r.evidence().size or 0 for r in store.rows()) == [5000 + n for n in range(added)]


def test_where_a_write_ahead_log_is_kept(tmp_path: Path) -> None:
    assert file_system(tmp_path / "x")
    assert not on_shared_disk(tmp_path / "x") or "fuse" in file_system(tmp_path / "x")
