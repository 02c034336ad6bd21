"""What of a library's device code stays and goes, counted for its result."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Literal

from msgspec.structs import replace

from sartor.artifact.device_code import KIND_ORDER, kernels_in
from sartor.artifact.elf import Elf
from sartor.artifact.fatbin import Container, containers
from sartor.artifact.library import FATBIN, RELOCATABLE, SCATTERED, parts_of
from sartor.artifact.slimmed import in_rows
from sartor.artifact.source import Invalid
from sartor.slim.choice import kept_entries, kept_relocatable
from sartor.slim.library.headers import NOBITS
from sartor.slim.library.model import LeftAlone, SlimmedLibrary, SlimmedUnit, Tally
from sartor.slim.library.regions import Region, with_all
from sartor.verdict.dispatch import wants_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sartor.artifact.device_code import Part
    from sartor.artifact.fatbin import Entry
    from sartor.artifact.model import ImageKind
    from sartor.artifact.slimmed import ReducedUnits
    from sartor.artifact.source import Source
    from sartor.slim.choice import Wanted
    from sartor.slim.library.model import LeftCode

State = Literal["kept", "dropped", "compressed", "new"]
WHY: dict[LeftCode, str] = {
    "relocatable": "code that CUDA links when the program runs, where what was linked before "
    f"does not fit the GPU (`{RELOCATABLE}`); it stays whole, or as far as it was asked for",
    "lto-ir": "LTO-IR is for a linker and not for the driver: what it is used for is not known",
    "unknown-kind": "an image of a kind that is not known: what the driver makes of it is not "
    "settled",
}


def counted(
    result: SlimmedLibrary, source: Source, regions: list[Region], wanted: Wanted
) -> SlimmedLibrary:
    """The result with all that is counted; raises `Invalid`."""
    tallies: dict[tuple[ImageKind, str], Counter[str]] = defaultdict(Counter)
    units: list[SlimmedUnit] = []
    special: dict[LeftCode, int] = defaultdict(int)
    for region in regions:
        for i, container in enumerate(region.containers):
            units.append(_unit(source, result.path, region, i))
            for entry, state, size in _states(region, i):
                _add(tallies[entry.image_kind, entry.architecture], entry, state, size)
            for at in region.kept[i]:
                code = _special(region, container.entries[at])
                if code is not None:
                    special[code] += container.entries[at].stored
    images = [Tally(kind=kind, arch=arch, **sums) for (kind, arch), sums in tallies.items()]
    images.sort(key=lambda tally: (KIND_ORDER.index(tally.kind), len(tally.arch), tally.arch))
    scattered = _scattered(source)
    elsewhere = sum(left.bytes for left in scattered)
    return replace(
        result,
        device_bytes_before=elsewhere
        + sum(t.kept_bytes + t.saved_bytes + t.dropped_bytes for t in images),
        device_bytes_after=elsewhere + sum(t.kept_bytes + t.new_bytes for t in images),
        device_bytes_least=_least(regions, wanted),
        nothing_for=[] if scattered else _nothing_for(regions, wanted),
        images=images,
        units=units,
        left_alone=[
            *(LeftAlone(code=code, why=WHY[code], bytes=size) for code, size in special.items()),
            *scattered,
        ],
    )


def _unit(source: Source, path: str, region: Region, number: int) -> SlimmedUnit:
    names: dict[str, list[str]] = {"kept": [], "dropped": [], "new": []}
    for entry, state, _ in _states(region, number):
        names["kept" if state == "compressed" else state].append(entry.architecture)
    container = region.containers[number]
    is_emptied = names["dropped"] and not names["kept"] and not names["new"]
    return SlimmedUnit(
        offset=container.offset,
        kept=names["kept"],
        dropped=names["dropped"],
        new=names["new"],
        kernels=kernels_in(source, path, container) if is_emptied and wants_names(path) else None,
    )


def reduced_units(library: SlimmedLibrary) -> list[ReducedUnits]:
    """What the units that lost something, or got something new, held, and what is left of it."""
    return in_rows(
        (number, [*unit.kept, *unit.dropped], [*unit.kept, *unit.new], unit.kernels)
        for number, unit in enumerate(sorted(library.units, key=lambda unit: unit.offset))
        if unit.dropped or unit.new
    )


def left_whole(result: SlimmedLibrary, source: Source, wanted: Wanted) -> SlimmedLibrary:
    """The result with all that can be read of a library's device code, none of which goes."""
    try:
        parts, _ = parts_of(source, result.path, Elf(source))
        regions = [_whole(source, part) for part in parts if not part.scattered]
        return counted(result, source, regions, wanted)
    except Invalid:
        return result


def _whole(source: Source, part: Part) -> Region:
    """A section as it stands, without what of it cannot be read."""
    found = containers(source, part.start, part.size)
    held = [one for one in found if isinstance(one, Container)]
    region = Region(
        name=RELOCATABLE if part.relocatable else FATBIN,
        index=0,
        start=part.start,
        end=part.start + part.size,
        address=0,
        alignment=1,
        containers=held,
        kept=[],
    )
    return with_all(region)


def _states(region: Region, number: int) -> Iterator[tuple[Entry, State, int]]:
    """What becomes of each image: itself, what is done with it, and what it takes then."""
    fresh = {one.place: one for one in region.fresh[number] if one.was == "compressed"}
    for at, entry in enumerate(region.containers[number].entries):
        if at in fresh:
            yield entry, "compressed", fresh[at].entry.stored
        else:
            yield entry, "kept" if at in region.kept[number] else "dropped", entry.stored
    for one in region.fresh[number]:
        if one.was == "compiled":
            yield one.entry, "new", one.entry.stored


def _add(sums: Counter[str], entry: Entry, state: State, size: int) -> None:
    if state == "compressed":
        sums.update(compressed=1, saved_bytes=entry.stored - size)
    held = "kept" if state == "compressed" else state
    sums.update({held: 1, f"{held}_bytes": size})


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
    held = [(r.name, [r.entries_of(i) for i in range(len(r.containers))]) for r in regions]
    linked = [entries for name, units in held if name == FATBIN for entries in units]
    total = 0
    for name, units in held:
        for entries in units:
            chosen = (
                kept_entries(entries, wanted)
                if name == FATBIN
                else kept_relocatable(entries, linked, wanted)
            )
            total += sum(entries[i].stored for i in chosen)
    return total


def _nothing_for(regions: list[Region], wanted: Wanted) -> list[str]:
    """The GPUs for which no unit has an image; what is of a kind not known may be for any."""
    units = [held.entries for region in regions for held in region.containers if held.entries]
    targets = wanted.targets if units else ()
    alone = {target.gpu: replace(wanted, targets=(target,), keep_ptx=False) for target in targets}
    return [gpu for gpu, own in alone.items() if not any(kept_entries(unit, own) for unit in units)]


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
