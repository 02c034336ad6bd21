"""Addresses as they may be shown; numbers and dates as servers write them."""

from __future__ import annotations

import email.utils
import hashlib
from urllib.parse import urlsplit, urlunsplit

BLANKS = " \t"
"""What may stand around the value of a header (RFC 9110, 5.5)."""


def number(text: str | None) -> int | None:
    """A number of at most 18 digits; None for anything else."""
    text = (text or "").strip(BLANKS)
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def moment(text: str | None) -> float | None:
    """Seconds since 1970 of a date as HTTP writes it; None for anything else."""
    try:
        return email.utils.parsedate_to_datetime(text or "").timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def bare_url(url: str) -> str | None:
    """The address without user, password, query (signatures) and fragment; None for none."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
        return urlunsplit((parts.scheme, host + port, parts.path, "", ""))
    except ValueError:
        return None


def safe_url(url: str) -> str:
    """The address as it may be shown: `bare_url`, without what no terminal should be sent."""
    text = bare_url(url)
    if text is None:
        return "an address that is none"
    return "".join(c for c in text if c.isprintable())[:400]


def address_digest(url: str) -> str:
    """16 hexadecimal digits that stand for an address in the evidence store."""
    return hashlib.sha256((bare_url(url) or url).encode()).hexdigest()[:16]
