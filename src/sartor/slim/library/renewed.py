"""Containers with what is new in them: PTX compiled ahead of time, and images compressed.

What the driver would compile for a GPU becomes machine code for it, in the place of the PTX. PTX
stays where something else asks for it, and where it could not be compiled.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from sartor.artifact.fatbin import Kind
from sartor.artifact.library import FATBIN, RELOCATABLE
from sartor.slim.choice import kept_entries, kept_relocatable
from sartor.slim.library.model import LeftAlone, Retargeted
from sartor.slim.retarget.entries import Fresh, compiled_entry, compressed_entry
from sartor.slim.retarget.jobs import Compiled, Job, NotCompiled, chosen_ptx, job_of, unsettled_ptx

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sartor.artifact.fatbin import Entry
    from sartor.artifact.source import Source
    from sartor.slim.choice import Wanted
    from sartor.slim.library.model import LeftCode
    from sartor.slim.library.regions import Region
    from sartor.slim.retarget.entries import Compression
    from sartor.slim.retarget.jobs import Compiler
    from sartor.verdict.load_rule import Architecture

LEAST_COMPRESSED = 512
"""Bytes of an image from which on compressing it is tried."""

NO_ROOM = (
    "its machine code is larger than what it would take the place of, and nothing else goes to "
    "make room: the driver compiles it at first use, as before; with `--compress` it may fit"
)


class Place(NamedTuple):
    """One PTX text of a library, for one architecture: which container, which entry."""

    container: int
    entry: int
    code: Architecture


class Renewal(NamedTuple):
    """The regions as they become, what compiled what, and what was not compiled."""

    regions: list[Region]
    compiled: dict[Place, Compiled]
    failed: dict[Place, NotCompiled]


def renewed(source: Source, regions: list[Region], wanted: Wanted, compiler: Compiler) -> Renewal:
    """The regions with new entries, where they are asked for; raises `Invalid`."""
    if not regions or regions[0].name != FATBIN or not (wanted.retarget or wanted.compress):
        return Renewal(regions, {}, {})
    linked, compiled, failed = regions[0], dict[Place, Compiled](), dict[Place, NotCompiled]()
    how = compression_of(regions, wanted)
    if wanted.retarget:
        fresh: dict[int, list[Fresh]] = {}
        jobs = _jobs(linked, wanted, failed)
        places = list(jobs)
        with closing(compiler.compiled(source, list(jobs.values()))) as results:
            for i, result in results:
                place = places[i]
                if isinstance(result, NotCompiled):
                    failed[place] = result
                    continue
                ptx = jobs[place].ptx
                made = compiled_entry(source, ptx, place.entry, result.cubin, place.code, how)
                fresh.setdefault(place.container, []).append(made)
                compiled[place] = replace(result, cubin=b"")
        linked = with_compiled(linked, wanted, fresh, failed)
    if wanted.compress and how is not None:
        linked = _compressed(source, linked, how)
    return Renewal([linked, *_relinked(linked, regions[1:], wanted)], compiled, failed)


def retargeted(renewal: Renewal, left_out: list[int]) -> list[Retargeted]:
    """What was compiled, for the result, without the containers in ``left_out``."""
    rows: dict[tuple[str, str], list[tuple[Entry, Entry, str]]] = {}
    for place, result in renewal.compiled.items():
        if place.container in left_out:
            continue
        linked = renewal.regions[0]
        ptx = linked.containers[place.container].entries[place.entry]
        made = next(
            (
                one.entry
                for one in linked.fresh[place.container]
                if one.was == "compiled" and one.place == place.entry and _is_for(one, place.code)
            ),
            None,
        )
        if made is None:  # other code serves that GPU, too
            continue
        row = rows.setdefault((ptx.architecture, made.architecture), [])
        row.append((ptx, made, result.release))
    return [
        Retargeted(
            ptx=ptx,
            arch=arch,
            units=len(row),
            ptx_bytes=sum(old.stored for old, _, _ in row),
            bytes=sum(made.stored for _, made, _ in row),
            plain_bytes=sum(made.plain for _, made, _ in row),
            compression=next((made.compression for _, made, _ in row if made.compression), None),
            ptxas=sorted({release for _, _, release in row}),
        )
        for (ptx, arch), row in sorted(rows.items())
    ]


def _is_for(fresh: Fresh, code: Architecture) -> bool:
    return _architecture(fresh)[1] == f"{code.major}{code.minor}{code.suffix}"


def not_retargeted(renewal: Renewal, left_out: list[int]) -> list[LeftAlone]:
    """PTX that stays to be compiled by the driver, and why: one row for each reason."""
    linked = renewal.regions[0] if renewal.regions else None
    found: dict[tuple[LeftCode, str], set[tuple[int, int]]] = {}
    for place, fault in renewal.failed.items():
        key: tuple[LeftCode, str] = ("not-compiled", fault.why)
        found.setdefault(key, set()).add((place.container, place.entry))
    for place in renewal.compiled:
        if place.container in left_out:
            found.setdefault(("no-room", NO_ROOM), set()).add((place.container, place.entry))
    rows = []
    for (code, why), places in found.items():
        size = sum(linked.containers[i].entries[at].stored for i, at in places) if linked else 0
        units = len({i for i, _ in places})
        rows.append(LeftAlone(code=code, why=why, bytes=size, units=units))
    return rows


def compression_of(regions: list[Region], wanted: Wanted) -> Compression | None:
    """How new images are compressed: as all the drivers read it, else as the library's own are."""
    from sartor.verdict.load_rule import reads_compressed

    if wanted.driver is not None:
        return "zstd" if reads_compressed("zstd", wanted.driver) else "lz4"
    entries = (e for region in regions for c in region.containers for e in c.entries)
    used = {entry.compression for entry in entries}
    if "zstd" in used:
        return "zstd"
    return "lz4" if "lz4" in used or wanted.compress else None


def _jobs(region: Region, wanted: Wanted, failed: dict[Place, NotCompiled]) -> dict[Place, Job]:
    jobs: dict[Place, Job] = {}
    for i, container in enumerate(region.containers):
        for (at, code), why in unsettled_ptx(container.entries, wanted).items():
            failed[Place(i, at, code)] = why
        for at, codes in chosen_ptx(container.entries, wanted).items():
            for code in codes:
                place = Place(i, at, code)
                job = job_of(container.entries[at], code, wanted)
                if isinstance(job, NotCompiled):
                    failed[place] = job
                else:
                    jobs[place] = job
    return jobs


def with_compiled(
    region: Region, wanted: Wanted, fresh: dict[int, list[Fresh]], failed: Iterable[Place]
) -> Region:
    """The region with compiled code, and without the PTX that it stands for.

    PTX stays that ``failed`` names, that another of the GPUs takes, or that is for later GPUs.
    """
    kept, new = list(region.kept), [list(own) for own in region.fresh]
    stays = {(place.container, place.entry) for place in failed}
    for i, own in fresh.items():
        entries = region.containers[i].entries
        compiled = {one.place for one in own} - {at for c, at in stays if c == i}
        chosen = chosen_ptx(entries, wanted)
        numbers = {code.number for at in compiled for code in chosen[at]}
        rest = [t for t in wanted.targets if _number(t.compute_capability) not in numbers]
        kept[i] = kept_entries(entries, replace(wanted, targets=tuple(rest)))
        new[i] = sorted([*new[i], *own], key=lambda one: (one.place, _architecture(one)))
    made = replace(region, kept=kept, fresh=[tuple(own) for own in new])
    for i in fresh:
        made = _chosen_again(made, i, wanted)
    return made


def _chosen_again(region: Region, number: int, wanted: Wanted) -> Region:
    """A container without what the driver passes over now: code for 8.0 serves 8.9, too."""
    parts, kept, fresh = region.parts_of(number), list(region.kept), list(region.fresh)
    chosen = kept_entries(region.entries_of(number), wanted)
    stays = [part for i, part in enumerate(parts) if i in chosen]
    fresh[number] = tuple(part for part in stays if isinstance(part, Fresh))
    entries = region.containers[number].entries
    kept[number] = frozenset(i for i, entry in enumerate(entries) if entry in stays)
    return replace(region, kept=kept, fresh=fresh)


def _number(capability: str) -> tuple[int, int]:
    major, _, minor = capability.partition(".")
    return int(major), int(minor)


def _architecture(fresh: Fresh) -> tuple[int, str]:
    arch = fresh.entry.arch
    return int(arch.rstrip("af")), arch


def _compressed(source: Source, region: Region, how: Compression) -> Region:
    """The region with its plain images compressed, on all processors."""
    from concurrent.futures import ThreadPoolExecutor

    wanted = [
        (i, at, container.entries[at])
        for i, (container, kept) in enumerate(zip(region.containers, region.kept, strict=True))
        for at in sorted(kept)
        if _may_be_compressed(container.entries[at])
    ]
    kept, new = list(region.kept), list(region.fresh)
    with ThreadPoolExecutor(_processors(), thread_name_prefix="compress") as pool:
        made = pool.map(lambda one: compressed_entry(source, one[2], one[1], how), wanted)
        for (i, at, _), fresh in zip(wanted, made, strict=True):
            if fresh is not None:
                kept[i] -= {at}
                ordered = sorted((*new[i], fresh), key=lambda one: one.place)
                new[i] = tuple(ordered)
    return replace(region, kept=kept, fresh=new)


def _may_be_compressed(entry: Entry) -> bool:
    plain = entry.compression is None and entry.stored >= LEAST_COMPRESSED
    return plain and entry.kind in {Kind.CUBIN, Kind.PTX}


def _processors() -> int:
    import os

    return len(os.sched_getaffinity(0))


def _relinked(linked: Region, rest: list[Region], wanted: Wanted) -> list[Region]:
    """The relocatable code: what is native now may need less of it."""
    units = [linked.entries_of(i) for i in range(len(linked.containers))]
    return [
        replace(
            region, kept=[kept_relocatable(c.entries, units, wanted) for c in region.containers]
        )
        if region.name == RELOCATABLE
        else region
        for region in rest
    ]
