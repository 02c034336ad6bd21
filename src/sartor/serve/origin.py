"""Where a run was started: which processes its record can speak of, and which it cannot."""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path
from typing import Literal

from sartor.serve.model import Origin

Distance = Literal["here", "rebooted", "elsewhere"]


@cache
def here() -> Origin:
    """The machine, its boot and the PID namespace of this process."""
    return Origin(
        host=f"{_first_line('/etc/machine-id')}:{socket.gethostname()}",
        boot=boot(),
        pids=_pid_namespace(),
    )


@cache
def boot() -> str:
    """The id of this boot: all containers of one machine share it."""
    return _first_line("/proc/sys/kernel/random/boot_id") or "unknown boot"


def distance(origin: Origin | None) -> Distance:
    """Whether process numbers of ``origin`` are those seen here.

    ``rebooted``: the same machine, and no process of then is left. ``elsewhere``: another machine
    or container, of whose processes nothing can be known. A record without an origin is from here.
    """
    now = here()
    if origin is None or (origin.boot, origin.pids) == (now.boot, now.pids):
        return "here"
    if origin.boot != now.boot and origin.host == now.host:
        return "rebooted"
    return "elsewhere"


def _first_line(path: str) -> str:
    try:
        return Path(path).read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _pid_namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - a name, not a path
    except OSError:
        return ""
