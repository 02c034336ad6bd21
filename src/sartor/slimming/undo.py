"""Slimming of an environment undone: `sartor slim ENV --undo`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.errors import UsageError
from sartor.slim.environment.in_place import InPlace
from sartor.slim.environment.model import NotUndone, SlimUndone
from sartor.slim.environment.patch import Unfit
from sartor.slimming.environment import environment_at, locked
from sartor.slimming.former import reinstall

if TYPE_CHECKING:
    from pathlib import Path

    from sartor.reporter import Reporter
    from sartor.slim.environment.slimmed import Changed
    from sartor.slimming.environment import Slimmable

CHANGED = "it was changed since: it is neither the slimmed file nor the original"


def undo(path: Path, reporter: Reporter) -> SlimUndone:
    """Bring back every file that slimming changed or removed, with its mode, its time, its lines.

    What an installer wrote since is left as it is. Raises as `slim_environment`, and `UsageError`
    where nothing was slimmed.
    """
    found = environment_at(path)
    with locked(found.root, reporter):
        place = InPlace(found.root)
        if not place.slimmed.files:
            raise UsageError(
                f"nothing was slimmed in `{found.root}`",
                hint="what Sartor slims in place is written down in its folder `sartor-slim`",
            )
        files, restored, replaced = list(reversed(place.slimmed.files)), [], []
        not_undone = []
        for i, one in enumerate(files):
            reporter.progress("bringing files back", i, len(files), "files")
            is_other = place.state(one) == "other"
            if is_other and not place.is_of_package(one):
                place.forget(one)
                replaced.append(one.path)
                continue
            if is_other:
                not_undone.append(_not_undone(found, one, CHANGED))
                continue
            try:
                place.bring_back(one)
            except Unfit as fault:
                not_undone.append(_not_undone(found, one, str(fault)))
            else:
                restored.append(one)
    return SlimUndone(
        environment=str(found.root),
        restored=sorted(one.path for one in restored),
        bytes=sum(one.before.size for one in restored),
        replaced=sorted(replaced),
        not_undone=not_undone,
    )


def _not_undone(found: Slimmable, one: Changed, why: str) -> NotUndone:
    """With the command that installs its package anew."""
    return NotUndone(
        path=one.path,
        project=one.project,
        version=one.version,
        why=why,
        hint=reinstall(found.python, one.project, one.version),
    )
