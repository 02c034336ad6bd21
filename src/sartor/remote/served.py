"""The METADATA that an index serves beside a wheel (PEP 658), held against the hash it states."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from sartor.artifact.members import MOST_TEXT
from sartor.errors import NoSuchTargetError
from sartor.remote.faults import Dropped, refused, unreachable, untrusted

if TYPE_CHECKING:
    from sartor.remote.http import Http


def served_metadata(http: Http, wheel_url: str, sha256: str) -> bytes | None:
    """The text; None where it is not there after all.

    Raises `UntrustedBytesError` where its hash is another one, and what `Http.get` raises.
    """
    parts = urlsplit(wheel_url)
    url = urlunsplit(parts._replace(path=f"{parts.path}.metadata", fragment=""))
    for _ in range(http.limits.tries):
        try:
            data = _fetched(http, url)
        except NoSuchTargetError:
            return None
        except Dropped as fault:
            http.pause(url, http.backoff(0), str(fault))
            continue
        if hashlib.sha256(data).hexdigest() != sha256:
            raise untrusted(url, "it is not the METADATA whose sha256 the index states")
        return data
    raise unreachable(url, "the connection broke off each time")


def _fetched(http: Http, url: str) -> bytes:
    _, stream = http.get(url, {})
    body = bytearray()
    try:
        for block in stream:
            body += block
            if len(body) > MOST_TEXT:
                raise refused(url, f"it has more than {MOST_TEXT} bytes")
    finally:
        http.done(stream)
    return bytes(body)
