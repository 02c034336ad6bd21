"""Sections of containers, and how they are packed: what stays of each, one after another."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec.structs import replace

from sartor.artifact.fatbin import CONTAINER, MAGIC, Container, containers
from sartor.artifact.library import FATBIN, RELOCATABLE
from sartor.slim.choice import kept_entries, kept_relocatable
from sartor.slim.library.headers import ALLOCATED, COMPRESSED, NOBITS, NotUnderstood
from sartor.slim.library.pieces import Copied, Made
from sartor.slim.retarget.entries import Fresh

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sartor.artifact.fatbin import Entry
    from sartor.artifact.source import Source
    from sartor.slim.choice import Wanted
    from sartor.slim.library.headers import Headers
    from sartor.slim.library.pieces import Piece

LEAST_ALIGNMENT, MOST_ALIGNMENT = 8, 4096


class Region(msgspec.Struct, frozen=True, kw_only=True):
    """One section of containers; ``kept`` says for each container which of its images stay.

    ``fresh`` are for each container the entries that are not in the input: each stands in its
    place, before what stays there.
    """

    name: str
    index: int
    start: int
    end: int
    address: int
    alignment: int
    containers: list[Container]
    kept: list[frozenset[int]]
    fresh: list[tuple[Fresh, ...]] = []

    @property
    def changes(self) -> bool:
        """Whether there is anything that does not stay, or is new."""
        pairs = zip(self.containers, self.kept, strict=True)
        return any(self.fresh) or any(len(kept) < len(held.entries) for held, kept in pairs)

    @property
    def has_compiled(self) -> bool:
        """Whether any of what is new was compiled, and not only compressed."""
        return any(one.was == "compiled" for own in self.fresh for one in own)

    def parts_of(self, number: int) -> list[Entry | Fresh]:
        """What becomes of a container, in its order: entries that stay, and new ones."""
        fresh, kept = self.fresh[number], self.kept[number]
        parts: list[Entry | Fresh] = []
        for i, entry in enumerate(self.containers[number].entries):
            parts += [one for one in fresh if one.place == i]
            parts += [entry] if i in kept else []
        return parts

    def entries_of(self, number: int) -> list[Entry]:
        """The headers of what becomes of a container."""
        parts = self.parts_of(number)
        return [part.entry if isinstance(part, Fresh) else part for part in parts]

    def address_of(self, container: Container) -> int:
        """Where the container is in memory."""
        return self.address + container.offset - self.start


class Place(NamedTuple):
    """Where a container is in memory, and its size with its header."""

    address: int
    size: int


class Packed(NamedTuple):
    """A region's bytes as they become, and where each container goes, by where it was."""

    pieces: list[Piece]
    size: int
    places: dict[int, Place]
    old_sizes: dict[int, int]


def find_regions(source: Source, headers: Headers, wanted: Wanted) -> list[Region]:
    """The sections of a library's device code that hold any, the linked code first.

    Raises `NotUnderstood` where one, or one of its containers, is not whole.
    """
    linked = _held(source, headers, FATBIN)
    found = [] if linked is None else [linked]
    relocatable = _held(source, headers, RELOCATABLE)
    if relocatable is not None:
        found.append(relocatable)
    images = [[container.entries for container in region.containers] for region in found]
    kept = [[kept_entries(entries, wanted) for entries in own] for own in images[:1]]
    if relocatable is not None:
        first = images[0] if linked is not None else []
        stays = [kept_relocatable(entries, first, wanted) for entries in images[-1]]
        kept = [*kept[: len(found) - 1], stays]
    return [
        replace(region, kept=own, fresh=[()] * len(own))
        for region, own in zip(found, kept, strict=True)
    ]


def with_all(region: Region) -> Region:
    """The region with all its images."""
    whole = [frozenset(range(len(container.entries))) for container in region.containers]
    return replace(region, kept=whole, fresh=[()] * len(whole))


def same_region(source: Source, headers: Headers, region: Region) -> Region:
    """The region in another file that has its containers, too; what stays of them is the same."""
    found = _held(source, headers, region.name)
    if found is None or len(found.containers) != len(region.containers):
        raise NotUnderstood(f"`{region.name}` is not what it was")
    return replace(found, kept=region.kept, fresh=region.fresh)


def _held(source: Source, headers: Headers, name: str) -> Region | None:
    index = headers.index(name)
    if index is None or not headers.sections[index].size:
        return None
    section = headers.sections[index]
    if section.type == NOBITS or section.flags & (ALLOCATED | COMPRESSED) != ALLOCATED:
        raise NotUnderstood(f"`{name}` is not loaded from the file")
    if section.end > source.size:
        raise NotUnderstood(f"`{name}` goes past the end of the file")
    held = []
    for container in containers(source, section.offset, section.size):
        if not isinstance(container, Container):
            raise NotUnderstood(f"at {container.offset:#x} of its device code: {container.reason}")
        if container.offset + CONTAINER.size + size_of(container.entries) != container.end:
            raise NotUnderstood(f"the container at {container.offset:#x} has another header")
        held.append(container)
    return Region(
        name=name,
        index=index,
        start=section.offset,
        end=section.end,
        address=section.address,
        alignment=min(max(section.alignment, LEAST_ALIGNMENT), MOST_ALIGNMENT),
        containers=held,
        kept=[],
    )


def size_of(entries: Iterable[Entry]) -> int:
    """What entries take in their container, with their headers."""
    return sum(entry.header_size + entry.size for entry in entries)


def _piece(part: Entry | Fresh) -> Piece:
    if isinstance(part, Fresh):
        return Made(part.data)
    return Copied(part.offset, part.header_size + part.size)


def pack(region: Region, address: int) -> Packed:
    """The region from ``address`` on, each container at a multiple of the section's alignment.

    Images are copied as they are, and a container of which all stays with its header.
    """
    pieces: list[Piece] = []
    places: dict[int, Place] = {}
    old_sizes: dict[int, int] = {}
    at = address
    for i, container in enumerate(region.containers):
        padding = -at % region.alignment
        parts = [_piece(part) for part in region.parts_of(i)]
        size = sum(part.size for part in parts)
        header = CONTAINER.pack(MAGIC, 1, CONTAINER.size, size)
        pieces += [Made(bytes(padding) + header), *parts]
        old = region.address_of(container)
        places[old] = Place(at + padding, CONTAINER.size + size)
        old_sizes[old] = container.end - container.offset
        at += padding + CONTAINER.size + size
    at += (padding := -at % LEAST_ALIGNMENT)
    return Packed([*pieces, Made(bytes(padding))], at - address, places, old_sizes)
