"""What was slimmed in an environment, as it is written down in it: so that it can be undone.

``sartor-slim/`` in the environment's folder holds this record and what is kept of the files. It is
written before the first of them is changed, and says of each what it was and what it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from sartor.artifact.slimmed import IN_PLACE_FOLDER, IN_PLACE_RECORD, ReducedUnits
from sartor.errors import UndoRecordError
from sartor.paths import write_atomically
from sartor.slim.choice import Wanted

if TYPE_CHECKING:
    from pathlib import Path

FOLDER, RECORD = IN_PLACE_FOLDER, IN_PLACE_RECORD
Change = Literal["slimmed", "removed"]


class Before(msgspec.Struct, frozen=True, kw_only=True):
    """A file as it was: its digest, size, permissions, time of writing and owner."""

    sha256: str
    size: int
    mode: int
    mtime_ns: int
    uid: int
    gid: int


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A file's line in a RECORD, which ``place`` lines stood before; ``now`` is empty: it is gone.

    ``record`` is the RECORD's path below the environment.
    """

    record: str
    before: str
    now: str
    place: int


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """One file that was changed, at ``path`` below the environment.

    ``before`` is what its package brought. ``sha256`` and ``size`` are what a slimmed one has now.
    ``kept`` is the file in ``sartor-slim/kept`` from which it comes back; None: nothing was kept.
    ``wanted`` is what it was reduced to, ``why`` for what reason it was removed.
    ``units`` say what each translation unit held that lost something.
    """

    path: str
    change: Change
    project: str
    version: str
    before: Before
    rows: list[Row]
    sha256: str | None = None
    size: int | None = None
    kept: str | None = None
    wanted: Wanted | None = None
    why: str | None = None
    units: list[ReducedUnits] = []

    @property
    def gpus(self) -> str:
        """``sm_90, sm_120``."""
        return ", ".join(self.wanted.gpus) if self.wanted else ""


class Slimmed(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="schema", tag="sartor.slimmed-in-place/1"
):
    """``sartor-slim/slimmed.json``: what was changed in an environment, by which Sartor.

    ``files`` are in the order in which they were changed; ``records`` are the RECORDs as they were
    before any of it.
    """

    sartor: str
    files: list[Changed] = []
    records: dict[str, Before] = {}

    def by_path(self) -> dict[str, Changed]:
        """The files by their paths below the environment."""
        return {one.path: one for one in self.files}


def slimmed_in(root: Path) -> Slimmed | None:
    """The record in the environment's folder; None: nothing was slimmed. `UndoRecordError`."""
    path = root / FOLDER / RECORD
    try:
        return msgspec.json.decode(path.read_bytes(), type=Slimmed)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UndoRecordError(
            f"`{path}` cannot be read: {error}",
            hint="it says what was slimmed, and how that is undone: without it the packages have "
            f"to be installed anew. Remove `{path.parent}` then",
        ) from error


def write_down(root: Path, slimmed: Slimmed) -> None:
    """Write the record; what `write_atomically` raises."""
    write_atomically(root / FOLDER / RECORD, msgspec.json.encode(slimmed))
