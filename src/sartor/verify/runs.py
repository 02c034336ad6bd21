"""The grades above *loads*: which programs of checks an environment's packages call for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.verify.child import Program, run
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
    for program in programs(subject, host):
        if program.grade in proving.grades:
            run(program, proving.grades, on_outcome=found)


def programs(subject: Subject, host: Host) -> list[Program]:
    """The programs for what is installed; none of one that no package calls for."""
    return torch_programs(subject, host)
