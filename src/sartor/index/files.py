"""What an index says of one file: a value of its own, for what is kept of it to be read quickly."""

from __future__ import annotations

import msgspec


class IndexFile(msgspec.Struct, frozen=True):
    """One file that an index lists, and what it says of it. ``uploaded`` is RFC 3339, in UTC."""

    name: str
    url: str
    size: int | None = None
    sha256: str | None = None
    requires_python: str | None = None
    yanked: str | None = None
    metadata_sha256: str | None = None
    uploaded: str | None = None
