"""What Sartor slimmed in an environment: its files are not those of the wheel, and in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sartor.errors import UndoRecordError
from sartor.slim.environment.slimmed import slimmed_in
from sartor.slim.wheel.provenance import FILE, SlimmedWheel

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sartor.slim.environment.slimmed import Changed
    from sartor.verify.subject.installed import Distribution
    from sartor.verify.subject.model import Subject


def slimmed_wheel(dist: Distribution) -> SlimmedWheel | None:
    """What a distribution's wheel says of its own slimming; None: it was not slimmed."""
    return _told(dist.info / FILE)


def _told(path: Path) -> SlimmedWheel | None:
    try:
        data = path.read_bytes()
        return msgspec.json.decode(data, type=SlimmedWheel)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def words_of(wheel: SlimmedWheel) -> str:
    """``slimmed to sm_90 from torch-2.11.0-….whl``."""
    gone = f", {count_of_files(len(wheel.removed))} of no use left out" if wheel.removed else ""
    gpus = ", ".join(wheel.gpus)
    return f"slimmed to {gpus} from {wheel.source.name}{gone}, by Sartor {wheel.sartor}"


def slimming_of(subject: Subject, dist: Distribution) -> str | None:
    """How a distribution was slimmed since it was installed; None where it was not.

    What an installer wrote since does not count: the RECORD must have the slimmed files.
    """
    wheel = slimmed_wheel(dist)
    here = _slimmed_here(subject, dist)
    told = [words_of(wheel)] if wheel is not None else []
    return "; ".join([*told, *here]) or None


def _slimmed_here(subject: Subject, dist: Distribution) -> list[str]:
    root = subject.path.resolve()
    try:
        found = slimmed_in(root)
    except UndoRecordError as error:
        return [error.message]
    if found is None or dist.record is None:
        return []
    own = [one for one in found.files if _stands(one, dist, root)]
    slimmed = [one for one in own if one.change == "slimmed"]
    parts = [
        f"{count_of_files(sum(one.gpus == gpus for one in slimmed))} slimmed to {gpus}"
        for gpus in dict.fromkeys(one.gpus for one in slimmed)
    ]
    removed = len(own) - len(slimmed)
    parts += [f"{count_of_files(removed)} of no use removed"] if removed else []
    return [f"{', '.join(parts)}, by Sartor {found.sartor}"] if parts else []


def slimmed_files(subject: Subject, files: Mapping[str, str]) -> dict[str, str]:
    """The GPUs that files were slimmed to, in their wheel or in their place (``sm_90, sm_120``).

    ``files`` are sha256 by paths below the environment: what an installer wrote since is not one.
    """
    root, found = subject.path.resolve(), {}
    for site in subject.site:
        for told in site.glob(f"*.dist-info/{FILE}"):
            wheel = _told(told)
            for one in wheel.libraries if wheel is not None else []:
                place = site.resolve() / one.path
                if wheel is not None and place.is_relative_to(root):
                    found[place.relative_to(root).as_posix()] = ", ".join(wheel.gpus)
    try:
        record = slimmed_in(root)
    except UndoRecordError:
        record = None
    for changed in record.files if record is not None else []:
        if changed.gpus and files.get(changed.path) == changed.sha256:
            found[changed.path] = changed.gpus
    return {path: found[path] for path in files if path in found}


def unfinished(subject: Subject) -> dict[str, Changed]:
    """The files that were changed, by their absolute paths: for where no RECORD says so yet."""
    root = subject.path.resolve()
    try:
        found = slimmed_in(root)
    except UndoRecordError:
        return {}
    return {str(root / one.path): one for one in found.files} if found else {}


def finishing(subject: Subject) -> str:
    """The way out where slimming ended between a file and its RECORD."""
    return (
        f"slimming was interrupted: `sartor slim {subject.path} --undo` takes it back, and the "
        "command that was interrupted goes on with it"
    )


def _stands(one: Changed, dist: Distribution, root: Path) -> bool:
    record = dist.info.resolve() / "RECORD"
    lines = (dist.record or b"").splitlines(keepends=True)
    for row in one.rows:
        if root / row.record == record:
            gone = row.before.encode() not in lines
            return row.now.encode() in lines if row.now else gone
    return False


def count_of_files(number: int) -> str:
    """``1 file``, ``12 files``."""
    return "1 file" if number == 1 else f"{number} files"
