"""How a package came into a lock: the requirements that lead to it from what was asked for."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from sartor.verdict.requirements import parse_line, satisfied

if TYPE_CHECKING:
    from sartor.lock.model import Locking


def chains(locking: Locking) -> dict[str, list[str]]:
    """Package → the shortest chain to it: ``["vllm==0.32.0", "torch==2.11.0"]``.

    The first entry is what was asked for. Of a package that nothing leads to it is itself alone.
    """
    by_name = {p.name: p for p in locking.packages}
    found: dict[str, list[str]] = {}
    waiting: deque[tuple[str, list[str]]] = deque((root, []) for root in locking.roots)
    while waiting:
        line, before = waiting.popleft()
        required = parse_line(line)
        if required is None or required.name in found or required.name not in by_name:
            continue
        found[required.name] = [*before, required.text]
        further = by_name[required.name].requires
        waiting.extend((text, found[required.name]) for text in further)
    return {p.name: found.get(p.name, [f"{p.name}=={p.version}"]) for p in locking.packages}


def demands(locking: Locking) -> dict[str, list[tuple[str, str]]]:
    """Package → who asks for it and how: ``("vllm 0.32.0", "torch==2.11.0")``."""
    found: dict[str, list[tuple[str, str]]] = {p.name: [] for p in locking.packages}
    asked = [("what was asked for", line) for line in locking.roots]
    asked += [(f"{p.name} {p.version}", line) for p in locking.packages for line in p.requires]
    for who, line in asked:
        required = parse_line(line)
        if required is not None and required.name in found:
            found[required.name].append((who, required.text))
    return found


def refused_by(wanted: list[tuple[str, str]], version: str) -> list[tuple[str, str]]:
    """Those of the demands that a version does not meet."""
    return [
        (who, text)
        for who, text in wanted
        if (required := parse_line(text)) and satisfied(required, version) is False
    ]
