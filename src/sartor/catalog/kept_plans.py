"""Whole plans, kept for as long as everything holds that they rest on.

Nothing heavy is imported: an unchanged request is answered before a client or a store is opened.
"""

from __future__ import annotations

import hashlib
import os
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

import sartor
from sartor.kept import KeptFiles

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sartor.paths import Places
    from sartor.reporter import Reporter

MOST = 200
ROOT = Path(sartor.__file__).parent


class Validity(msgspec.Struct, frozen=True):
    """For how long something holds: ``until`` (seconds since 1970), and while no file changes.

    ``files``: path → `mark`.
    """

    until: float
    files: dict[str, str] = {}

    def holds(self, moment: float) -> bool:
        """Whether it still does."""
        return moment < self.until and all(mark(p) == was for p, was in self.files.items())


class Kept(msgspec.Struct, frozen=True, tag_field="schema", tag="sartor.kept-plan/1"):
    """A plan's document, kept at ``kept_at``."""

    kept_at: float
    validity: Validity
    document: msgspec.Raw


class KeptPlans:
    """The plans of one user; with ``places`` of None none is kept (``--no-store``)."""

    def __init__(self, places: Places | None, reporter: Reporter) -> None:
        folder = places.catalog / "plans" if places else None
        self._kept = KeptFiles(folder, reporter, what="the plan", most=MOST)

    def find(self, key: str) -> bytes | None:
        """The document that was kept under `key`, if everything it rests on still holds."""
        kept = self._kept.get_as(f"{key}.json", Kept)
        if kept is None:
            return None
        moment = now()
        holds = kept.kept_at <= moment and kept.validity.holds(moment)
        return bytes(kept.document) if holds else None

    def keep(self, key: str, document: bytes, validity: Validity) -> None:
        """Keep a JSON document for as long as ``validity`` says (`Catalog.validity`)."""
        if now() >= validity.until:
            return
        kept = Kept(kept_at=now(), validity=validity, document=msgspec.Raw(document))
        self._kept.put(f"{key}.json", msgspec.json.encode(kept))


def key(*values: Any) -> str:
    """A name for what a plan is made of, as msgspec writes it, by this very Sartor.

    Its code and facts are in it by size and date, so that no plan outlives a change of them.
    """
    own = msgspec.json.encode([values, sartor.__version__, state(ROOT)])
    return hashlib.sha256(own).hexdigest()[:32]


def now() -> float:
    """Seconds since 1970."""
    return time.time()


def mark(path: str) -> str:
    """What changes with a file or folder; empty where there is none, or it is an empty log."""
    try:
        found = os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):
        return ""
    if not found.st_size and path.endswith("-wal"):
        return ""
    return f"{found.st_dev} {found.st_ino} {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}"


def marks(paths: Iterable[Path]) -> dict[str, str]:
    """Each path with its `mark`."""
    return {str(path): mark(str(path)) for path in paths}


@cache
def state(folder: Path) -> str:
    """A digest of names, sizes and dates of the code and facts below a folder."""
    digest = hashlib.sha256()
    for path, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted(files):
            if name.endswith((".py", ".toml", ".zst", ".sqlite")):
                found = os.stat(os.path.join(path, name))  # noqa: PTH116, PTH118
                digest.update(f"{name} {found.st_size} {found.st_mtime_ns}\n".encode())
    return digest.hexdigest()
