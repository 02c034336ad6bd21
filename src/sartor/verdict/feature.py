"""What each feature of a package is on a GPU, by the libraries and units that serve it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from msgspec.structs import replace
from packaging.version import Version

from sartor.facts.features import features_of
from sartor.verdict.dispatch import feature_units, owns, serves
from sartor.verdict.model import Feature, FeatureGrade, Grade, Reason
from sartor.verdict.unit import UnitGrade, grade_unit, looks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sartor.artifact.model import Library, Package, Unit
    from sartor.facts.packages import FeatureFact
    from sartor.verdict.dispatch import Dispatcher
    from sartor.verdict.model import Target

    Graded = list[tuple[int, UnitGrade]]
    Serving = Sequence[tuple[Library, list[Unit] | None]]

ORDER: tuple[Grade, ...] = ("missing", "unknown", "jit", "native", "not-applicable")
"""Of reasons: what a reader asks for first."""


def features(
    packages: Sequence[Package],
    libraries: Sequence[Library],
    targets: Sequence[Target],
    dispatch: Dispatcher,
) -> list[Feature]:
    """Every feature of every package that the facts know, on every GPU; those it lacks left out."""
    found = []
    for package in packages:
        for fact in features_of(package.name, package.version):
            serving = [lib for lib in libraries if owns(package, lib, fact.libraries)]
            units = alike([(lib, feature_units(fact, lib)) for lib in serving], dispatch)
            for index, target in enumerate(targets):
                feature = judge_feature(fact, units, target, dispatch)
                if feature is not None:
                    found.append(replace(feature, package=package.name, target=index))
    return found


def alike(serving: Serving, dispatch: Dispatcher) -> Serving:
    """Libraries with units, those that no GPU and no driver tells apart as one that counts for all.

    A library whose units could not be told stays as it is.
    """
    counts: Counter[object] = Counter()
    first: dict[object, tuple[Library, list[Unit] | None]] = {}
    for library, units in serving:
        if units is None:
            first[id(library)] = library, None
            continue
        slimmed = library.slimmed and (library.slimmed.original, *library.slimmed.gpus)
        own = (library.kind, library.cuda_major, tuple(library.toolkits), slimmed)
        for unit in units:
            key = (own, *_form(library, unit, dispatch))
            counts[key] += unit.count
            first.setdefault(key, (library, [unit]))
    return [
        (library, units and [replace(unit, count=counts[key]) for unit in units])
        for key, (library, units) in first.items()
    ]


def _form(library: Library, unit: Unit, dispatch: Dispatcher) -> tuple[object, ...]:
    """What a unit's grade depends on; of one that is linked, its library too."""
    facts = tuple(id(fact) for fact in dispatch.about(library, unit))
    named = unit.kernels if unit.kernels is None else bool(unit.kernels)
    read = tuple(library.images[i].arch for i in unit.kernels_read)
    linked = id(library) if unit.relocatable else None
    held = tuple(unit.held or ())
    return looks(library, unit.images), linked, unit.scattered, named, read, facts, held


def judge_feature(
    fact: FeatureFact, serving: Serving, target: Target, dispatch: Dispatcher
) -> Feature | None:
    """One feature on one GPU; None where none of the libraries holds a unit that serves it.

    ``serving`` are its libraries with the units that serve it (None: that could not be told).
    """
    graded: Graded = []
    for library, units in serving:
        if units is None:
            why = _unread(library)
            count = sum(unit.count for unit in library.units)
            return _feature(fact, target, "unknown", [Reason("unknown", count, why)])
        graded += [(u.count, _called(library, u, target, dispatch)) for u in units]
    if not graded:
        return None
    if not serves(fact.serves, target.compute_capability):
        why = f"the engine offers it on {', '.join(fact.serves)} alone"
        count = sum(count for count, _ in graded)
        return _feature(fact, target, "not-applicable", [Reason("not-applicable", count, why)])
    verdict = combine({grade.grade for _, grade in graded})
    needed = {g.needs_driver_cuda for _, g in graded if g.needs_driver_cuda}
    newest = max(needed, key=Version, default=None)
    return _feature(fact, target, verdict, reasons_of(graded), newest)


def _unread(library: Library) -> str:
    """Why it is not known which of a library's units serve a feature."""
    unread = [unit for unit in library.units if unit.kernels is None]
    if all(not unit.images for unit in unread):
        count = sum(unit.count for unit in unread)
        return f"{count} of the units of {library.path} are empty: what they were for is not known"
    return f"the kernels of {library.path} were not read"


def _called(library: Library, unit: Unit, target: Target, dispatch: Dispatcher) -> UnitGrade:
    """The unit's grade; one that the engine does not call there serves nothing, though it load."""
    uncalled = dispatch(library, unit, target)
    if uncalled is not None:
        return UnitGrade("not-applicable", uncalled.because)
    return grade_unit(library, unit, target, dispatch)


def combine(grades: set[Grade]) -> FeatureGrade:
    """The grade of a feature from those of its units, of which there is at least one."""
    serving = grades - {"not-applicable"}
    if not serving:
        return "not-applicable"
    if "missing" in serving:
        return "partial" if serving & {"native", "jit"} else "missing"
    if "unknown" in serving:
        return "unknown"
    return "jit" if "jit" in serving else "native"


def reasons_of(graded: Graded) -> list[Reason]:
    """Every reason with its number of units: by grade, what is worst first, the commonest first."""
    counts: Counter[tuple[Grade, str]] = Counter()
    for count, grade in graded:
        counts[grade.grade, grade.because] += count
    reasons = [Reason(grade, count, why) for (grade, why), count in counts.most_common()]
    return sorted(reasons, key=lambda reason: ORDER.index(reason.grade))


def sentence(reasons: Sequence[Reason]) -> str:
    """The units by grade, each with the reason that most of them have."""
    total = sum(reason.count for reason in reasons)
    commonest = {reason.grade: reason.why for reason in reversed(reasons)}
    counts: Counter[Grade] = Counter()
    for reason in reasons:
        counts[reason.grade] += reason.count
    return "; ".join(
        f"{count} of {total} units {grade}: {commonest[grade]}" for grade, count in counts.items()
    )


def _feature(
    fact: FeatureFact,
    target: Target,
    verdict: FeatureGrade,
    reasons: list[Reason],
    needed: str | None = None,
) -> Feature:
    return Feature(
        name=fact.name,
        gpu=target.gpu,
        verdict=verdict,
        because=sentence(reasons),
        reasons=reasons,
        note=fact.note,
        needs_driver_cuda=needed,
    )
