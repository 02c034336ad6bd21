"""Every shared library is opened in a fresh process, all of its symbols bound at once."""

from __future__ import annotations

import ctypes
import importlib
import os
from functools import partial
from typing import Any, List, Tuple  # noqa: UP035

from sartor_checks import Check, NotMade, Result, Settings
from sartor_checks.pool import Job, Make, Pool, usable_cores

WAIT_SECONDS = 30.0


def checks(settings: Settings) -> List[Check]:  # noqa: UP006
    """``libraries``: rows of check, path, package, and what is opened first: the files of
    modules ``visible``, and paths ``before``. ``modules`` are imported once before the fork.

    Each library has ``seconds``. Where a module cannot be imported no library is opened.
    """
    seconds = float(settings["seconds"])
    rows = settings["libraries"]
    refused = imported(settings["modules"])
    jobs = [
        Job((row["path"],), [row["visible"], row["before"], row["path"]], seconds) for row in rows
    ]
    pool = Pool(jobs, opener, lambda _: usable_cores(), fresh=True)
    return [
        Check(
            row["check"],
            "loads",
            partial(opened, pool, row["path"], refused),
            2 * seconds + WAIT_SECONDS,
            row["package"],
        )
        for row in rows
    ]


def imported(modules: List[str]) -> str:  # noqa: UP006
    """Import modules; why that failed, or nothing."""
    for name in modules:
        try:
            importlib.import_module(name)
        except BaseException as error:
            words = str(error).strip().splitlines() or [type(error).__name__]
            return f"`import {name}`, which opens what it needs, fails: {words[-1]}"
    return ""


def opener() -> Tuple[Make, Any]:  # noqa: UP006
    """What a worker does with a library: open it after those that it needs before."""

    def make(what: Any) -> Tuple[Any, bool]:  # noqa: UP006
        visible, before, path = what
        try:
            for first in [*(file_of(name) for name in visible), *before]:
                ctypes.CDLL(first, mode=os.RTLD_NOW | os.RTLD_GLOBAL)
            ctypes.CDLL(path, mode=os.RTLD_NOW)
        except OSError as error:
            return str(error), True
        return None, True

    return make, None


def file_of(name: str) -> str:
    """The file of a module, which is imported where it is not."""
    return str(importlib.import_module(name).__file__)


def opened(pool: Pool, path: str, refused: str) -> Result:
    """The result for one library, in the loader's own words where it does not open."""
    if refused:
        raise NotMade(refused)
    done = pool.result((path,))
    if done.refused is not None:
        raise NotMade(done.refused)
    said = done.value or done.raised
    if said is None and done.died is None:
        return Result(True, "")
    return Result(False, "\n".join(filter(None, [done.words, said, done.died])))
