"""Main memory, and how much of it this process may have."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from sartor.host.machine import Unread
from sartor.host.model import Memory, NotChecked
from sartor.host.reading import Reading

if TYPE_CHECKING:
    from sartor.host.machine import Machine

MEMINFO = "/proc/meminfo"
OWN_GROUPS = "/proc/self/cgroup"
V1_ROOT = "/sys/fs/cgroup/memory"
V2_ROOT = "/sys/fs/cgroup"
UNLIMITED = 1 << 60  # version 1 says "no limit" as the largest multiple of a page


def read_memory(machine: Machine) -> Reading[Memory]:
    """Total memory, and what is available within the limits of every control group above."""
    text = machine.read_text(MEMINFO)
    if isinstance(text, Unread):
        return Reading(Memory(), [NotChecked("memory", text.why)])
    sizes = parse_meminfo(text)
    free = [sizes.get("MemAvailable", sizes.get("MemFree")), *room_in_groups(machine)]
    available = min((room for room in free if room is not None), default=None)
    memory = Memory(sizes.get("MemTotal"), available)
    missing = {"memory.total_bytes": memory.total_bytes, "memory.available_bytes": available}
    return Reading(
        memory,
        [NotChecked(w, f"{MEMINFO} does not say it") for w, v in missing.items() if v is None],
    )


def parse_meminfo(text: str) -> dict[str, int]:
    """The sizes of ``/proc/meminfo`` in bytes."""
    lines = re.findall(r"^(\w+):\s+(\d+) kB$", text, re.MULTILINE)
    return {name: int(kibibytes) * 1024 for name, kibibytes in lines}


def room_in_groups(machine: Machine) -> list[int]:
    """For each control group with a limit, from this process's own up: what is left of it."""
    own = machine.read_text(OWN_GROUPS)
    if isinstance(own, Unread):
        return []
    paths = group_paths(own)
    rooms = [room_v2(machine, folder) for folder in folders(V2_ROOT, paths.get("v2"))]
    rooms += [room_v1(machine, folder) for folder in folders(V1_ROOT, paths.get("v1"))]
    return [room for room in rooms if room is not None]


def group_paths(text: str) -> dict[str, str]:
    """The process's group in each hierarchy of ``/proc/self/cgroup`` that limits memory."""
    found = {}
    for line in text.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            found["v2"] = path
        elif "memory" in controllers.split(","):
            found["v1"] = path
    return found


def folders(root: str, path: str | None) -> list[str]:
    """The folders of a group and of all above it, down to ``root`` itself.

    In a container the path may be the host's and not exist; then only ``root`` answers.
    """
    if path is None:
        return []
    relative = PurePosixPath(path.lstrip("/"))
    steps = [relative, *relative.parents] if relative.parts else [relative]
    return [str(PurePosixPath(root, step)) for step in steps if ".." not in step.parts]


def room_v2(machine: Machine, folder: str) -> int | None:
    """What a group of version 2 has left; None where it has no limit."""
    limit = number_in(machine, f"{folder}/memory.max")
    if limit is None:
        return None
    return room(machine, folder, limit, f"{folder}/memory.current", "inactive_file")


def room_v1(machine: Machine, folder: str) -> int | None:
    """What a group of version 1 has left; None where it has no limit."""
    limit = number_in(machine, f"{folder}/memory.limit_in_bytes")
    if limit is None or limit >= UNLIMITED:
        return None
    return room(machine, folder, limit, f"{folder}/memory.usage_in_bytes", "total_inactive_file")


def room(machine: Machine, folder: str, limit: int, usage_file: str, cached: str) -> int:
    """The limit less what is used; file pages that can be dropped do not count as used."""
    usage = number_in(machine, usage_file) or 0
    stat = machine.read_text(f"{folder}/memory.stat")
    text = "" if isinstance(stat, Unread) else stat
    match = re.search(rf"^{cached} (\d+)$", text, re.MULTILINE)
    return max(0, limit - max(0, usage - (int(match[1]) if match else 0)))


def number_in(machine: Machine, path: str) -> int | None:
    """The number in a file; None for ``max`` and for anything else."""
    text = machine.read_text(path)
    return int(text) if isinstance(text, str) and text.strip().isdecimal() else None
