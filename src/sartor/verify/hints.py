"""What to do about the ends of programs that people meet most."""

from __future__ import annotations

import re
import signal

_MISSING = re.compile(r"(\S+?):? cannot open shared object file")


def hint_for(words: str, status: int | None = None) -> str | None:
    """The way out, by a program's last words and its status; None where nothing is known."""
    if found := _MISSING.search(words):
        return f"the system library `{found[1]}` is missing: install the package that holds it"
    if status == -signal.SIGILL:
        return "the CPU lacks an instruction that was compiled in: `--build native` avoids it"
    if status == -signal.SIGKILL:
        return "it was killed from outside: most often for want of memory (`dmesg` shows that)"
    return None
