"""The grades above *loads*: which programs of checks an environment's packages call for."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from sartor.verify.child import Program, run
from sartor.verify.engines import engine_programs, without_checks
from sartor.verify.torch import torch_programs

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
        for program in programs(subject, host, Path(folder)):
            if program.grade in proving.grades:
                run(program, proving.grades, on_outcome=found)
    for outcome in without_checks(subject):
        if outcome.grade in proving.grades:
            found(outcome)


def programs(subject: Subject, host: Host, folder: Path) -> list[Program]:
    """The programs for what is installed; none of one that no package calls for.

    What they write goes below ``folder``.
    """
    return [*torch_programs(subject, host), *engine_programs(subject, host, folder)]
