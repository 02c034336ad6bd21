"""Kernels by name: which images hold each, and which GPUs it is not there for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sartor.verdict.unit import grade_unit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sartor.artifact.model import Library, Unit
    from sartor.facts.packages import DispatchFact
    from sartor.verdict.model import Target


class Kernels(msgspec.Struct, frozen=True):
    """Kernels of one unit that the same images hold; their names are mangled.

    ``images`` are indices into the library's images. ``lacking`` and ``unknown`` are indices into
    the targets: those whose driver takes no image that holds the kernels, and those for which
    the names of the image that it takes were not read.
    """

    names: list[str]
    images: list[int]
    lacking: list[int] = []
    unknown: list[int] = []


def kernels_of(library: Library, unit: Unit, targets: Sequence[Target]) -> list[Kernels]:
    """The kernels of a unit, those that GPUs lack first; none where no names were read.

    Of relocatable code that was linked and runs as that, no kernel is lacked.
    """
    grades = [grade_unit(library, unit, target, nothing_known) for target in targets]
    held: dict[tuple[int, ...], list[str]] = {}
    for name, images in (unit.kernels or {}).items():
        held.setdefault(tuple(sorted(images)), []).append(name)
    found = []
    for holding, names in held.items():
        lacking: list[int] = []
        unknown: list[int] = []
        for number, image in enumerate(grade.image for grade in grades):
            if image is None and grades[number].grade == "native":
                continue
            if image is None or (image in unit.kernels_read and image not in holding):
                lacking.append(number)
            elif image not in unit.kernels_read:
                unknown.append(number)
        found.append(Kernels(sorted(names), list(holding), lacking, unknown))
    return sorted(found, key=lambda kernels: (-len(kernels.lacking), kernels.images))


def nothing_known(_library: Library, _unit: Unit, _target: Target) -> DispatchFact | None:
    """No dispatch fact: what is not there is lacked, whether or not it is called."""
    return None
