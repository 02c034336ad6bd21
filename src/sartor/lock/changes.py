"""What has changed since a lock was made, and whether it still holds. A pure function."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.lock.changes_host import host_changes
from sartor.lock.changes_packages import evidence_changes, package_changes
from sartor.lock.model import LockChange, LockChanges, NotChecked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sartor.lock.model import Consequence, Locking, Now, SystemPackage

HOLDS: Consequence = "still holds"
AGAIN: Consequence = "must be planned again"


def changes(locked: Locking, now: Now) -> LockChanges:
    """Everything that is not as it was, in groups, each with what follows from it.

    What was not asked is no change: it is in ``not_checked``.
    """
    found, unknown = host_changes(locked.host, now.host)
    for more, why in (
        package_changes(locked, now),
        evidence_changes(locked, now),
        _facts(locked.facts, now.facts),
        _system(locked.system, now.system),
        _environment(locked.env, now.env),
    ):
        found += more
        unknown += why
    gravest = AGAIN if any(c.consequence == AGAIN for c in found) else HOLDS
    return LockChanges(gravest, found, unknown)


def _facts(
    was: Mapping[str, str], now: Mapping[str, str] | None
) -> tuple[list[LockChange], list[NotChecked]]:
    if now is None:
        return [], [NotChecked("facts", "they were not compared")] if was else []
    changed = [name for name in was if now.get(name) != was[name]]
    return [
        LockChange(
            group="facts",
            what=name,
            was=was[name][:12],
            now=now[name][:12] if name in now else None,
            consequence=AGAIN,
            because="a rule went by what was said here, and it says something else now"
            if name in now
            else "a rule went by what was said here, and it is gone",
        )
        for name in changed
    ], []


def _system(
    was: list[SystemPackage], now: list[SystemPackage] | None
) -> tuple[list[LockChange], list[NotChecked]]:
    if now is None:
        return [], [NotChecked("system packages", "they were not looked for")] if was else []
    states = {row.soname: row.state for row in now}
    found, unknown = [], []
    for row in was:
        state = states.get(row.soname, "not checked")
        if state == "not checked":
            unknown.append(NotChecked(row.soname, "it was not looked for"))
        elif state != row.state:
            lost = state == "missing"
            needs = f"{', '.join(row.needed_by) or 'the stack'} needs it"
            found.append(
                LockChange(
                    group="system",
                    what=row.soname,
                    was=row.state,
                    now=state,
                    consequence=AGAIN if lost else HOLDS,
                    because=needs if lost else f"{needs}, and it is there",
                )
            )
    return found, unknown


def _environment(
    was: Mapping[str, str], now: Mapping[str, str] | None
) -> tuple[list[LockChange], list[NotChecked]]:
    if now is None:
        return [], [NotChecked("environment variables", "they were not compared")] if was else []
    return [
        LockChange(
            group="environment",
            what=name,
            was=was.get(name),
            now=now.get(name),
            consequence=AGAIN,
            because="the rules set it otherwise now",
        )
        for name in sorted(was.keys() | now.keys())
        if was.get(name) != now.get(name)
    ], []
