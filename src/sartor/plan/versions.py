"""Versions that may be anything: hosts are also described, and read from documents."""

from __future__ import annotations

from packaging.version import InvalidVersion, Version


def known_version(text: str | None) -> Version | None:
    """``text`` as a version that can be compared; None where it is none, or not known."""
    try:
        return Version(text) if text else None
    except InvalidVersion:
        return None


def leaves_open(stated: Version, minimum: Version) -> bool:
    """Whether ``stated`` is only the beginning of ``minimum``: ``580`` of ``580.65.06``.

    Such a version may be older or newer than the minimum.
    """
    parts, needed = stated.release, minimum.release
    return len(parts) < len(needed) and needed[: len(parts)] == parts
