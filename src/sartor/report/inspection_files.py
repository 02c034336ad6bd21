"""Files of device code that lie together in thousands, told as one where they are alike."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from msgspec.structs import replace
from packaging.version import Version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sartor.artifact.model import Image, Unit
    from sartor.verdict.model import InspectedLibrary, Inspection, Reason, Verdict

FEWEST = 8
"""So many alike are told as one; FlashInfer's wheel has 16,000 files."""
SUMS = ("units", "native", "jit", "missing", "not_applicable", "unknown")
BYTES = ("native_bytes", "jit_bytes")


def with_files_folded(found: Inspection) -> Inspection:
    """The inspection with one library for each set of alike files: ``fmha: 472 x sm_100a``.

    Alike are files of one folder and kind (no shared libraries) that hold code for the same
    architectures, made with the same CUDA, with the same grades on each GPU.
    """
    alike: dict[tuple[object, ...], list[InspectedLibrary]] = defaultdict(list)
    for library in found.libraries:
        alike[_key(library)].append(library)
    libraries = []
    for group in alike.values():
        libraries += group if len(group) < FEWEST else [_folded(group)]
    return replace(found, libraries=libraries)


def _key(library: InspectedLibrary) -> tuple[object, ...]:
    """What alike files share; a shared library, and a file with faults, is like no other."""
    if library.kind == "elf" or library.not_read:
        return (library.path,)
    folder, _, name = library.path.rpartition("/")
    grades = tuple(
        (v.target, v.called, tuple(bool(getattr(v, field)) for field in SUMS))
        for v in library.verdicts
    )
    held = tuple((image.kind, image.arch) for image in library.images)
    return folder, name.rpartition(".")[2], library.cuda_major, held, grades


def _folded(group: Sequence[InspectedLibrary]) -> InspectedLibrary:
    first = group[0]
    folder = first.path.rpartition("/")[0]
    held = "+".join(dict.fromkeys(image.arch for image in first.images))
    verdicts = zip(*(library.verdicts for library in group), strict=True)
    return replace(
        first,
        path=f"{folder}: {len(group)} x {held}",
        size=sum(library.size for library in group),
        toolkits=sorted({text for library in group for text in library.toolkits}, key=Version),
        images=_images([image for library in group for image in library.images]),
        units=_units([unit for library in group for unit in library.units]),
        verdicts=[_verdict(of_one_gpu) for of_one_gpu in verdicts],
    )


def _images(images: Sequence[Image]) -> list[Image]:
    """As many as there are kinds of them; what they have in common is in all their other fields."""
    groups: dict[Image, list[Image]] = defaultdict(list)
    for image in images:
        groups[replace(image, count=0, bytes=0, plain_bytes=0)].append(image)
    return [
        replace(
            alike,
            count=sum(image.count for image in group),
            bytes=sum(image.bytes for image in group),
            plain_bytes=sum(image.plain_bytes for image in group),
        )
        for alike, group in groups.items()
    ]


def _units(units: Sequence[Unit]) -> list[Unit]:
    """All of them as one, for what is shown is how many they are."""
    count, size = sum(unit.count for unit in units), sum(unit.bytes for unit in units)
    return [replace(units[0], count=count, bytes=size)] if units else []


def _verdict(verdicts: Sequence[Verdict]) -> Verdict:
    """What the files are together on one GPU."""
    reasons: Counter[Reason] = Counter()
    for verdict in verdicts:
        for reason in verdict.reasons:
            reasons[replace(reason, count=0)] += reason.count
    needed = [v.needs_driver_cuda for v in verdicts if v.needs_driver_cuda]
    sums = {field: sum(getattr(v, field) for v in verdicts) for field in (*SUMS, *BYTES)}
    return replace(
        verdicts[0],
        **sums,
        needs_driver_cuda=max(needed, key=Version, default=None),
        because=list(dict.fromkeys(text for v in verdicts for text in v.because)),
        reasons=[replace(reason, count=count) for reason, count in reasons.most_common()],
    )
