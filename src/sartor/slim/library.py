"""One library reduced to GPUs: planned, written beside, inspected again, and then put in place.

`plan_library` is pure and serves whoever has a library's bytes: in a wheel, or on a server. Its
plan's pieces give the new bytes (`sartor.slim.pieces.streamed`). `slim_library` is for a file.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from sartor.artifact.device_code import KIND_ORDER
from sartor.artifact.elf import Elf
from sartor.artifact.fatbin import Container, containers
from sartor.artifact.library import FATBIN, RELOCATABLE, SCATTERED
from sartor.artifact.source import FileSource, Invalid
from sartor.errors import ArtifactUnreadableError, NoSuchTargetError
from sartor.slim.check import fault_of
from sartor.slim.choice import kept_entries
from sartor.slim.headers import NOBITS, NotUnderstood
from sartor.slim.layout import plan_layout
from sartor.slim.model import LeftAlone, SlimmedLibrary, SlimmedUnit, Tally
from sartor.slim.pieces import Copied, Piece, length
from sartor.slim.regions import Region
from sartor.slim.written import beside

if TYPE_CHECKING:
    from pathlib import Path

    from sartor.artifact.fatbin import Entry
    from sartor.artifact.model import ImageKind
    from sartor.artifact.source import Source
    from sartor.slim.choice import Wanted
    from sartor.slim.model import LeftCode


class LibraryPlan(msgspec.Struct, frozen=True):
    """What a library becomes, and the pieces of its new file; those of the old where none are."""

    result: SlimmedLibrary
    pieces: list[Piece]
    region: Region | None = None


def plan_library(source: Source, path: str, wanted: Wanted) -> LibraryPlan:
    """The plan for the library in ``source``, which the result calls ``path``. Raises nothing.

    What is not understood is left alone, whole, and said so in the result.
    """
    result = SlimmedLibrary(
        path=path,
        gpus=list(wanted.targets),
        keep_ptx=wanted.keep_ptx,
        changed=False,
        bytes_before=source.size,
        bytes_after=source.size,
    )
    same = untouched(source)
    try:
        planned = plan_layout(source, wanted)
        result = _with_others(replace(result, **_counted(planned.region, wanted)), source)
    except NotUnderstood as fault:
        return LibraryPlan(left(result, "layout", fault.reason), same)
    except Invalid as fault:
        return LibraryPlan(left(result, "unreadable", fault.reason), same)
    region = planned.region
    if region is None or not region.drops:
        return LibraryPlan(result, same)
    if planned.pieces is None:
        why = "what would go is less than can be cut out of the file"
        return LibraryPlan(left(result, "small", why), same)
    result = replace(result, changed=True, bytes_after=length(planned.pieces))
    return LibraryPlan(result, planned.pieces, region)


def slim_library(path: Path, output: Path | None, wanted: Wanted) -> SlimmedLibrary:
    """Write the library at ``path``, reduced, to ``output``; None: only say what would become.

    Mode and times are kept. What is left alone is copied. Raises `NoSuchTargetError`,
    `ArtifactUnreadableError` where it is no regular file, and what `beside` raises.
    """
    try:
        with FileSource(path) as source:
            plan = plan_library(source, str(path), wanted)
            if output is None:
                return plan.result
            try:
                _write(source, path, output, plan, wanted)
            except _RefusedError as refused:
                whole = LibraryPlan(left(plan.result, "check", str(refused)), untouched(source))
                _write(source, path, output, whole, wanted)
                return whole.result
            return plan.result
    except FileNotFoundError as error:
        raise NoSuchTargetError(f"there is no file `{error.filename}`") from error
    except Invalid as fault:
        raise ArtifactUnreadableError(f"`{path}` cannot be read: {fault.reason}") from fault


class _RefusedError(Exception):
    """The output did not stand up to inspection."""


def _write(source: Source, path: Path, output: Path, plan: LibraryPlan, wanted: Wanted) -> None:
    """Write and inspect; raises `_RefusedError`, and then the output is not there."""
    with beside(path, output, plan.pieces) as name:
        if plan.region is None:
            return
        with FileSource(name) as written:
            fault = fault_of(source, written, plan.pieces, plan.region, wanted)
        if fault is not None:
            raise _RefusedError(fault)


def untouched(source: Source) -> list[Piece]:
    """The pieces of a file that stays as it is."""
    return [Copied(0, source.size)]


def left(result: SlimmedLibrary, code: LeftCode, why: str) -> SlimmedLibrary:
    """The result of a library that is left alone as a whole."""
    whole = LeftAlone(code=code, why=why, bytes=result.device_bytes_before)
    return replace(
        result,
        changed=False,
        bytes_after=result.bytes_before,
        device_bytes_after=result.device_bytes_before,
        units=[],
        images=[
            replace(
                tally,
                kept=tally.kept + tally.dropped,
                kept_bytes=tally.kept_bytes + tally.dropped_bytes,
                dropped=0,
                dropped_bytes=0,
            )
            for tally in result.images
        ],
        left_alone=[whole, *result.left_alone],
    )


def _counted(region: Region | None, wanted: Wanted) -> dict[str, object]:
    """The fields of a result that speak of a region's images."""
    if region is None:
        return {}
    tallies: dict[tuple[ImageKind, str], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    units, least = [], 0
    chosen_alone = replace(wanted, keep_ptx=False)
    special: dict[LeftCode, int] = defaultdict(int)
    for container, kept in zip(region.containers, region.kept, strict=True):
        stays = [entry for i, entry in enumerate(container.entries) if i in kept]
        goes = [entry for i, entry in enumerate(container.entries) if i not in kept]
        chosen = kept_entries(container.entries, chosen_alone)
        least += sum(container.entries[i].stored for i in chosen)
        for entry in stays:
            _add(tallies, entry, 0)
            if entry.image_kind in {"ltoir", "unknown"}:
                special["lto-ir" if entry.image_kind == "ltoir" else "unknown-kind"] += entry.stored
        for entry in goes:
            _add(tallies, entry, 2)
        names = [[entry.architecture for entry in entries] for entries in (stays, goes)]
        units.append(SlimmedUnit(offset=container.offset, kept=names[0], dropped=names[1]))
    images = [
        Tally(
            kind=kind,
            arch=arch,
            kept=sums[0],
            kept_bytes=sums[1],
            dropped=sums[2],
            dropped_bytes=sums[3],
        )
        for (kind, arch), sums in tallies.items()
    ]
    images.sort(key=lambda tally: (KIND_ORDER.index(tally.kind), len(tally.arch), tally.arch))
    after = sum(tally.kept_bytes for tally in images)
    return {
        "device_bytes_before": after + sum(tally.dropped_bytes for tally in images),
        "device_bytes_after": after,
        "device_bytes_least": least,
        "images": images,
        "units": units,
        "left_alone": [
            LeftAlone(code=code, why=SPECIAL[code], bytes=size) for code, size in special.items()
        ],
    }


SPECIAL: dict[LeftCode, str] = {
    "lto-ir": "LTO-IR is for a linker and not for the driver: what it is used for is not known",
    "unknown-kind": "units with an image of an unknown kind: what the driver makes of it is not "
    "known",
}


def _add(tallies: dict[tuple[ImageKind, str], list[int]], entry: Entry, first: int) -> None:
    sums = tallies[entry.image_kind, entry.architecture]
    sums[first] += 1
    sums[first + 1] += entry.stored


def _with_others(result: SlimmedLibrary, source: Source) -> SlimmedLibrary:
    """The result with what the library has of device code in other sections, left alone."""
    found = []
    for section in Elf(source).sections:
        if section.name not in {RELOCATABLE, *SCATTERED} or section.type == NOBITS:
            continue
        if section.offset + section.size > source.size:
            raise NotUnderstood(f"`{section.name}` goes past the end of the file")
        if section.name in SCATTERED:
            why = f"`{section.name}`: the library itself chooses what it loads of it"
            found.append(LeftAlone(code="scattered", why=why, bytes=section.size))
            continue
        held = [
            entry.stored
            for container in containers(source, section.offset, section.size)
            if isinstance(container, Container)
            for entry in container.entries
        ]
        why = f"`{RELOCATABLE}`: the run time links it where the code in `{FATBIN}` does not fit"
        found.append(LeftAlone(code="relocatable", why=why, bytes=sum(held)))
    more = sum(left.bytes for left in found)
    return replace(
        result,
        device_bytes_before=result.device_bytes_before + more,
        device_bytes_after=result.device_bytes_after + more,
        left_alone=[*result.left_alone, *found],
    )
