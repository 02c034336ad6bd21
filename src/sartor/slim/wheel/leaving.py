"""What of a wheel is left out because nobody can use it, where that was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from packaging.utils import parse_wheel_filename

from sartor.errors import NotSlimmableError
from sartor.index.wheels import python_fits
from sartor.slim.model import UnusedFiles
from sartor.slim.needed import settled
from sartor.slim.unused import Where, summed, systems_of, unused
from sartor.slim.wheel.contents import unread
from sartor.slim.wheel.name import Removal, parse_name
from sartor.slim.wheel.provenance import RemovedFile

if TYPE_CHECKING:
    from sartor.slim.unused import Unused
    from sartor.slim.wheel.contents import Contents


class Leaving(msgspec.Struct, frozen=True):
    """``rows`` say what is of no use, or to some alone; ``gone`` is what is left out, by path."""

    rows: list[UnusedFiles]
    gone: dict[str, RemovedFile]


def removal_of(contents: Contents, python: str | None, *, removing: bool) -> Removal | None:
    """What is asked to be left out, now and before; None: nothing."""
    before = contents.before
    if before is None or not before.remove_unused:
        return Removal(python) if removing else None
    return Removal(before.python or (python if removing else None))


def check_python(contents: Contents, name: str, python: str | None) -> None:
    """Raise `NotSlimmableError` where the wheel is not for a Python, or is for it no more."""
    if python is None:
        return
    tags = parse_wheel_filename(name)[3]
    if not python_fits(tags, python):
        own = ", ".join(sorted({f"{tag.interpreter}-{tag.abi}" for tag in tags}))
        raise NotSlimmableError(
            f"`{name}` is for {own}, and not for Python {python}",
            hint="name another `--python`, or the wheel that is for it",
        )
    before = contents.before
    if before is not None and before.python not in {None, python}:
        raise NotSlimmableError(
            f"`{name}` was slimmed before, to Python {before.python}: what {python} would load "
            "is gone",
            hint=f"slim its source: `{before.source.name}`, sha256 {before.source.sha256}",
        )


def leaving(contents: Contents, name: str, python: str | None, removal: Removal | None) -> Leaving:
    """What is of no use of a wheel, and what goes; ``python`` is the one that was asked for.

    Raises `Invalid` where a file that must be read is not whole.
    """
    tags = parse_wheel_filename(name)[3]
    meant = python if removal is None else removal.python
    where = Where(meant, tags, systems_of(tags))
    members = {entry.member.name: entry.member for entry in contents.entries}
    files = {path: one for path, one in members.items() if one.size and unread(one) is None}
    sizes = [(path, one.size) for path, one in files.items()]
    project = parse_name(name).distribution
    found = unused(sizes, where, project)
    found = settled(found, files, lambda path: contents.plain(files[path]))
    may = [one for one in found if one.removable and removal is not None]
    gone = {one.path: _removed(one, contents) for one in may}
    packed = {path: one.compressed for path, one in files.items()}
    return Leaving(summed(project, found, gone, packed), gone)


def _removed(one: Unused, contents: Contents) -> RemovedFile:
    """What is said of a file, with the size that it had in the first source."""
    libraries = contents.before.libraries if contents.before is not None else []
    size = next((was.bytes_before for was in libraries if was.path == one.path), one.size)
    return RemovedFile(path=one.path, kind=one.kind, size=size)
