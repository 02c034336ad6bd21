"""What a slimmed wheel says of itself: ``sartor.json`` among its metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sartor import __version__
from sartor.artifact.device_code import KIND_ORDER
from sartor.artifact.model import ImageKind
from sartor.artifact.slimmed import WHEEL_RECORD, ReducedUnits, joined
from sartor.slim.library.counts import reduced_units
from sartor.slim.library.model import Retargeted
from sartor.slim.model import UnusedKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sartor.slim.choice import Wanted
    from sartor.slim.library.model import SlimmedLibrary
    from sartor.slim.wheel.name import Removal

FILE = WHEEL_RECORD


class SourceWheel(msgspec.Struct, frozen=True, kw_only=True):
    """The wheel that was slimmed, as it was published."""

    name: str
    sha256: str
    size: int


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    """Images of one kind and architecture that a library has no more."""

    kind: ImageKind
    arch: str
    images: int
    bytes: int


class ReducedLibrary(msgspec.Struct, frozen=True, kw_only=True):
    """A library that has other bytes than in the source: its sizes, what is gone, what is new.

    ``units`` say what each translation unit held that lost something.
    """

    path: str
    bytes_before: int
    bytes_after: int
    removed: list[Removed]
    compiled: list[Retargeted] = []
    units: list[ReducedUnits] = []


class RemovedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the source that is left out because nobody can use it; ``size`` in bytes."""

    path: str
    kind: UnusedKind
    size: int


class SlimmedWheel(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="schema", tag="sartor.slimmed/1"
):
    """What is in ``sartor.json`` of a slimmed wheel: of what it was made, for which GPUs.

    ``remove_unused``: without what is of no use; ``python``: nor what is of none to that one alone
    (``3.12``). ``removed`` are the files that are left out, by their paths.
    """

    sartor: str
    source: SourceWheel
    gpus: list[str]
    keep_ptx: bool
    retarget: bool = False
    compress: bool = False
    remove_unused: bool = False
    python: str | None = None
    libraries: list[ReducedLibrary]
    removed: list[RemovedFile] = []


def provenance(
    source: SourceWheel,
    wanted: Wanted,
    libraries: Iterable[SlimmedLibrary],
    before: SlimmedWheel | None = None,
    removal: Removal | None = None,
    gone: Iterable[RemovedFile] = (),
) -> SlimmedWheel:
    """What is said of a wheel; ``before`` is what its source said, where that was slimmed too.

    Then all is said of the first source, as if it had been slimmed at once. ``gone`` are the files
    that are left out now.
    """
    removed = {one.path: one for one in [*(before.removed if before else ()), *gone]}
    reduced = {one.path: _reduced(one) for one in libraries if one.changed}
    former = {one.path: one for one in before.libraries} if before else {}
    paths = sorted({*former, *reduced} - {*removed})
    merged = [_both(former.get(path), reduced.get(path)) for path in paths]
    return SlimmedWheel(
        sartor=__version__,
        source=before.source if before else source,
        gpus=wanted.gpus,
        keep_ptx=wanted.keep_ptx,
        retarget=wanted.retarget,
        compress=wanted.compress,
        remove_unused=removal is not None,
        python=None if removal is None else removal.python,
        libraries=merged,
        removed=[removed[path] for path in sorted(removed)],
    )


def _reduced(library: SlimmedLibrary) -> ReducedLibrary:
    return ReducedLibrary(
        path=library.path,
        bytes_before=library.bytes_before,
        bytes_after=library.bytes_after,
        removed=[
            Removed(kind=t.kind, arch=t.arch, images=t.dropped, bytes=t.dropped_bytes)
            for t in library.images
            if t.dropped
        ],
        compiled=library.retargeted,
        units=reduced_units(library),
    )


def _both(first: ReducedLibrary | None, then: ReducedLibrary | None) -> ReducedLibrary:
    if first is None or then is None:
        only = first or then
        assert only is not None  # noqa: S101 - it was in one of the two
        return only
    sums: dict[tuple[ImageKind, str], list[int]] = {}
    for one in [*first.removed, *then.removed]:
        own = sums.setdefault((one.kind, one.arch), [0, 0])
        own[0] += one.images
        own[1] += one.bytes
    gone = {one.arch for one in then.removed if one.kind == "cubin"}
    for row in first.compiled:
        if row.arch in gone:  # it was not in the source
            own = sums["cubin", row.arch]
            own[0], own[1] = own[0] - row.units, own[1] - row.bytes
    compiled = [*(row for row in first.compiled if row.arch not in gone), *then.compiled]
    removed = [
        Removed(kind=k, arch=a, images=n, bytes=b) for (k, a), (n, b) in sums.items() if n > 0
    ]
    removed.sort(key=lambda one: (KIND_ORDER.index(one.kind), len(one.arch), one.arch))
    return msgspec.structs.replace(
        first,
        bytes_after=then.bytes_after,
        removed=removed,
        compiled=compiled,
        units=joined(first.units, then.units),
    )
