"""Versions that may be anything: packages, binaries, documents and people state them."""

from __future__ import annotations

import re
from functools import lru_cache

from packaging.version import InvalidVersion, Version

RELEASE = r"\d{1,9}(?:\.\d{1,9}){0,5}"
BOUND = re.compile(rf">=(?P<least>{RELEASE}(?:\.post\d{{1,9}})?)|<(?P<below>{RELEASE})")


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


@lru_cache(1 << 12)
def within_versions(bounds: str, version: str) -> bool:
    """Whether a version is within the bounds of a fact (``>=0.9,<0.12``); never what is none.

    Pre-releases count, those of an upper bound apart, as by `packaging.specifiers`, which would
    take a tenth of an inspection to import. Raises `ValueError` for bounds of another form.
    """
    try:
        found = Version(version)
    except ValueError:  # `InvalidVersion`, or a number of more digits than Python reads
        return False
    return all(_keeps(found, bound) for bound in bounds.split(",") if bound)


def _keeps(version: Version, bound: str) -> bool:
    match = BOUND.fullmatch(bound)
    if match is None:
        raise ValueError(f"`{bound}` is no bound of versions: `>=1.2` and `<1.3` are")
    if match["least"]:
        return version >= Version(match["least"])
    limit = Version(match["below"])
    early = version.is_prerelease and Version(version.base_version) == limit
    return version < limit and not early


def numbers(version: str) -> tuple[int, ...]:
    """A dotted version for comparison: ``2.34`` → ``(2, 34)``; letters end it."""
    match = re.match(r"\d{1,9}(\.\d{1,9})*", version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()
