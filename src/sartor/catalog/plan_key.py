"""All that a plan is made of besides answers, as a key under which the plan is kept.

What a decision cannot tell apart has one key: so free disk and available memory may change a
little. Nothing heavy is imported, and no secret is in it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from sartor.catalog.kept_plans import key, mark
from sartor.index.network import configuration_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sartor.host.model import Host
    from sartor.models.model import Model
    from sartor.plan.model import Request, Stack
    from sartor.plan.planner import Built

STEPS = 64
"""Into so many parts the main memory of this machine is divided; what is available is rounded down
to one of them, for the plan and for its key alike."""
CONFIGURES = ("PIP_", "UV_")
SECRET = re.compile(r"PASSWORD|USERNAME|TOKEN|SECRET|CREDENTIAL")
CREDENTIALS = re.compile(r"(?<=//)[^/\s]*@")


def settled(host: Host) -> Host:
    """The host as it is planned for: of what changes all the time, what makes a difference.

    What was stated of a machine is left as it was stated.
    """
    total, available = host.memory.total_bytes, host.memory.available_bytes
    if host.described or not total or not available:
        return host
    step = max(total // STEPS, 1)
    return replace(host, memory=replace(host.memory, available_bytes=available // step * step))


def plan_key(
    host: Host, request: Request, model: Model | None, built: Mapping[Built, Stack]
) -> str | None:
    """The key of a plan for a `settled` host; None where the request may hold a secret."""
    texts = (*request.indexes, *request.pins, *request.engines)
    if any("@" in text or "?" in text for text in texts):
        return None
    disks = [(d.purpose, d.path, d.writable, _lines_with_room(d.free_bytes)) for d in host.disks]
    there = sorted(msgspec.json.encode([known, stack]) for known, stack in built.items())
    return key(
        replace(host, disks=[]),
        disks,
        request,
        model,
        [one.decode() for one in there],
        list(_configuration(os.environ)),
    )


def _lines_with_room(free_bytes: int) -> int:
    """How many sizes of environments there is room for: more the rule about the disk cannot see."""
    from sartor.engines.facts import engines

    sizes = {line.disk_mb for engine in engines() for line in engine.line}
    return sum(free_bytes >= size * 1e6 for size in sizes)


def _configuration(environ: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    """What the user said to pip and uv: the files' states, and the variables but for secrets.

    A variable may name a file (constraints): its state counts too.
    """
    for path in configuration_files(environ):
        yield str(path), mark(str(path))
    for name in sorted(environ):
        if name.startswith(CONFIGURES) and not SECRET.search(name):
            value = CREDENTIALS.sub("", environ[name])
            words = map(Path, filter(None, re.split(r"[\s,]+", value)))
            yield name, value, *(mark(str(word.absolute())) for word in words if word.is_file())
