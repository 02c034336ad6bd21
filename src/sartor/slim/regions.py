"""Sections of containers, and how they are packed: what stays of each, one after another."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from sartor.artifact.fatbin import CONTAINER, MAGIC, Container, containers
from sartor.artifact.library import FATBIN
from sartor.slim.choice import kept_entries
from sartor.slim.headers import ALLOCATED, COMPRESSED, NOBITS, NotUnderstood
from sartor.slim.pieces import Copied, Made

if TYPE_CHECKING:
    from sartor.artifact.source import Source
    from sartor.slim.choice import Wanted
    from sartor.slim.headers import Headers
    from sartor.slim.pieces import Piece

LEAST_ALIGNMENT, MOST_ALIGNMENT = 8, 4096


class Region(msgspec.Struct, frozen=True):
    """One section of containers; ``kept`` says for each container which of its images stay."""

    index: int
    start: int
    end: int
    address: int
    alignment: int
    containers: list[Container]
    kept: list[frozenset[int]]

    @property
    def drops(self) -> bool:
        """Whether there is anything that does not stay."""
        pairs = zip(self.containers, self.kept, strict=True)
        return any(len(kept) < len(held.entries) for held, kept in pairs)

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


def find_region(source: Source, headers: Headers, wanted: Wanted) -> Region | None:
    """The section of a library's device code; None without one that holds any.

    Raises `NotUnderstood` where it, or one of its containers, is not whole.
    """
    index = headers.index(FATBIN)
    if index is None or not headers.sections[index].size:
        return None
    section = headers.sections[index]
    if section.type == NOBITS or section.flags & (ALLOCATED | COMPRESSED) != ALLOCATED:
        raise NotUnderstood(f"`{FATBIN}` is not loaded from the file")
    if section.end > source.size:
        raise NotUnderstood(f"`{FATBIN}` goes past the end of the file")
    held = []
    for container in containers(source, section.offset, section.size):
        if not isinstance(container, Container):
            raise NotUnderstood(f"at {container.offset:#x} of its device code: {container.reason}")
        if container.offset + CONTAINER.size + _size(container) != container.end:
            raise NotUnderstood(f"the container at {container.offset:#x} has another header")
        held.append(container)
    return Region(
        index=index,
        start=section.offset,
        end=section.end,
        address=section.address,
        alignment=min(max(section.alignment, LEAST_ALIGNMENT), MOST_ALIGNMENT),
        containers=held,
        kept=[kept_entries(container.entries, wanted) for container in held],
    )


def _size(container: Container) -> int:
    return sum(entry.header_size + entry.size for entry in container.entries)


def pack(region: Region, address: int) -> Packed:
    """The region from ``address`` on, each container at a multiple of the section's alignment.

    Images are copied as they are, and a container of which all stays with its header.
    """
    pieces: list[Piece] = []
    places: dict[int, Place] = {}
    old_sizes: dict[int, int] = {}
    at = address
    for container, kept in zip(region.containers, region.kept, strict=True):
        padding = -at % region.alignment
        entries = [container.entries[i] for i in sorted(kept)]
        size = sum(entry.header_size + entry.size for entry in entries)
        header = CONTAINER.pack(MAGIC, 1, CONTAINER.size, size)
        pieces += [Made(bytes(padding) + header)]
        pieces += [Copied(entry.offset, entry.header_size + entry.size) for entry in entries]
        old = region.address_of(container)
        places[old] = Place(at + padding, CONTAINER.size + size)
        old_sizes[old] = container.end - container.offset
        at += padding + CONTAINER.size + size
    at += (padding := -at % LEAST_ALIGNMENT)
    return Packed([*pieces, Made(bytes(padding))], at - address, places, old_sizes)
