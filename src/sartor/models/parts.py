"""Models split over several files: how their parts are named, and whether all are there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sartor.models.sniff import FETCH_AGAIN, invalid

if TYPE_CHECKING:
    from pathlib import Path

SHARD = re.compile(r"(?P<stem>.+)-(?P<part>\d{5})-of-(?P<parts>\d{5})\.(?P<kind>safetensors|gguf)")


def all_parts(names: list[str]) -> list[str]:
    """``names`` and, for each that is a part of a split file, the names of all parts; sorted."""
    wanted = set(names)
    for name in names:
        match = SHARD.fullmatch(name)
        if match:
            stem, parts, kind = match["stem"], match["parts"], match["kind"]
            wanted |= {f"{stem}-{i:05}-of-{parts}.{kind}" for i in range(1, int(parts) + 1)}
    return sorted(wanted)


def check_present(folder: Path, wanted: list[str], present: list[str]) -> None:
    """Raise `ModelInvalidError` unless all ``wanted`` weight files are ``present``."""
    missing = sorted(set(wanted) - set(present))
    if missing:
        some = ", ".join(f"`{name}`" for name in missing[:5])
        reason = f"{len(missing)} of its {len(wanted)} weight files are missing ({some})"
        raise invalid(str(folder), 0, reason, FETCH_AGAIN)
