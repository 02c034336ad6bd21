"""For which machines wheels are chosen: a host's processor and C library, with each Python."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sartor.host.names import gpu_fact
from sartor.plan.known import Machine

if TYPE_CHECKING:
    from sartor.engines.facts import EngineFacts
    from sartor.host.model import Host, Tool
    from sartor.plan.model import Request

NUMBERS = re.compile(r"\d{1,3}\.\d{1,3}(?!\d)", re.ASCII)
USUAL = "x86_64"
"""What stands beside a GPU of which the facts say nothing else, where nobody said it."""


def machines(host: Host, request: Request, engine: EngineFacts) -> list[Machine]:
    """One for each Python that may be taken, the host's in their order.

    Where the host's Pythons are not known, the one that was asked for or the engine's usual one.
    None at all where the host has Pythons and none is what was asked for.
    """
    versions = known_pythons(host)
    if versions:
        wanted = [v for v in versions if is_asked(v, request.python)]
    else:
        wanted = [request.python or engine.usual_python]
    found = (Machine(architecture(host), glibc(host), two_numbers(v)) for v in wanted)
    return list(dict.fromkeys(found))


def known_pythons(host: Host) -> list[str]:
    """The versions of the host's interpreters; what is no version is not known."""
    return [tool.version for tool in host.pythons if tool.version and NUMBERS.match(tool.version)]


def glibc(host: Host) -> str | None:
    """The host's glibc as ``2.39``; None where it is not known, or it is no version."""
    found = NUMBERS.match(host.glibc or "")
    return found[0] if found else None


def architecture(host: Host) -> str:
    """The processor's; where it is not known, that beside which the GPU stands as a rule."""
    facts = (gpu_fact(gpu.name) for gpu in host.gpus)
    stated = next((fact.host_architecture for fact in facts if fact), None)
    return host.architecture or stated or USUAL


def is_asked(version: str, asked: str | None) -> bool:
    """Whether ``3.12.4`` is what ``3.12`` (None: anything) asks for."""
    return asked is None or f"{version}.".startswith(f"{asked}.")


def two_numbers(version: str) -> str:
    """``3.12.4`` → ``3.12``."""
    return ".".join(version.split(".")[:2])


def interpreter(host: Host, request: Request, machine: Machine) -> Tool | None:
    """The host's interpreter of the machine's version; None where none is known."""
    for tool in host.pythons:
        known = tool.version is not None and is_asked(tool.version, request.python)
        if known and two_numbers(str(tool.version)) == machine.python:
            return tool
    return None
