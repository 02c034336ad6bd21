"""What one translation unit is on one GPU, and what a whole library is."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec
from packaging.version import Version

from sartor import facts
from sartor.verdict.load_rule import (
    Chosen,
    Jit,
    Native,
    Nothing,
    Refused,
    Unknown,
    Unsettled,
    choose,
    image_outcome,
)
from sartor.verdict.model import Grade, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from sartor.artifact.model import Image, Library, Unit
    from sartor.facts.packages import DispatchFact
    from sartor.verdict.model import Target

    Dispatch = Callable[[Library, Unit, Target], DispatchFact | None]


class UnitGrade(msgspec.Struct, frozen=True):
    """A unit's grade, the index of the image that the driver takes, and what it takes for that."""

    grade: Grade
    because: str
    image: int | None = None
    needs_driver_cuda: str | None = None


def grade_unit(library: Library, unit: Unit, target: Target, dispatch: Dispatch) -> UnitGrade:
    """What ``unit`` is on ``target``.

    *Missing* turns into *not applicable* by a dispatch fact alone; what loads is never called so.
    """
    too_old = driver_too_old(library, target)
    if too_old:
        return UnitGrade("missing", too_old)
    if unit.relocatable:
        grade = _linked(library, unit, target)
    else:
        grade = _loaded(library, unit.images, target)
    if grade.grade != "missing":
        return grade
    fact = dispatch(library, unit, target)
    return UnitGrade("not-applicable", fact.because) if fact else grade


def _loaded(library: Library, indices: list[int], target: Target) -> UnitGrade:
    """What becomes of a container of these images."""
    images = [library.images[i] for i in indices]
    match choose(images, target):
        case Chosen(index=index):
            return _taken(indices[index], images[index], target)
        case Unsettled(among=among, why=why):
            grades = [_taken(indices[i], images[i], target) for i in among]
            same = len({grade.grade for grade in grades}) == 1
            return grades[0] if same else UnitGrade("unknown", why)
        case Nothing():
            held = ", ".join(image.arch for image in images) or "no image at all"
            return UnitGrade("missing", f"holds {held}: nothing for {target.gpu}")


def _linked(library: Library, unit: Unit, target: Target) -> UnitGrade:
    """What becomes of relocatable code: it runs as the machine code that it was linked into.

    Where that does not fit, the run time links its PTX (tried on an H200,
    `docs/fatbin-load-rule.md`).
    """
    linked = [other for other in library.units if not other.relocatable]
    if not linked:
        return UnitGrade("unknown", "relocatable code that was not linked")
    for other in linked:
        grade = _loaded(library, other.images, target)
        if grade.grade == "native":
            return UnitGrade("native", f"linked; {grade.because}")
    ptx = [i for i in unit.images if library.images[i].kind == "ptx"]
    return (
        _loaded(library, ptx, target)
        if ptx
        else UnitGrade(
            "missing", f"relocatable code without PTX, and nothing linked for {target.gpu}"
        )
    )


def _taken(index: int, image: Image, target: Target) -> UnitGrade:
    """What becomes of the image that the driver takes."""
    match image_outcome(image, target):
        case Native():
            return UnitGrade("native", f"machine code for {image.arch}", index)
        case Jit(needs_driver_cuda=needed):
            because = f"{image.arch} PTX (ISA {image.ptx_isa}) is compiled at first use"
            return UnitGrade("jit", because, index, needed)
        case Refused(why=why):
            return UnitGrade("missing", why)
        case Unknown(why=why):
            return UnitGrade("unknown", f"{image.arch}: {why}", index)


def driver_too_old(library: Library, target: Target) -> str | None:
    """Why the driver does not start a library of this CUDA major; None where it does.

    Within a major, minor-version compatibility holds for machine code; across majors nothing does,
    but for `cuda-compat` on data-centre GPUs and Jetson.
    """
    if library.cuda_major is None or target.driver_cuda is None:
        return None
    if library.cuda_major <= Version(target.driver_cuda).major:
        return None
    minimum = driver_for_major(library.cuda_major)
    return (
        f"made for CUDA {library.cuda_major}"
        + (f", which wants driver {minimum} or newer" if minimum else "")
        + f"; this one supports CUDA {target.driver_cuda}"
    )


def driver_for_major(major: int) -> str | None:
    """The oldest driver that starts programs of a CUDA major; None where the facts lack it."""
    rows = (row for row in facts.toolkits() if Version(row.version).major == major)
    return next((row.minor_compat_driver_min for row in rows), None)


def judge_library(library: Library, target: Target, dispatch: Dispatch, index: int = 0) -> Verdict:
    """One library's verdict on one GPU, the ``index``-th that was asked about."""
    graded = [(unit, grade_unit(library, unit, target, dispatch)) for unit in library.units]
    counts: Counter[Grade] = Counter()
    for unit, grade in graded:
        counts[grade.grade] += unit.count
    needed = [_needs(library, g) for _, g in graded if g.grade in {"native", "jit"}]
    return Verdict(
        gpu=target.gpu,
        target=index,
        units=counts.total(),
        native=counts["native"],
        jit=counts["jit"],
        missing=counts["missing"],
        not_applicable=counts["not-applicable"],
        unknown=counts["unknown"],
        native_bytes=_bytes_used(library, graded, "native"),
        jit_bytes=_bytes_used(library, graded, "jit"),
        needs_driver_cuda=max((n for n in needed if n), key=Version, default=None),
        because=_reasons(graded),
    )


def _needs(library: Library, grade: UnitGrade) -> str | None:
    if grade.needs_driver_cuda is not None:
        return grade.needs_driver_cuda
    return None if library.cuda_major is None else f"{library.cuda_major}.0"


def _bytes_used(library: Library, graded: list[tuple[Unit, UnitGrade]], wanted: Grade) -> int:
    """What the images take that the driver would use; those of one kind count their mean."""
    total = 0.0
    for unit, grade in graded:
        if grade.grade == wanted and grade.image is not None:
            image = library.images[grade.image]
            total += unit.count * image.bytes / image.count
    return round(total)


def _reasons(graded: list[tuple[Unit, UnitGrade]]) -> list[str]:
    """Each reason for a grade that is not native, with the number of units, the most first."""
    reasons: Counter[tuple[Grade, str]] = Counter()
    for unit, grade in graded:
        if grade.grade != "native":
            reasons[grade.grade, grade.because] += unit.count
    return [f"{count} {grade}: {because}" for (grade, because), count in reasons.most_common()]
