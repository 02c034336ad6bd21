"""What slimming left out, as it is written down: in a slimmed wheel, or beside an environment.

``sartor.json`` among a distribution's metadata speaks of the wheel that it came in, and
``sartor-slim/slimmed.json`` of files that were slimmed in their place. Both say of each translation
unit that lost something what it held. Only what still is as they say is told by them.
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from sartor.artifact.members import SLIMMED
from sartor.artifact.model import Library, NotRead, SlimmedFrom, Unit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sartor.artifact.environment import RecordAround

WHEEL_RECORD = "sartor.json"
IN_PLACE_FOLDER, IN_PLACE_RECORD = posixpath.split(SLIMMED)
DATA = re.compile(r"[^/]+\.data/(?:platlib|purelib)/")
UNDO = "`sartor slim --undo`"
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class ReducedUnits(msgspec.Struct, frozen=True, kw_only=True):
    """Translation units that held the images ``held`` and hold ``left`` now, as architectures.

    ``units`` are their numbers among the library's containers, by offset from 0, without those
    that stand among other data. ``kernels`` are the mangled names in a unit that was emptied,
    where facts tell the library's units apart by these; None: not written down.
    """

    held: list[str]
    left: list[str]
    units: list[int]
    kernels: list[str] | None = None


class _Source(msgspec.Struct, frozen=True):
    name: str = ""


class _ReducedLibrary(msgspec.Struct, frozen=True):
    path: str
    bytes_after: int
    units: list[ReducedUnits] = []


class _OfWheel(msgspec.Struct, frozen=True):
    gpus: list[str] = []
    source: _Source = _Source()
    libraries: list[_ReducedLibrary] = []


class _Target(msgspec.Struct, frozen=True):
    gpu: str


class _Wanted(msgspec.Struct, frozen=True):
    targets: list[_Target] = []


class _Before(msgspec.Struct, frozen=True):
    size: int


class _Changed(msgspec.Struct, frozen=True):
    path: str
    before: _Before
    size: int | None = None
    wanted: _Wanted | None = None
    kept: str | None = None
    project: str = ""
    version: str = ""
    units: list[ReducedUnits] = []


class _InPlace(msgspec.Struct, frozen=True):
    files: list[_Changed] = []


class Former(msgspec.Struct, frozen=True):
    """What one library was; ``size`` is what it has now, where it still is what is spoken of."""

    size: int
    slimmed: SlimmedFrom
    units: list[ReducedUnits]


def joined(first: Iterable[ReducedUnits], then: Iterable[ReducedUnits]) -> list[ReducedUnits]:
    """What units held before the first of two slimmings, and what is left after the second."""
    found = {number: row for row in first for number in row.units}
    for row in then:
        for number in row.units:
            was = found.get(number)
            if was is None:
                found[number] = row
            else:
                kernels = row.kernels if was.kernels is None else was.kernels
                found[number] = replace(was, left=row.left, kernels=kernels)
    return in_rows(
        (number, row.held, row.left, row.kernels) for number, row in sorted(found.items())
    )


def in_rows(
    units: Iterable[tuple[int, list[str], list[str], list[str] | None]],
) -> list[ReducedUnits]:
    """A row for all units alike; each is its number, what it held, what is left, and kernels.

    So they are the same after two slimmings as after one to the fewer GPUs.
    """
    rows: dict[tuple[object, ...], ReducedUnits] = {}
    for number, unordered, remaining, kernels in units:
        held, left = sorted(unordered), sorted(remaining)
        key = (*held, "", *left, "", kernels is None, *(kernels or ()))
        if key not in rows:
            rows[key] = ReducedUnits(held=held, left=left, units=[], kernels=kernels)
        rows[key].units.append(number)
    return list(rows.values())


def formers(
    texts: Mapping[str, Mapping[str, bytes]], around: RecordAround | None = None
) -> tuple[dict[str, Former], list[NotRead]]:
    """What is written down of libraries, by their paths in the target; ``texts`` by folder.

    ``around`` is of the environment that the target lies in.
    """
    found: dict[str, Former] = {}
    faults: list[NotRead] = []
    for folder, own in sorted(texts.items(), key=lambda one: is_record_folder(one[0])):
        try:
            if is_record_folder(folder) and IN_PLACE_RECORD in own:
                _of_environment(posixpath.dirname(folder), own[IN_PLACE_RECORD], found)
            elif WHEEL_RECORD in own:
                _of_wheel(posixpath.dirname(folder), own[WHEEL_RECORD], found)
        except UNREADABLE as error:
            faults.append(_unreadable(folder, error))
    if around is not None:
        try:
            _of_environment("", around.data, found, around.inside)
        except UNREADABLE as error:
            faults.append(_unreadable(around.folder, error))
    return found, faults


def _unreadable(folder: str, error: Exception) -> NotRead:
    return NotRead(folder, f"what was slimmed cannot be read: {error}")


def is_record_folder(folder: str) -> bool:
    """Whether a folder is the one in which an environment's slimming is written down."""
    return posixpath.basename(folder) == IN_PLACE_FOLDER


def _of_wheel(root: str, data: bytes, found: dict[str, Former]) -> None:
    told = msgspec.json.decode(data, type=_OfWheel)
    slimmed = SlimmedFrom(gpus=told.gpus, original=f"`{told.source.name}`")
    for one in told.libraries:
        former = Former(one.bytes_after, slimmed, one.units)
        for path in {one.path, DATA.sub("", one.path, count=1)}:
            found[posixpath.join(root, path)] = former


def _of_environment(root: str, data: bytes, found: dict[str, Former], inside: str = "") -> None:
    """Files of an environment; one that came out of a slimmed wheel was slimmed twice.

    ``inside``: those in this folder alone, by their paths below it.
    """
    prefix = f"{inside}/" if inside else ""
    for one in msgspec.json.decode(data, type=_InPlace).files:
        if one.size is None or one.wanted is None or not one.path.startswith(prefix):
            continue
        path = posixpath.join(root, one.path.removeprefix(prefix))
        gpus, units = [target.gpu for target in one.wanted.targets], one.units
        before, anew = found.get(path), f"install `{one.project}=={one.version}` anew"
        original = UNDO if one.kept is not None else anew
        if before is not None and before.size == one.before.size:
            units, original = joined(before.units, units), before.slimmed.original
        found[path] = Former(one.size, SlimmedFrom(gpus=gpus, original=original), units)


def as_it_was(library: Library, former: Former | None) -> Library:
    """The library with what its units held, as far as that is of this very file."""
    if former is None or former.size != library.size or library.kind != "elf":
        return library
    own = [unit for unit in library.units if not unit.scattered]
    others = [unit for unit in library.units if unit.scattered]
    named = all(unit.offset is not None and unit.count == 1 for unit in own)
    units = _by_number(library, own, former) if named else _by_images(library, own, former)
    return replace(library, units=[*units, *others], slimmed=former.slimmed)


def _by_number(library: Library, units: list[Unit], former: Former) -> list[Unit]:
    rows = {number: row for row in former.units for number in row.units}
    ordered = sorted(units, key=lambda unit: unit.offset or 0)
    found = []
    for number, unit in enumerate(ordered):
        row = rows.get(number)
        if row is None or sorted(row.left) != _archs(library, unit):
            found.append(unit)
            continue
        kernels = unit.kernels
        if not unit.images and row.kernels is not None:
            kernels = {name: [] for name in row.kernels}
        found.append(replace(unit, held=row.held, kernels=kernels))
    return found


def _by_images(library: Library, units: list[Unit], former: Former) -> list[Unit]:
    """Units that stand for several are parted by what they held; their bytes are shared out."""
    rows: dict[tuple[str, ...], list[tuple[list[str], int]]] = defaultdict(list)
    for row in former.units:
        rows[tuple(sorted(row.left))].append((row.held, len(row.units)))
    found = []
    for unit in units:
        left, waiting = unit.count, rows[tuple(_archs(library, unit))]
        while left and waiting:
            held, count = waiting.pop()
            if count > left:
                waiting.append((held, count - left))
            part = min(count, left)
            found.append(replace(_share(unit, part), held=held))
            left -= part
        if left:
            found.append(_share(unit, left))
    return found


def _share(unit: Unit, count: int) -> Unit:
    return replace(unit, count=count, bytes=unit.bytes * count // unit.count)


def _archs(library: Library, unit: Unit) -> list[str]:
    return sorted(library.images[index].arch for index in unit.images)
