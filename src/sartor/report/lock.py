"""What `sartor lock` and `sartor plan --locked` say to people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.report.table import table
from sartor.report.words import clean, few, wrapped

if TYPE_CHECKING:
    from sartor.lock.model import LockChange, LockChanges, LockDocument

WIDTH = 98
GROUPS = {
    "host": "this machine",
    "package": "packages",
    "evidence": "what was read of them",
    "facts": "facts",
    "system": "system libraries",
    "environment": "environment variables",
}


def lock_lines(document: LockDocument) -> list[str]:
    """Each file and its state, and what to know of it."""
    count = f"{document.packages} package{'' if document.packages == 1 else 's'}"
    lines = [f"{clean(document.engine)} {clean(document.version)}, {count}"]
    lines += table([[f"  {row.state}", clean(row.path)] for row in document.files])
    for row in document.files:
        for note in row.notes:
            lines += wrapped("  note: ", note, WIDTH)
    return lines


def changes_lines(document: LockChanges) -> list[str]:
    """The verdict, then what has changed, what must not have first, then what is not known."""
    lines = [f"the lock {document.consequence}"]
    alarms = [c for c in document.changes if c.alarm]
    if alarms:
        lines += ["", "!! this must not happen"]
        lines += [line for change in alarms for line in _change_lines(change)]
    for group, title in GROUPS.items():
        changes = [c for c in document.changes if c.group == group and not c.alarm]
        if changes:
            lines += ["", title]
            lines += [line for change in changes for line in _change_lines(change)]
    if not document.changes:
        lines.append("nothing that was looked at has changed")
    by_why: dict[str, list[str]] = {}
    for unknown in document.not_checked:
        by_why.setdefault(unknown.why, []).append(clean(unknown.what))
    if by_why:
        lines += ["", "not checked"]
    for why, what in by_why.items():
        lines += wrapped("  ", f"{few(what, 6)}: {why}", WIDTH, hang=4)
    return lines


def _change_lines(change: LockChange) -> list[str]:
    was = "nothing" if change.was is None else change.was
    now = "nothing" if change.now is None else change.now
    head = wrapped("  ", f"{change.what}: {was} -> {now}", WIDTH, hang=4)
    return [*head, *wrapped("    ", f"{change.consequence}: {change.because}", WIDTH)]
