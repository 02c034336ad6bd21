"""What SQLite says, as the errors of the house: each with its way out."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sartor.artifact.members import shown
from sartor.errors import EvidenceStoreError
from sartor.paths import disk_full, free_bytes, not_writable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sartor.errors import SartorError

PRIMARY = 0xFF
"""Of an extended result code, the part that names the kind of fault."""
FEW_BYTES = 1 << 20
"""With less room than this an input/output error means a full file system."""


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn every error of SQLite, or of the system, about the store at ``path`` into Sartor's."""
    try:
        yield
    except PermissionError as error:
        raise not_writable(path, error) from error
    except sqlite3.Error as error:
        raise as_error(error, path) from error
    except UnicodeDecodeError as error:  # a text column that holds no text
        raise damaged(path, str(error)) from error


def as_error(error: sqlite3.Error, path: Path) -> SartorError:
    """The error of the house for one of SQLite's."""
    code = getattr(error, "sqlite_errorcode", 0) & PRIMARY
    match code:
        case sqlite3.SQLITE_FULL:
            return disk_full(path)
        case sqlite3.SQLITE_IOERR if free_bytes(path) < FEW_BYTES:
            return disk_full(path)
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return not_writable(path, OSError(0, str(error), str(path)))
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return EvidenceStoreError(
                f"the evidence store `{path}` is in use, and was not given free in time",
                found=[str(error)],
                hint="try again; `fuser` names the process that holds the file",
            )
        case _:
            return damaged(path, str(error))


def damaged(path: Path, why: str) -> EvidenceStoreError:
    """The error for a store that is none, or none any more."""
    return EvidenceStoreError(
        f"the evidence store `{path}` is damaged, or is no store",
        found=[shown(why)],
        hint=f"move it away (`mv {path} {path}.damaged`); a new one is made, and what was in the "
        "old one is read again when it is needed, or imported",
    )


def too_new(path: Path, found: int, known: int) -> EvidenceStoreError:
    """The error for a store that a newer Sartor has written."""
    return EvidenceStoreError(
        f"the evidence store `{path}` was written by a newer Sartor",
        found=[f"its schema is version {found}, this Sartor knows up to {known}"],
        hint="take the newer Sartor, or another SARTOR_HOME for this one",
    )
