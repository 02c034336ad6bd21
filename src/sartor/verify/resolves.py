"""The first grade, *resolves*: what is installed is what its own records and the lock say."""

from __future__ import annotations

import re
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sartor.errors import SartorError
from sartor.index.uv import run_uv
from sartor.reporter import Silent
from sartor.verify.model import Failed, Outcome, Passed

if TYPE_CHECKING:
    from collections.abc import Callable

    from sartor.verify.subject import Subject


def check_resolves(subject: Subject, found: Callable[[Outcome], None]) -> None:
    """Every check of this grade; ``found`` is called with each outcome."""
    found(_requirements(subject))


def _requirements(subject: Subject) -> Outcome:
    """Every installed package's own requirements are met, but for those left out on purpose."""
    check, began = "installed packages meet each other's requirements", time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        arguments = ["pip", "check", "--python", str(subject.python)]
        try:
            run_uv(arguments, log, Silent(), what="checking the installed packages")
        except SartorError as error:
            unmet = _unmet(error.found, subject.left_out)
            if unmet:
                return Failed(check=check, grade="resolves", detail="\n".join(unmet))
    return Passed(
        check=check,
        grade="resolves",
        detail=f"{len(subject.packages)} packages",
        seconds=round(time.perf_counter() - began, 3),
    )


def _unmet(said: list[str], left_out: list[str]) -> list[str]:
    """What uv complains of, without the packages that were left out; all of it where it is odd."""
    lines = [line for line in said if "require" in line or "not installed" in line]
    unmet = [x for x in lines if not any(re.search(rf"`{n}[^\w-]", x) for n in left_out)]
    return unmet if lines else said
