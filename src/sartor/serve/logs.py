"""Finding and reading the logs of stages and servers."""

from __future__ import annotations

import os
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from sartor.errors import NoSuchRunError
from sartor.serve.runs import find, states

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sartor.paths import Places


def find_log(places: Places, name: str | None, stage: str) -> Path:
    """The log of a run's server, or the newest log of a stage; ended servers' logs are kept.

    Raises `NoSuchRunError` where there is none.
    """
    known = {state.id for state in states(places)}
    if stage == "serve" and (name is not None or len(known) == 1):
        kept = places.logs / f"serve-{name}.log"
        return kept if kept.exists() else Path(find(places, name)[-1].log)
    if stage in {"build", "verify"} and name is not None:
        return places.logs / f"{stage}-{Path(find(places, name)[-1].environment).name}.log"
    logs = sorted(places.logs.glob(f"{stage}-*.log"), key=lambda p: p.stat().st_mtime)
    if not logs:
        raise NoSuchRunError(f"there is no `{stage}` log yet", hint="`sartor up` writes them")
    return logs[-1]


def tail(path: Path, count: int) -> list[str]:
    """The last ``count`` lines; raises `NoSuchRunError` where the log was removed."""
    try:
        file = path.open(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        raise NoSuchRunError(f"the log `{path}` is not there any more") from None
    with file:
        return [line.rstrip("\n") for line in deque(file, maxlen=max(count, 0))]


def follow(path: Path) -> Iterator[str]:
    """New lines as they come, until the caller stops or the file is removed."""
    with path.open(encoding="utf-8", errors="replace") as file:
        file.seek(0, os.SEEK_END)
        rest = ""
        while path.exists():
            rest += file.read()
            *lines, rest = rest.split("\n")
            yield from lines
            time.sleep(0.2)
