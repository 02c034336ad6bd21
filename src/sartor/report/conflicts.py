"""Conflicts of requirements as people read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sartor.plan.outcome import Conflict, Found


def conflict_lines(found: Found) -> list[str]:
    """Each conflict with its derivation, then whether these are all."""
    lines: list[str] = []
    for number, conflict in enumerate(found.conflicts, 1):
        lines += [f"conflict {number}: {_title(conflict)}"]
        lines += [f"  {sentence}" for sentence in conflict.because]
        lines += [f"  {_checked(conflict)}", ""]
    return [*lines, *_ending(found)]


def _title(conflict: Conflict) -> str:
    said = ", ".join(premise.requirement for premise in conflict.premises)
    return f"{conflict.about}: {said}" if conflict.about else said


def _checked(conflict: Conflict) -> str:
    if conflict.checked_by is None:
        return "Not asked of uv: what the indexes list says so."
    if len(conflict.premises) == 1:
        return "uv says the same, and has a solution without it."
    return "uv says the same, and has a solution without any one of these."


def _ending(found: Found) -> list[str]:
    count = len(found.conflicts)
    if not count:
        told = "no requirements conflict" if found.complete else "no conflict was found"
    elif found.complete:
        told = "this is the only conflict" if count == 1 else f"these {count} conflicts are all"
    else:
        told = "there may be more conflicts"
    return [told, *(f"not looked at: {what}" for what in found.not_looked_at)]
