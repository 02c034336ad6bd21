"""What of a library's device code stays and goes, counted for its result."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from msgspec.structs import replace

from sartor.artifact.device_code import KIND_ORDER
from sartor.artifact.elf import Elf
from sartor.artifact.library import FATBIN, RELOCATABLE, SCATTERED
from sartor.slim.choice import kept_entries, kept_relocatable
from sartor.slim.headers import NOBITS
from sartor.slim.model import LeftAlone, SlimmedLibrary, SlimmedUnit, Tally

if TYPE_CHECKING:
    from sartor.artifact.fatbin import Entry
    from sartor.artifact.model import ImageKind
    from sartor.artifact.source import Source
    from sartor.slim.choice import Wanted
    from sartor.slim.model import LeftCode
    from sartor.slim.regions import Region

WHY: dict[LeftCode, str] = {
    "relocatable": f"`{RELOCATABLE}`: the run time links it where the code in `{FATBIN}` does not "
    "fit, or what stays of it was asked for",
    "lto-ir": "LTO-IR is for a linker and not for the driver: what it is used for is not known",
    "unknown-kind": "an image of a kind that is not known: what the driver makes of it is not "
    "settled",
}


def counted(
    result: SlimmedLibrary, source: Source, regions: list[Region], wanted: Wanted
) -> SlimmedLibrary:
    """The result with all that is counted; raises `Invalid`."""
    tallies: dict[tuple[ImageKind, str], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    units: list[SlimmedUnit] = []
    special: dict[LeftCode, int] = defaultdict(int)
    for region in regions:
        for container, kept in zip(region.containers, region.kept, strict=True):
            names: list[list[str]] = [[], []]
            for i, entry in enumerate(container.entries):
                goes = i not in kept
                names[goes].append(entry.architecture)
                _add(tallies[entry.image_kind, entry.architecture], entry, goes)
                code = None if goes else _special(region, entry)
                if code is not None:
                    special[code] += entry.stored
            units.append(SlimmedUnit(offset=container.offset, kept=names[0], dropped=names[1]))
    images = [
        Tally(kind=kind, arch=arch, kept=n, kept_bytes=size, dropped=gone, dropped_bytes=less)
        for (kind, arch), (n, size, gone, less) in tallies.items()
    ]
    images.sort(key=lambda tally: (KIND_ORDER.index(tally.kind), len(tally.arch), tally.arch))
    scattered = _scattered(source)
    after = sum(tally.kept_bytes for tally in images) + sum(left.bytes for left in scattered)
    return replace(
        result,
        device_bytes_before=after + sum(tally.dropped_bytes for tally in images),
        device_bytes_after=after,
        device_bytes_least=_least(regions, wanted),
        images=images,
        units=units,
        left_alone=[
            *(LeftAlone(code=code, why=WHY[code], bytes=size) for code, size in special.items()),
            *scattered,
        ],
    )


def _add(sums: list[int], entry: Entry, goes: bool) -> None:
    first = 2 if goes else 0
    sums[first] += 1
    sums[first + 1] += entry.stored


def _special(region: Region, entry: Entry) -> LeftCode | None:
    if region.name == RELOCATABLE:
        return "relocatable"
    match entry.image_kind:
        case "ltoir":
            return "lto-ir"
        case "unknown":
            return "unknown-kind"
        case _:
            return None


def _least(regions: list[Region], wanted: Wanted) -> int:
    """What the images take that are chosen for the GPUs, without those for later ones."""
    wanted = replace(wanted, keep_ptx=False)
    linked = [c.entries for region in regions if region.name == FATBIN for c in region.containers]
    total = 0
    for region in regions:
        for container in region.containers:
            entries = container.entries
            chosen = (
                kept_entries(entries, wanted)
                if region.name == FATBIN
                else kept_relocatable(entries, linked, wanted)
            )
            total += sum(entries[i].stored for i in chosen)
    return total


def _scattered(source: Source) -> list[LeftAlone]:
    """The sections in which containers stand among other data, which are left alone."""
    return [
        LeftAlone(
            code="scattered",
            why=f"`{section.name}`: the library itself chooses what it loads of it",
            bytes=section.size,
        )
        for section in Elf(source).sections
        if section.name in SCATTERED and section.type != NOBITS
    ]
