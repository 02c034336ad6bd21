"""Sizes as people write them: ``60M``, ``1.5G``, ``64MiB``."""

from __future__ import annotations

import re

from sartor.errors import UsageError

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "KI": 1 << 10, "MI": 1 << 20, "GI": 1 << 30}
FORM = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)\s*([KMG]I?)?B?", re.IGNORECASE | re.ASCII)


def parse_size(text: str) -> int:
    """Bytes: K, M and G are powers of 1000, Ki, Mi and Gi of 1024; raises `UsageError`."""
    match = FORM.fullmatch(text.strip())
    size = int(float(match[1]) * UNITS[(match[2] or "").upper()]) if match else 0
    if size < 1:
        raise UsageError(f"`{text}` is no size", hint="write it as `60M` or `64MiB`")
    return size
