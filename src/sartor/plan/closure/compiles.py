"""What is compiled when a stack first runs: by the driver, and by compilers that packages start.

And the variables that it is to be run with, which depend on what compilers there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sartor.facts.features import features_of
from sartor.facts.run import driver_compiles, variables
from sartor.facts.versions import within_versions
from sartor.plan.outcome import Compile
from sartor.verdict.compiler_findings import available, compiler_rows
from sartor.verdict.compiler_findings import judged as compilers_there
from sartor.verdict.dispatch import Dispatcher, feature_units, owns
from sartor.verdict.unit import grade_unit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sartor.artifact.model import Evidence, Library, Unit
    from sartor.facts.run import VariableFact
    from sartor.matrix.model import Part
    from sartor.plan.closure.members import Member, Members
    from sartor.plan.known import Parts
    from sartor.verdict.model import Target

DRIVER = "the driver"
MB = 1_000_000


class Ptx(NamedTuple):
    """PTX texts: how many, and the bytes of them all, decompressed."""

    units: int
    bytes: int


def by_driver(
    members: Members, parts: Mapping[str, Parts], targets: Sequence[Target]
) -> Iterator[Compile]:
    """The PTX of each feature that the driver compiles, where the unit is first called."""
    for member in members.read:
        own = parts.get(member.name)
        evidence = member.evidence
        if own is None or evidence is None:
            continue
        dispatch = Dispatcher(evidence.packages)
        for target, found in zip(targets, own.targets, strict=True):
            for part in found:
                units = sum(r.count for r in part.reasons if r.grade == "jit")
                if units:
                    ptx = _ptx(evidence, part, target, dispatch)
                    yield _compile(member, part, target, units, ptx)


def _ptx(evidence: Evidence, part: Part, target: Target, dispatch: Dispatcher) -> Ptx:
    """The texts that the driver takes; those of one kind in a library count their mean."""
    units, size = 0, 0.0
    for library, unit in _serving(evidence, part):
        if dispatch(library, unit, target) is not None:
            continue
        grade = grade_unit(library, unit, target, dispatch)
        if grade.grade == "jit" and grade.image is not None:
            image = library.images[grade.image]
            units += unit.count
            size += unit.count * image.plain_bytes / image.count
    return Ptx(units, round(size))


def _serving(evidence: Evidence, part: Part) -> Iterator[tuple[Library, Unit]]:
    """The units behind a part: those of a feature, or of the library that it is named for."""
    is_feature = False
    for package in evidence.packages:
        for fact in features_of(package.name, package.version):
            if fact.name != part.name:
                continue
            is_feature = True
            for library in evidence.libraries:
                if owns(package, library, fact.libraries):
                    yield from ((library, unit) for unit in feature_units(fact, library) or ())
    for library in evidence.libraries:
        if not is_feature and library.path == part.name:
            yield from ((library, unit) for unit in library.units)


def _compile(member: Member, part: Part, target: Target, units: int, ptx: Ptx) -> Compile:
    rate = driver_compiles()
    known = ptx.units == units and ptx.bytes > 0
    each, whole = ptx.bytes / max(ptx.units, 1) / MB, ptx.bytes / MB
    low, high = rate.least_seconds_per_mb, rate.most_seconds_per_mb
    because = (
        f"it holds no machine code for {target.gpu} in {units} units, and PTX; each is compiled"
        " when it is first called, and kept in the driver's cache"
    )
    if known:
        because += (
            f"; {each:.1f} MB of PTX, a unit's mean, take {each * low:.0f} to {each * high:.0f} s"
            f" where that was measured ({rate.measured_on}). From: one such unit; to: all of them"
        )
    return Compile(
        package=member.name,
        what=part.name,
        compiler=DRIVER,
        gpu=target.gpu,
        units=units,
        bytes=ptx.bytes if known else None,
        seconds=(round(each * low, 1), round(whole * high, 1)) if known else None,
        because=because,
    )


def by_compilers(members: Members) -> Iterator[Compile]:
    """What packages compile with compilers that they bring, or that the host has to have."""
    case = members.case
    for package in case.packages:
        for row in compiler_rows(case, package):
            state, lacking = compilers_there(case, package, row)
            names = [*row.compilers, " or ".join(row.any_of)] if row.any_of else row.compilers
            meaning = {
                "found": "its compilers are there",
                "unknown": "whether its compilers are there is not known",
                "missing": f"{', '.join(lacking) or 'a compiler'} is not there, and it fails",
            }[state]
            yield Compile(
                package=package.name,
                what=row.when,
                compiler=", ".join(names),
                because=f"{meaning} ({row.source})",
            )


def environment(members: Members) -> dict[str, str]:
    """The variables to run with, by the facts."""
    rows = (row for row in variables() if _holds(members, row))
    return {row.name: row.value for row in rows}


def _holds(members: Members, row: VariableFact) -> bool:
    case = members.case
    if not set(row.beside) <= set(case.by_distribution):
        return False
    for member in members.named(row.distributions):
        package = member.package
        if not within_versions(row.versions, package.version):
            continue
        if row.files and not set(row.files) & set(package.fact_files):
            continue
        states = {name: available(case, package, name) for name in (*row.without, *row.available)}
        lacks = not row.without or any(states[name] != "found" for name in row.without)
        if lacks and all(states[name] == "found" for name in row.available):
            return True
    return False
