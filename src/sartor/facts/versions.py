"""Versions that may be anything: packages, binaries, documents and people state them."""

from __future__ import annotations

import re
from functools import lru_cache

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version


@lru_cache(1 << 12)
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


def within_versions(specifier: str, version: str) -> bool:
    """Whether a version, pre-releases too, is one that a fact speaks of; never what is none."""
    try:
        return SpecifierSet(specifier).contains(version, prereleases=True)
    except ValueError:  # `InvalidVersion`, or a number of more digits than Python reads
        return False


def numbers(version: str) -> tuple[int, ...]:
    """A dotted version for comparison: ``2.34`` → ``(2, 34)``; letters end it."""
    match = re.match(r"\d{1,9}(\.\d{1,9})*", version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()
