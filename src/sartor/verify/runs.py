"""The grades above *loads*: which programs of checks an environment's packages call for."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from sartor.verify.child import Program, run
from sartor.verify.engines import engine_programs, without_checks

if TYPE_CHECKING:
    from collections.abc import Callable

    from sartor.host.model import Host
    from sartor.verify.model import Outcome
    from sartor.verify.proof import Proving
    from sartor.verify.subject import Subject


def check_runs(
    subject: Subject, host: Host, proving: Proving, found: Callable[[Outcome], None]
) -> None:
    """Every check of *launches* and *golden*; ``found`` is called with each outcome."""
    with tempfile.TemporaryDirectory(prefix="sartor-verify-") as folder:
        own = engine_programs(subject, host, Path(folder))
        for program in [*programs(subject, host), *own]:
            run(program, proving.grades, on_outcome=found)
    for outcome in without_checks(subject):
        if outcome.grade in proving.grades:
            found(outcome)


def programs(_subject: Subject, _host: Host) -> list[Program]:
    """The programs for what is installed; none of one that no package calls for."""
    return []
