"""Where two readings of the same bytes disagree, leaving aside how much each of them read."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from sartor.evidence.fit import renamed

if TYPE_CHECKING:
    from sartor.artifact.model import Evidence, Library, Package

NOT_COMPARED = ("units", "not_read")
"""Of libraries as they stand: units depend on whether names were read, and are folded first."""
FROM_FACTS = ("compilers", "fact_files")
MOST_SHOWN = 20


def differences(one: Evidence, other: Evidence, *, partial: bool = False) -> list[str]:
    """What one says and the other denies, a line each; nothing where they agree.

    Names of kernels that one of them did not read are no disagreement, nor are another name of the
    file and what facts say; and where one is ``partial``, libraries that one has met faults in, or
    does not have.
    """
    if other.target != one.target:
        other = renamed(other, one.target)
    found = [
        f"{name}: {getattr(one, name)} and {getattr(other, name)}"
        for name in ("sha256", "kind", "size")
        if getattr(one, name) != getattr(other, name)
    ]
    found += _packages(one.packages, other.packages)
    found += _libraries(one.libraries, other.libraries, partial=partial)
    more = len(found) - MOST_SHOWN
    return [*found[:MOST_SHOWN], f"and {more} more"] if more > 0 else found


def _packages(one: list[Package], other: list[Package]) -> list[str]:
    mine, theirs = ({p.path: _declared(p) for p in packages} for packages in (one, other))
    return [
        f"package {path}: {_first_difference(mine.get(path), theirs.get(path))}"
        for path in sorted(mine.keys() | theirs.keys())
        if mine.get(path) != theirs.get(path)
    ]


def _libraries(one: list[Library], other: list[Library], *, partial: bool) -> list[str]:
    mine, theirs = ({lib.path: lib for lib in libraries} for libraries in (one, other))
    found = []
    for path in sorted(mine.keys() | theirs.keys()):
        a, b = mine.get(path), theirs.get(path)
        if a is None or b is None:
            if not partial:
                found.append(f"library {path}: only one of them has it")
        elif partial and a.not_read != b.not_read:
            continue
        elif _folded(a) != _folded(b):
            found.append(f"library {path}: {_first_difference(_folded(a), _folded(b))}")
        elif _names_differ(a, b):
            found.append(f"library {path}: the names of its kernels")
    return found


def _declared(package: Package) -> dict[str, object]:
    fields = msgspec.structs.asdict(package)
    return {name: value for name, value in fields.items() if name not in FROM_FACTS}


def _folded(library: Library) -> dict[str, object]:
    """The library with its units as counts: the same whether or not names were read."""
    fields = msgspec.structs.asdict(library)
    counts: Counter[tuple[bool, tuple[int, ...]]] = Counter()
    sizes: Counter[tuple[bool, tuple[int, ...]]] = Counter()
    for unit in library.units:
        key = unit.relocatable, tuple(unit.images)
        counts[key] += unit.count
        sizes[key] += unit.bytes
    kept = {name: value for name, value in fields.items() if name not in NOT_COMPARED}
    return {**kept, "units": counts, "units' bytes": sizes}


def _names_differ(one: Library, other: Library) -> bool:
    """Whether the kernels of some unit, as far as both read the same images of it, differ."""
    theirs = {unit.offset: unit for unit in other.units if unit.offset is not None}
    for unit in one.units:
        peer = None if unit.offset is None else theirs.get(unit.offset)
        if peer is None or unit.kernels is None or peer.kernels is None:
            continue
        both = set(unit.kernels_read) & set(peer.kernels_read)
        mine = {(name, i) for name, images in unit.kernels.items() for i in images if i in both}
        its = {(name, i) for name, images in peer.kernels.items() for i in images if i in both}
        if mine != its:
            return True
    return False


def _first_difference(one: dict[str, object] | None, other: dict[str, object] | None) -> str:
    if one is None or other is None:
        return "only one of them has it"
    return next(f"its {name}" for name in one if one[name] != other[name])
