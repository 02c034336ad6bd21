"""The first grade, *resolves*: what is installed is what its own records and the lock say."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sartor.verify.model import NotChecked
from sartor.verify.resolves.files import Inventory
from sartor.verify.resolves.locked import lock_outcomes
from sartor.verify.resolves.requirements import requirement_outcomes
from sartor.verify.subject.taken import distributions_of, whole_sites

if TYPE_CHECKING:
    from collections.abc import Callable

    from sartor.reporter import Reporter
    from sartor.verify.model import Outcome
    from sartor.verify.subject.model import Subject


def check_resolves(
    subject: Subject, found: Callable[[Outcome], None], reporter: Reporter
) -> dict[str, str]:
    """Every check of this grade; ``found`` is called with each outcome.

    Returns the sha256 of every installed file with machine code, by its path.
    """

    def on_bytes(done: int, total: int) -> None:
        reporter.progress("reading the installed files", done, total, "B")

    began = time.perf_counter()
    distributions = distributions_of(subject)
    inventory = Inventory(distributions, whole_sites(subject), on_bytes)
    if not distributions:
        why = "no package is installed in it"
        found(NotChecked(check="installed packages", grade="resolves", why=why))
    for outcome in inventory.outcomes(subject, distributions):
        found(outcome)
    for outcome in requirement_outcomes(subject, distributions):
        found(outcome)
    if subject.locking is not None:
        for outcome in lock_outcomes(subject, subject.locking, distributions):
            found(outcome)
    reporter.detail(f"resolves took {time.perf_counter() - began:.2f} s")
    return inventory.machine_code(subject.path)
