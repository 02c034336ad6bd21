"""What to do about the ends of programs that people meet most."""

from __future__ import annotations

import re
import signal

_NO_IMAGE = (
    "a library that it calls holds nothing for this GPU: `sartor inspect` on the environment says "
    "which; take a build that is for it (`sartor plan`)"
)
_OLD_DRIVER = "a newer driver, or a build that this one runs (`sartor plan` finds it)"
_SAID = (
    ("no kernel image is available", _NO_IMAGE),
    ("CUDA driver version is insufficient", _OLD_DRIVER),
    ("out of memory", "another program may have it: `nvidia-smi` and `free -h` show which"),
)
"""Words of an error, and the way out."""
_MISSING = re.compile(r"(\S+?):? cannot open shared object file")


def hint_for(words: str, status: int | None = None) -> str | None:
    """The way out, by a program's last words and its status; None where nothing is known."""
    if found := _MISSING.search(words):
        return f"the system library `{found[1]}` is missing: install the package that holds it"
    for said, way in _SAID:
        if said in words:
            return way
    if status == -signal.SIGILL:
        return "the CPU lacks an instruction that was compiled in: `--build native` avoids it"
    if status == -signal.SIGKILL:
        return "it was killed from outside: most often for want of memory (`dmesg` shows that)"
    return None
