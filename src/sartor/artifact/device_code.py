"""The device code of one library: its images by kind and architecture, and its units."""

from __future__ import annotations

import contextlib
import re
from collections import defaultdict
from itertools import islice
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from sartor.artifact.cubin import kernel_names, origin
from sartor.artifact.fatbin import (
    MOST_ENTRIES,
    MOST_SAMPLES,
    SAMPLE,
    Container,
    Kind,
    containers,
    cost,
    counted,
    scattered,
)
from sartor.artifact.model import Image, NotRead, Unit
from sartor.artifact.payload import plain_payload
from sartor.artifact.ptx import read_ptx
from sartor.artifact.source import BytesSource, Invalid, SliceSource
from sartor.artifact.stream import StreamedSource

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sartor.artifact.fatbin import Entry
    from sartor.artifact.model import ImageKind
    from sartor.artifact.source import Source

Names = Literal["none", "one", "all"]
KIND_ORDER = ("cubin", "ptx", "ltoir", "unknown")
NUMBER = re.compile(r"\d+")
MOST_SAMPLE_PLAIN = 16 << 20
MOST_FAULTS = 1000
MOST_NAMES = 1 << 20
"""Kernels of one library; the largest known has some 60,000."""
MOST_NAME_CHARACTERS = 512 << 20
"""Of all those names, which are held at once."""
MOST_DECOMPRESSED = 16 << 30
"""Of one library's images, when names are read: it bounds the time. PyTorch's has 5 GB."""
KEPT_CUBIN = 16 << 20
"""Of a stream; the tables of a cubin lie at its end, and speak of what is before them."""


class Part(NamedTuple):
    """A section that holds containers; ``relocatable``: those of ``__nv_relfatbin``.

    ``scattered``: among other data, so that they have to be looked for.
    """

    start: int
    size: int
    relocatable: bool = False
    scattered: bool = False


class DeviceCode(msgspec.Struct, frozen=True):
    """What was read of a library's device code; see `sartor.artifact.model.Library`."""

    images: list[Image] = []
    units: list[Unit] = []
    toolkits: list[str] = []
    not_read: list[NotRead] = []


class ImageKey(NamedTuple):
    """What images have in common that count together."""

    kind: ImageKind
    arch: str
    ptx_isa: str | None
    compression: str | None
    options: str | None


def key_of(entry: Entry) -> ImageKey:
    """The group of an entry."""
    return ImageKey(
        entry.image_kind, entry.architecture, entry.ptx_isa, entry.compression, entry.options
    )


def in_order(key: ImageKey) -> tuple[object, ...]:
    """Cubins first, then by the architecture's number, then the rest."""
    number = NUMBER.search(key.arch)
    return (
        KIND_ORDER.index(key.kind),
        int(number[0]) if number else 0,
        *(text or "" for text in key[1:]),
    )


def read_device_code(source: Source, path: str, parts: Iterable[Part], names: Names) -> DeviceCode:
    """The device code in ``parts`` of a library; ``names`` says of which images kernels are read.

    ``one``: of the cheapest image of each unit. What is wrong costs the image or the container
    that it is in, and stands in ``not_read``.
    """
    found: list[tuple[Container, Part]] = []
    faults: list[NotRead] = []
    left = MOST_ENTRIES
    for part in parts:
        walk = scattered if part.scattered else containers
        for container in walk(source, part.start, part.size, left):
            if isinstance(container, Container):
                found.append((container, part))
                left -= counted(container.entries)
            elif len(faults) < MOST_FAULTS:
                faults.append(NotRead(path, container.reason, container.offset))
    index, images = _images(found)
    reader = _Reader(source, path, index, names)
    units = _grouped(found, index) if names == "none" else reader.units(found)
    toolkits = _toolkits(source, found)
    return DeviceCode(images, units, toolkits, faults + reader.not_read)


def kernels_in(source: Source, path: str, container: Container) -> list[str] | None:
    """The kernels that are read of a container where one image of each is; None: of no image."""
    part = Part(container.offset, container.end - container.offset)
    index, _ = _images([(container, part)])
    (unit,) = _Reader(source, path, index, "one").units([(container, part)])
    return None if unit.kernels is None else sorted(unit.kernels)


def _images(found: list[tuple[Container, Part]]) -> tuple[dict[ImageKey, int], list[Image]]:
    """The images in their order, and the index of each group."""
    groups: dict[ImageKey, list[int]] = defaultdict(lambda: [0, 0, 0])
    for container, _ in found:
        for entry in container.entries:
            sums = groups[key_of(entry)]
            sums[0] += 1
            sums[1] += entry.stored
            sums[2] += entry.plain
    keys = sorted(groups, key=in_order)
    images = [
        Image(
            kind=key.kind,
            arch=key.arch,
            count=groups[key][0],
            bytes=groups[key][1],
            plain_bytes=groups[key][2],
            ptx_isa=key.ptx_isa,
            compression=key.compression,
            options=key.options,
        )
        for key in keys
    ]
    return {key: i for i, key in enumerate(keys)}, images


def _grouped(found: list[tuple[Container, Part]], index: dict[ImageKey, int]) -> list[Unit]:
    """Units that hold the same images, in the order in which they are met first."""
    groups: dict[tuple[bool, bool, tuple[int, ...]], list[int]] = defaultdict(lambda: [0, 0])
    for container, part in found:
        held = tuple(index[key_of(entry)] for entry in container.entries)
        sums = groups[part.relocatable, part.scattered, held]
        sums[0] += 1
        sums[1] += sum(entry.stored for entry in container.entries)
    return [
        Unit(
            images=list(held),
            count=count,
            bytes=size,
            relocatable=relocatable,
            scattered=scattered,
        )
        for (relocatable, scattered, held), (count, size) in groups.items()
    ]


class _Reader:
    """Opens images for the names of their kernels."""

    def __init__(self, source: Source, path: str, index: dict[ImageKey, int], names: Names) -> None:
        self.not_read: list[NotRead] = []
        self._source = source
        self._path = path
        self._index = index
        self._names = names
        self._names_left = MOST_NAMES
        self._characters_left = MOST_NAME_CHARACTERS
        self._decompressed_left = MOST_DECOMPRESSED

    def units(self, found: list[tuple[Container, Part]]) -> list[Unit]:
        """Every container as a unit of its own, with its kernels."""
        return [self._unit(container, part) for container, part in found]

    def _unit(self, container: Container, part: Part) -> Unit:
        kernels: dict[str, list[int]] = {}
        opened: list[int] = []
        can = _can_open(container.entries)
        # A stream is read forward: where all are opened, it is in their order.
        for entry in sorted(can, key=_cost) if self._names == "one" else can:
            image = self._index[key_of(entry)]
            try:
                names = self._kernels(entry)
            except Invalid as fault:
                if len(self.not_read) < MOST_FAULTS:
                    self.not_read.append(NotRead(self._path, fault.reason, entry.offset))
                continue
            opened.append(image)
            for name in names:
                kernels.setdefault(name, []).append(image)
            if self._names == "one":
                break
        return Unit(
            images=[self._index[key_of(entry)] for entry in container.entries],
            bytes=sum(entry.stored for entry in container.entries),
            offset=container.offset,
            kernels=kernels if opened else None,
            kernels_read=opened,
            relocatable=part.relocatable,
            scattered=part.scattered,
        )

    def _kernels(self, entry: Entry) -> list[str]:
        if entry.compression is not None:
            self._decompressed_left -= entry.plain
            if self._decompressed_left < 0:
                why = f"the images have more than {MOST_DECOMPRESSED} bytes together"
                raise Invalid(self._source.name, entry.offset, why)
        if entry.image_kind == "ptx":
            names = read_ptx(plain_payload(self._source, entry)).kernels
        else:
            names = kernel_names(cubin_source(self._source, entry))
        self._names_left -= len(names)
        self._characters_left -= sum(map(len, names))
        if self._names_left < 0 or self._characters_left < 0:
            why = f"more than {MOST_NAMES} kernels, or {MOST_NAME_CHARACTERS} characters of names"
            raise Invalid(self._source.name, entry.offset, why)
        return names


def _can_open(entries: list[Entry]) -> list[Entry]:
    return [entry for entry in entries if entry.image_kind in {"cubin", "ptx"}]


def _cost(entry: Entry) -> tuple[bool, bool, int]:
    return cost(entry.kind, entry.stored, compressed=entry.compression is not None)


def cubin_source(source: Source, entry: Entry) -> Source:
    """A cubin as bytes of its own: a window where it is not compressed.

    In a stream going back is another pass, so that there it is read at once, unless it is large.
    """
    name = f"{source.name} ({entry.architecture} at {entry.offset:#x})"
    if entry.compression is not None:
        return BytesSource(plain_payload(source, entry), name)
    if isinstance(source, StreamedSource) and entry.stored <= KEPT_CUBIN:
        return BytesSource(source.read(entry.payload, entry.stored), name)
    return SliceSource(source, entry.payload, entry.stored, name)


def _toolkits(source: Source, found: list[tuple[Container, Part]]) -> list[str]:
    """The toolkit's release, as ptxas noted it in the first cubin that says so.

    As a rule one toolkit made all of a library's; the cubins asked are those that are not large.
    """
    small = (
        entry
        for container, _ in found
        for entry in container.entries
        if entry.kind == Kind.CUBIN and entry.size <= SAMPLE
    )
    for entry in islice(small, MOST_SAMPLES):
        if entry.plain > MOST_SAMPLE_PLAIN:
            continue
        with contextlib.suppress(Invalid):  # said where names are read
            release = origin(cubin_source(source, entry)).release
            if release:
                return [release]
    return []
