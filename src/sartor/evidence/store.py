"""The store: a SQLite file with one row for each file that was read, keyed by its sha256.

Many processes read and write it at once. A row is one transaction, so that a process that is
killed leaves either all of it or nothing. A store that cannot be written is read.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from sartor.artifact.source import Invalid
from sartor.closing import Closing
from sartor.evidence.faults import damaged, explained
from sartor.evidence.row import Row, now, rank
from sartor.evidence.schema import MIGRATIONS, OPTIONS, connect, create, migrate, version_of
from sartor.paths import not_writable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sartor.artifact.model import Evidence

Put = Literal["added", "replaced", "same", "kept", "conflict"]

COLUMNS = Row.__struct_fields__
LIST = ", ".join(COLUMNS)
WITHOUT_DOCUMENT = LIST.replace("document", "x'' AS document")
INSERT = f"INSERT INTO evidence ({LIST}) VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608
MOST_FILES = 100_000
"""Files whose sha256 is remembered; those seen longest ago are forgotten first."""


class Store(Closing):
    """An open store. Every method raises `EvidenceStoreError`, and where it writes also
    `DiskFullError` and `FolderNotWritableError`."""

    def __init__(self, connection: sqlite3.Connection, path: Path, *, writable: bool) -> None:
        self.path = path
        self.writable = writable
        self._connection = connection

    def close(self) -> None:
        """Give the file back."""
        self._connection.close()

    def get(self, sha256: str) -> Row | None:
        """The row of a file."""
        return next(self._rows(f"SELECT {LIST} FROM evidence WHERE sha256 = ?", sha256), None)  # noqa: S608

    def has_size(self, size: int) -> bool:
        """Whether a row is of a file of that size: else no digest needs to be computed."""
        with explained(self.path):
            found = self._connection.execute("SELECT 1 FROM evidence WHERE size = ?", (size,))
            return found.fetchone() is not None

    def rows(self, *, documents: bool = True) -> Iterator[Row]:
        """Every row by sha256; without ``documents`` these are empty, and the rows come fast."""
        columns = LIST if documents else WITHOUT_DOCUMENT
        yield from self._rows(f"SELECT {columns} FROM evidence ORDER BY sha256")  # noqa: S608

    def check_writable(self) -> None:
        """Raises `FolderNotWritableError` where nothing can be put into it."""
        if not self.writable:
            raise not_writable(self.path, OSError(0, "read-only", str(self.path)))

    def put(
        self,
        row: Row,
        *,
        again: bool = False,
        objection: Callable[[Row, Evidence], bool] | None = None,
    ) -> Put:
        """Keep a row, unless the one that is there says more; ``again``: where it says as much too.

        ``kept``: the other one stays. ``same``: it is there already, as it is. ``conflict``: there
        is an ``objection`` to it, asked of what is there.
        """
        self.check_writable()
        with explained(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                outcome = self._put(row, again, objection)
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        return outcome

    def _put(self, row: Row, again: bool, objection: Callable[[Row, Evidence], bool] | None) -> Put:
        there, evidence = self._there(row.sha256)
        if there is not None and evidence is not None:
            if rank(row) <= rank(there) and evidence == row.evidence():
                return "same"
            if objection is not None and objection(there, evidence):
                return "conflict"
            if rank(row) < rank(there) or (rank(row) == rank(there) and not again):
                return "kept"
        self._connection.execute("DELETE FROM evidence WHERE sha256 = ?", (row.sha256,))
        self._connection.execute(INSERT, msgspec.structs.astuple(row))
        return "added" if there is None else "replaced"

    def _there(self, sha256: str) -> tuple[Row | None, Evidence | None]:
        """The row and its evidence; a row that is damaged has none, and gives way to any other."""
        row = self.get(sha256)
        try:
            return row, None if row is None else row.evidence()
        except Invalid:
            return row, None

    def digest(self, fingerprint: str) -> str | None:
        """The sha256 of a file that was seen before and did not change since."""
        with explained(self.path):
            found = self._connection.execute(
                "SELECT sha256 FROM file WHERE fingerprint = ?", (fingerprint,)
            ).fetchone()
        return str(found[0]) if found else None

    def remember(self, fingerprint: str, sha256: str) -> None:
        """Know the file by its fingerprint from now on."""
        with explained(self.path):
            self._connection.execute(
                "INSERT OR REPLACE INTO file VALUES (?, ?, ?)", (fingerprint, sha256, now())
            )
            self._connection.execute(
                "DELETE FROM file WHERE fingerprint IN "
                "(SELECT fingerprint FROM file ORDER BY seen_at DESC LIMIT -1 OFFSET ?)",
                (MOST_FILES,),
            )

    def options(self, sha256: str, reader: int) -> bytes | None:
        """The document of the options that a reader read of a wheel; None without one."""
        there = "SELECT 1 FROM sqlite_master WHERE name = 'options'"
        query = "SELECT document FROM options WHERE sha256 = ? AND reader = ?"
        with explained(self.path):
            if self._connection.execute(there).fetchone() is None:
                return None
            found = self._connection.execute(query, (sha256, reader)).fetchone()
        return bytes(found[0]) if found else None

    def put_options(
        self, sha256: str, project: str, version: str, reader: int, document: bytes
    ) -> None:
        """Keep what was read of a wheel's options; an older reader's word does not replace."""
        self.check_writable()
        query = (
            "INSERT INTO options VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (sha256) DO UPDATE SET "
            "reader = excluded.reader, read_at = excluded.read_at, document = excluded.document "
            "WHERE excluded.reader >= reader"
        )
        with explained(self.path):
            row = (sha256, project, version, reader, now(), document)
            self._connection.execute(OPTIONS)
            self._connection.execute(query, row)

    def copy_to(self, path: Path) -> None:
        """Write the rows into a new file at ``path``, compactly, and the same where they are."""
        with explained(path):
            self._connection.execute("VACUUM INTO ?", (str(path),))
            with closing(connect(path)) as copy:  # when the tables were made is nobody's business
                copy.execute("DELETE FROM file")
                copy.execute("UPDATE migration SET at = ''")

    def _rows(self, query: str, *values: str) -> Iterator[Row]:
        with explained(self.path):
            for found in self._connection.execute(query, values):
                try:
                    fields = dict(zip(COLUMNS, found, strict=True))
                    yield msgspec.convert(fields, Row, builtin_types=[bytes])
                except msgspec.ValidationError as error:
                    raise damaged(self.path, f"row {found[0]}: {error}") from error


def open_store(
    path: Path, *, make: bool = True, migrations: Sequence[Sequence[str]] = MIGRATIONS
) -> Store | None:
    """The store at ``path``, made or brought up to date; None where it is not there, or not made.

    Where it cannot be written it is opened to be read. Raises `EvidenceStoreError`,
    `FolderNotWritableError` and `DiskFullError`.
    """
    with explained(path):
        if not path.exists():
            if not make:
                return None
            create(path, migrations)
        if not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
            return open_read_only(path, migrations)
        connection = connect(path, query="?mode=rw")
        try:
            migrate(connection, path, migrations)
            connection.execute("PRAGMA synchronous=NORMAL")
        except BaseException:
            connection.close()
            raise
        return Store(connection, path, writable=True)


def open_read_only(path: Path, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> Store:
    """A store on a medium that cannot be written, or one that is shipped: nothing is made of it.

    SQLite wants to write beside a file even to read it. Told that nobody changes the file it does
    not; unless memory that is shared for it shows that another user may write to it now.
    """
    with explained(path):
        shared, log = (path.with_name(f"{path.name}-{end}") for end in ("shm", "wal"))
        if not shared.exists() and log.exists() and log.stat().st_size:
            connection = _with_its_log(path, log)
        else:
            how = "" if shared.exists() else "&immutable=1"
            connection = connect(path, query=f"?mode=ro{how}")
        try:
            if version_of(connection, path, len(migrations)) < len(migrations):
                connection = _in_memory(connection)
                migrate(connection, path, migrations)
        except BaseException:
            connection.close()
            raise
        return Store(connection, path, writable=False)


def _with_its_log(path: Path, log: Path) -> sqlite3.Connection:
    """A copy of a store whose last rows are in its log still, where nobody may move them."""
    with tempfile.TemporaryDirectory() as folder:
        for file in (path, log):
            shutil.copyfile(file, f"{folder}/{file.name}")
        return _in_memory(connect(Path(folder) / path.name))


def _in_memory(connection: sqlite3.Connection) -> sqlite3.Connection:
    """A copy that can be brought up to date where the file cannot."""
    copy = sqlite3.connect(":memory:", isolation_level=None)
    with closing(connection):
        connection.backup(copy)
    return copy
