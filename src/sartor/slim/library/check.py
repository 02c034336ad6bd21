"""A slimmed library is inspected again before it is called done.

What was written is compared with the plan, byte for byte, and then read as any library is: the same
units in the same order, each found by the wrapper that found it before, and on each GPU as good as
it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.version import Version

from sartor.artifact.elf import Elf
from sartor.artifact.library import RELOCATABLE
from sartor.artifact.model import Image, Library, Unit
from sartor.artifact.source import Invalid
from sartor.slim.library.headers import LOAD, NOBITS, NotUnderstood, read_headers
from sartor.slim.library.pieces import first_difference
from sartor.slim.library.references import Relative, wrappers
from sartor.slim.library.regions import same_region
from sartor.slim.retarget.entries import Fresh, digest_of
from sartor.verdict.unit import grade_unit

if TYPE_CHECKING:
    from sartor.artifact.fatbin import Entry
    from sartor.artifact.source import Source
    from sartor.slim.choice import Wanted
    from sartor.slim.library.headers import Headers
    from sartor.slim.library.pieces import Piece
    from sartor.slim.library.regions import Region
    from sartor.verdict.model import Target
    from sartor.verdict.unit import UnitGrade

GRADES = ("missing", "not-applicable", "unknown", "jit", "native")
"""The worst first."""


def fault_of(
    source: Source, written: Source, pieces: list[Piece], regions: list[Region], wanted: Wanted
) -> str | None:
    """What is wrong with what was ``written`` of ``source``; None where nothing is."""
    at = first_difference(pieces, source, written)
    if at is not None:
        return f"the output is not what was planned, at {at:#x}"
    return fault_of_plan(source, written, regions, wanted)


def fault_of_plan(
    source: Source, planned: Source, regions: list[Region], wanted: Wanted
) -> str | None:
    """What is wrong with a file that is ``planned`` of ``source``, read as if it were written."""
    try:
        return _fault_inside(source, planned, regions, wanted)
    except (Invalid, NotUnderstood) as fault:
        return f"the output cannot be read: {fault.reason}"


def _fault_inside(
    source: Source, written: Source, regions: list[Region], wanted: Wanted
) -> str | None:
    elf = Elf(written)
    headers = read_headers(written, elf)
    misplaced = _misplaced(headers)
    if misplaced is not None:
        return f"`{misplaced}` is not loaded from where it stands"
    new = [same_region(written, headers, region) for region in regions]
    if _pointed(written, elf, new) != _pointed(source, Elf(source), regions):
        return "a wrapper points to another translation unit than before"
    for old, now in zip(regions, new, strict=True):
        fault = _fault_of_images(old, now) or _fault_of_fresh(source, written, old, now)
        if fault is not None:
            return fault
    for target in wanted.targets:
        before, after = grades(regions, target), grades(new, target)
        for i, (was, is_now) in enumerate(zip(before, after, strict=True)):
            if _is_worse(is_now, was):
                told = f"{was.grade} before, now {is_now.grade} ({is_now.because})"
                return f"translation unit {i} is worse on {target.gpu} than it was: {told}"
    return None


def _fault_of_images(old: Region, now: Region) -> str | None:
    for i, after in enumerate(now.containers):
        planned = [_told(entry) for entry in old.entries_of(i)]
        if planned != [_told(entry) for entry in after.entries]:
            return f"unit {i} in `{old.name}` has other images than were to stay"
    return None


def _fault_of_fresh(source: Source, written: Source, old: Region, now: Region) -> str | None:
    """What is new holds what was compiled; what was compressed gives the input's bytes again."""
    for i, after in enumerate(now.containers):
        for part, entry in zip(old.parts_of(i), after.entries, strict=True):
            if not isinstance(part, Fresh):
                continue
            same = digest_of(written, entry) == part.digest
            if same and part.was == "compressed":
                same = digest_of(source, old.containers[i].entries[part.place]) == part.digest
            if not same:
                return f"a new image in unit {i} does not decompress to what it was made of"
    return None


def _misplaced(headers: Headers) -> str | None:
    """A section that is not in memory where its header says, by the segments."""
    loads = [segment for segment in headers.segments if segment.type == LOAD]
    for name, section in zip(headers.names, headers.sections, strict=True):
        if not section.is_loaded or section.type == NOBITS or not section.size:
            continue
        if not any(
            load.offset <= section.offset
            and section.end <= load.end
            and load.address - load.offset == section.address - section.offset
            for load in loads
        ):
            return name
    return None


def _pointed(source: Source, elf: Elf, regions: list[Region]) -> list[int | None]:
    """For each wrapper, the number of the container that it points to, over all regions."""
    held = [(region, container) for region in regions for container in region.containers]
    numbers = {region.address_of(container): i for i, (region, container) in enumerate(held)}
    pointers = wrappers(source, read_headers(source, elf), Relative(source, elf))
    return [numbers.get(address) for address in pointers.values()]


def _told(entry: Entry) -> tuple[object, ...]:
    """All that an entry's header says, but for where it stands."""
    return (
        entry.kind,
        entry.header_size,
        entry.size,
        entry.stored,
        entry.plain,
        entry.arch,
        entry.flags,
        entry.ptx_isa,
        entry.options,
    )


def _is_worse(now: UnitGrade, before: UnitGrade) -> bool:
    if _rank(now) < _rank(before):
        return True
    newest, had = now.needs_driver_cuda, before.needs_driver_cuda
    return newest is not None and had is not None and Version(newest) > Version(had)


def _rank(grade: UnitGrade) -> int:
    return GRADES.index(grade.grade)


def grades(regions: list[Region], target: Target) -> list[UnitGrade]:
    """What each container is on a GPU, by the rule of the verdicts."""
    images, units = list[Image](), list[Unit]()
    for region in regions:
        relocatable = region.name == RELOCATABLE
        for container in region.containers:
            own = [len(images) + i for i in range(len(container.entries))]
            units.append(Unit(images=own, relocatable=relocatable))
            images += [_image(entry) for entry in container.entries]
    library = Library(path="", size=0, images=images, units=units)
    return [grade_unit(library, unit, target, lambda *_: None) for unit in units]


def _image(entry: Entry) -> Image:
    return Image(
        kind=entry.image_kind,
        arch=entry.architecture,
        count=1,
        bytes=entry.stored,
        plain_bytes=entry.plain,
        ptx_isa=entry.ptx_isa,
        compression=entry.compression,
    )
