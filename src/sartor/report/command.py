"""The name that this program was started by, for the commands that it tells people to type."""

from __future__ import annotations

import os
import shlex


def command() -> str:
    """``sartor``, or the script that it came by (``./sartor``), as a shell takes it."""
    return shlex.quote(os.environ.get("SARTOR_COMMAND") or "sartor")
