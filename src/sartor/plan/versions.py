"""Versions that may be anything: hosts are also described, and read from documents."""

from __future__ import annotations

from packaging.version import InvalidVersion, Version


def known_version(text: str | None) -> Version | None:
    """``text`` as a version that can be compared; None where it is none, or not known."""
    try:
        return Version(text) if text else None
    except InvalidVersion:
        return None
