"""The kernels of each unit by name: what holds them, and which GPUs they are not there for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.report.inspection_gpus import labels
from sartor.report.inspection_library import holds
from sartor.report.words import clean, few, short_paths
from sartor.verdict.kernels import kernels_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sartor.artifact.model import Unit
    from sartor.verdict.kernels import Kernels
    from sartor.verdict.model import InspectedLibrary, Inspection, Target

    Demangle = Callable[[Iterable[str]], dict[str, str]]

WIDTH = 160
INDENT = "      "


def kernel_lines(found: Inspection, demangle: Demangle | None = None) -> list[list[str]]:
    """A part for each library with names: its units, and their kernels by what holds them.

    One line for each name, whole or cut to 160 characters.
    """
    demangle = demangle or demangler()
    coded = [library for library in found.libraries if library.units]
    names = short_paths([library.path for library in coded], 60)
    parts = []
    for library, name in zip(coded, names, strict=True):
        mangled = dict.fromkeys(k for unit in library.units for k in unit.kernels or {})
        lines = [f"kernels of {name}: {len(mangled)}", *lacked_lines(library, found.gpus)]
        parts.append([*lines, *library_kernels(library, found.gpus, demangle(mangled))])
    return parts


def demangler() -> Demangle:
    """The one that Sartor uses, which takes a while to start."""
    from sartor.artifact.demangle import demangle

    return demangle


def lacked_lines(library: InspectedLibrary, targets: Sequence[Target]) -> list[str]:
    """How many kernels each GPU lacks: those that no unit holds for it."""
    parts = [part for unit in library.units for part in kernels_of(library, unit, targets)]
    names = {name for part in parts for name in part.names}
    lines = []
    for number, label in enumerate(labels(targets)):
        held = _names(p for p in parts if number not in p.lacking and number not in p.unknown)
        unknown = _names(p for p in parts if number in p.unknown) - held
        more = f", of {len(unknown)} it is not known" if unknown else ""
        lines.append(f"  {label} lacks {len(names - held - unknown)} of {len(names)}{more}")
    return lines if parts else []


def _names(parts: Iterable[Kernels]) -> set[str]:
    return {name for part in parts for name in part.names}


def library_kernels(
    library: InspectedLibrary, targets: Sequence[Target], plain: dict[str, str]
) -> list[str]:
    """The units of a library with their kernels, by offset; how many have no names."""
    lines = []
    for unit in sorted(library.units, key=lambda unit: (unit.offset is None, unit.offset or 0)):
        if not unit.kernels:
            continue
        lines += [f"  {unit_title(unit)}"]
        for kernels in kernels_of(library, unit, targets):
            lines += [f"    {group_title(library, kernels, targets)}"]
            shown = sorted(plain.get(name, name) for name in kernels.names)
            lines += [INDENT + clean(shortened(name, WIDTH - len(INDENT))) for name in shown]
    unread = sum(unit.count for unit in library.units if unit.kernels is None)
    without = sum(unit.count for unit in library.units if unit.kernels == {})
    lines += [f"  {without} units without a kernel"] if without else []
    return lines + ([f"  {unread} units whose names were not read"] if unread else [])


def unit_title(unit: Unit) -> str:
    """Where a unit is, and how many kernels it has."""
    at = "unit" if unit.offset is None else f"unit at {unit.offset:#x}"
    count = len(unit.kernels or {})
    return f"{at}, {count} kernel{'' if count == 1 else 's'}"


def group_title(library: InspectedLibrary, kernels: Kernels, targets: Sequence[Target]) -> str:
    """The architectures that hold the kernels, and the GPUs that lack them."""
    gpus = labels(targets)
    words = [f"in {holds([library.images[i] for i in kernels.images], packing=False)}"]
    if kernels.lacking:
        words.append(f"LACKED BY {few([gpus[n] for n in kernels.lacking], 16)}")
    if kernels.unknown:
        words.append(f"not known for {few([gpus[n] for n in kernels.unknown], 16)}")
    return f"{' - '.join(words)}:"


def shortened(name: str, most: int) -> str:
    """At most ``most`` characters: without the parameters, which tell less than the template's."""
    if len(name) > most and name.endswith(")"):
        name = without_parameters(name)
    return cut_inside(name, most)


def without_parameters(name: str) -> str:
    """``f<1>(int, g(int))`` as ``f<1>(...)``."""
    depth = 0
    for place in range(len(name) - 1, -1, -1):
        depth += (name[place] == ")") - (name[place] == "(")
        if depth == 0:
            return f"{name[:place]}(...)"
    return name


def cut_inside(text: str, most: int) -> str:
    """At most ``most`` characters: templates differ at both ends, and least in the middle."""
    if len(text) <= most:
        return text
    head = (most - 3) // 2
    return f"{text[:head]}...{text[-(most - 3 - head) :]}"
