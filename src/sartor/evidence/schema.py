"""The tables of the store, how they came about, and how a file becomes a store.

A store is made beside its place and renamed there, so that a file of that name always has its
tables; one that an older Sartor made is brought up to date in one transaction.
"""

from __future__ import annotations

import os
import re
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from sartor.evidence.faults import damaged, too_new
from sartor.evidence.row import now
from sartor.paths import make_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

APPLICATION_ID = 0x53415254  # "SART"
WAIT_SECONDS = 30.0
"""How long one waits for another that writes: a row takes milliseconds."""
SHARED_ELSEWHERE = re.compile(r"nfs|cifs|smb|9p|fuse|ceph|lustre|gpfs|beegfs|gluster|afs|virtiofs")
"""File systems whose machines share no memory, which a write-ahead log needs."""

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE evidence (
            sha256 TEXT PRIMARY KEY, name TEXT NOT NULL, size INTEGER NOT NULL, kind TEXT NOT NULL,
            project TEXT, version TEXT, read_at TEXT NOT NULL, reader INTEGER NOT NULL,
            globs TEXT NOT NULL, names TEXT NOT NULL, named INTEGER NOT NULL, extent TEXT NOT NULL,
            origin TEXT NOT NULL, document BLOB NOT NULL)""",
        "CREATE INDEX evidence_by_project ON evidence (project, version)",
        "CREATE INDEX evidence_by_size ON evidence (size)",
    ),
    (
        """CREATE TABLE file (
            fingerprint TEXT PRIMARY KEY, sha256 TEXT NOT NULL, seen_at TEXT NOT NULL)
            WITHOUT ROWID""",
    ),
    ("ALTER TABLE evidence ADD COLUMN stated_by TEXT",),
)
"""Statements that lead from one version of the schema to the next; never changed, only added to."""

OPTIONS = """CREATE TABLE IF NOT EXISTS options (
    sha256 TEXT PRIMARY KEY, project TEXT NOT NULL, version TEXT NOT NULL,
    reader INTEGER NOT NULL, read_at TEXT NOT NULL, document BLOB NOT NULL) WITHOUT ROWID"""
"""Made with its first row, in any version of the schema: the shipped snapshot has none."""


def connect(path: Path, *, query: str = "") -> sqlite3.Connection:
    """A connection in which every statement is a transaction unless one is begun."""
    address = f"{path.absolute().as_uri()}{query}"
    return sqlite3.connect(address, uri=True, timeout=WAIT_SECONDS, isolation_level=None)


def create(path: Path, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> None:
    """Make the store at ``path`` unless it is there; several may try at once."""
    from filelock import FileLock

    make_folder(path.parent)
    with FileLock(path.parent / ".create.lock"):
        if path.exists():
            return
        new = path.with_name(".new.sqlite")
        for left in path.parent.glob(f"{new.name}*"):  # of one that was killed
            left.unlink()
        connection = connect(new)
        try:
            if not on_shared_disk(path):
                connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
            migrate(connection, path, migrations)
        finally:
            connection.close()
        new.replace(path)


def version_of(connection: sqlite3.Connection, path: Path, known: int) -> int:
    """The version of the schema; raises `EvidenceStoreError` for a newer one, and for no store."""
    (identity,) = connection.execute("PRAGMA application_id").fetchone()
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if identity != APPLICATION_ID or found < 0:
        raise damaged(path, "it is a database of another program, or an empty file")
    if found > known:
        raise too_new(path, found, known)
    return int(found)


def migrate(
    connection: sqlite3.Connection, path: Path, migrations: Sequence[Sequence[str]] = MIGRATIONS
) -> None:
    """Bring the schema up to date, as a whole or not at all; each step is written down."""
    if version_of(connection, path, len(migrations)) == len(migrations):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS migration (version INTEGER PRIMARY KEY, at TEXT NOT NULL)"
        )
        # Another may have done it while this one waited for its turn.
        found = version_of(connection, path, len(migrations))
        for number, statements in enumerate(migrations[found:], found + 1):
            for statement in statements:
                connection.execute(statement)
            connection.execute("INSERT INTO migration VALUES (?, ?)", (number, now()))
        connection.execute(f"PRAGMA user_version={len(migrations)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def on_shared_disk(path: Path) -> bool:
    """Whether other machines may write to the file system that holds ``path``."""
    return bool(SHARED_ELSEWHERE.search(file_system(path)))


def file_system(path: Path) -> str:
    """The kind of the file system that holds ``path``; empty where that cannot be told."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    place = f"{os.path.realpath(path.parent)}/"
    best, kind = "", ""
    for line in mounts:
        before, _, after = line.partition(" - ")
        point = before.split()[4].encode().decode("unicode_escape").rstrip("/") + "/"
        if place.startswith(point) and len(point) >= len(best):
            best, kind = point, after.split()[0]
    return kind
