"""The snapshot that is shipped with Sartor: a store that is only read, made by `tools/`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sartor.evidence.store import open_read_only

if TYPE_CHECKING:
    from sartor.evidence.store import Store

SNAPSHOT = Path(__file__).parent / "snapshot.sqlite"


def open_snapshot(path: Path = SNAPSHOT) -> Store | None:
    """The snapshot; None where this copy of Sartor has none. Raises `EvidenceStoreError`."""
    return open_read_only(path) if path.is_file() else None
