"""What one translation unit is on one GPU, and what a whole library is."""

from __future__ import annotations

from collections import Counter
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace
from packaging.version import Version

from sartor import facts
from sartor.artifact.model import ImageKind
from sartor.facts.versions import known_version
from sartor.verdict.load_rule import (
    Chosen,
    Jit,
    Native,
    Nothing,
    Refused,
    Unknown,
    Unsettled,
    architecture,
    choose,
    image_outcome,
)
from sartor.verdict.model import Grade, Reason, Target, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sartor.artifact.model import Library, Unit
    from sartor.facts.packages import DispatchFact
    from sartor.verdict.load_rule import DeviceImage

    Seen = tuple[ImageKind, str, str | None, str | None]
    Dispatch = Callable[[Library, Unit, Target], DispatchFact | None]


LOADS = ("native", "jit")


class UnitGrade(msgspec.Struct, frozen=True):
    """A unit's grade, the index of the image that the driver takes, and what it takes for that."""

    grade: Grade
    because: str
    image: int | None = None
    needs_driver_cuda: str | None = None


def grade_unit(library: Library, unit: Unit, target: Target, dispatch: Dispatch) -> UnitGrade:
    """What ``unit`` is on ``target``; where it is the driver that keeps it from loading, too.

    *Missing* turns into *not applicable* by a dispatch fact alone; what loads is never called so.
    ``needs_driver_cuda`` is also said of a unit that only a newer driver would load.
    """
    able = _under_any_driver(library, unit, target, dispatch)
    if able.grade not in LOADS or (target.driver is None and target.driver_cuda is None):
        return able
    refused = driver_without_gpu(target) or driver_too_old(library, target)
    grade = UnitGrade("missing", refused) if refused else _placed(library, unit, target)
    return replace(grade, needs_driver_cuda=able.needs_driver_cuda)


def _under_any_driver(
    library: Library, unit: Unit, target: Target, dispatch: Dispatch
) -> UnitGrade:
    """What the unit is where the driver is new enough for all that it holds."""
    target = replace(target, driver=None, driver_cuda=None)
    grade = _placed(library, unit, target)
    if grade.grade != "missing":
        return replace(grade, needs_driver_cuda=_needs(library, grade, target))
    fact = dispatch(library, unit, target)
    if fact is not None:
        return UnitGrade("not-applicable", fact.because)
    if unit.kernels is not None and not unit.kernels:
        read = in_order(library.images[i].arch for i in unit.kernels_read)
        if not read and unit.held and len(unit.held) == 1:
            read = unit.held[0]
        code = f"its code for {read}" if read else "its code"
        why = f"no kernel in {code}, which may be variables alone"
        return UnitGrade("missing", f"{why}; {_lacks(library, unit, grade, target)}")
    return replace(grade, because=_lacks(library, unit, grade, target))


def _lacks(library: Library, unit: Unit, grade: UnitGrade, target: Target) -> str:
    """Why a unit has nothing for the GPU: it never had, or that was left out."""
    if not unit.held or not library.slimmed:
        return grade.because
    images = [Look(_kind(arch), arch, None, None) for arch in unit.held]
    if isinstance(choose(images, target), Nothing):
        return f"holds {in_order(unit.held)}: nothing for {target.gpu}"
    slimmed = library.slimmed
    return (
        f"slimmed to {in_order(slimmed.gpus)}: nothing is left for {target.gpu}, which the "
        f"original has ({slimmed.original})"
    )


def _kind(arch: str) -> ImageKind:
    """What an image is, by how its architecture is written."""
    kinds: dict[str, ImageKind] = {"sm": "cubin", "compute": "ptx", "lto": "ltoir"}
    return kinds.get(arch.partition("_")[0], "unknown")


def _placed(library: Library, unit: Unit, target: Target) -> UnitGrade:
    if unit.relocatable:
        return _linked(library, unit, target)
    grade = _loaded(library, unit.images, target)
    if unit.scattered and grade.grade == "missing":
        why = "the library itself chooses among such units, and its makers do not say how"
        return UnitGrade("unknown", f"{grade.because}; {why}")
    return grade


class Look(msgspec.Struct, frozen=True):
    """What the driver's rule looks at of an image; see `sartor.verdict.load_rule.DeviceImage`."""

    kind: ImageKind
    arch: str
    ptx_isa: str | None
    compression: str | None


def looks(library: Library, indices: list[int]) -> tuple[Seen, ...]:
    """All that decides which image of a container the driver takes: the fields of `Look`."""
    images = [library.images[i] for i in indices]
    return tuple([(i.kind, i.arch, i.ptx_isa, i.compression) for i in images])


def _loaded(library: Library, indices: list[int], target: Target) -> UnitGrade:
    """What becomes of a container of these images."""
    made_by = max(library.toolkits, key=Version, default=None) if library.kind != "elf" else None
    on = (target.gpu, target.compute_capability, target.driver, target.driver_cuda)
    grade = _alike_loaded(looks(library, indices), on, made_by)
    return grade if grade.image is None else replace(grade, image=indices[grade.image])


@lru_cache(1 << 16)
def _alike_loaded(
    seen: tuple[Seen, ...],
    on: tuple[str, str, str | None, str | None],
    made_by: str | None,
) -> UnitGrade:
    """What becomes of any container of such images on such a GPU; ``image`` is a place in it."""
    gpu, capability, driver, driver_cuda = on
    target = Target(gpu, capability, driver=driver, driver_cuda=driver_cuda)
    images = [Look(*look) for look in seen]
    match choose(images, target):
        case Chosen(index=index):
            return _taken(index, images[index], target, made_by)
        case Unsettled(among=among, why=why):
            grades = [_taken(i, images[i], target, made_by) for i in among]
            same = len({grade.grade for grade in grades}) == 1
            return grades[0] if same else UnitGrade("unknown", why)
        case Nothing():
            held = in_order(image.arch for image in images) or "no image at all"
            return UnitGrade("missing", f"holds {held}: nothing for {gpu}")


def in_order(archs: Iterable[str]) -> str:
    """Architectures by number, machine code before PTX: ``sm_90a, sm_100f, compute_80``."""
    ordered = sorted(archs, key=lambda arch: (not arch.startswith("sm_"), _number(arch), arch))
    return ", ".join(ordered)


def _number(arch: str) -> tuple[int, int]:
    code = architecture(arch)
    return code.number if code else (0, 0)


def _linked(library: Library, unit: Unit, target: Target) -> UnitGrade:
    """What becomes of relocatable code: it runs as the machine code that it was linked into.

    Where that does not fit, the run time links its PTX (tried on an H200,
    `docs/fatbin-load-rule.md`).
    """
    linked = [u for u in library.units if not u.relocatable and not u.scattered]
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


def _taken(index: int, image: DeviceImage, target: Target, made_by: str | None) -> UnitGrade:
    """What becomes of the image that the driver takes; ``made_by`` is the release of CUDA."""
    match image_outcome(image, target, made_by):
        case Native():
            return UnitGrade("native", f"machine code for {image.arch}", index)
        case Jit(needs_driver_cuda=needed):
            because = f"{image.arch} PTX (ISA {image.ptx_isa}) is compiled at first use"
            return UnitGrade("jit", because, index, needed)
        case Refused(why=why):
            return UnitGrade("missing", why)
        case Unknown(why=why):
            return UnitGrade("unknown", f"{image.arch}: {why}", index)


@lru_cache(1 << 12)
def driver_without_gpu(target: Target) -> str | None:
    """Why the driver does not drive the GPU at all: not yet, or no longer; None where it does.

    Also None where that is not known: of a Tegra part, whose driver comes with its board.
    """
    known = facts.driver_range(target.compute_capability)
    if known is None:
        return None
    branch, last = (known_version(target.driver) or Version("0")).major, known.last_branch
    if last is not None and branch > last:
        return f"driver {target.driver} does not drive {target.gpu}: {last} is the last that does"
    have = known_version(target.driver_cuda)
    if have is None or have >= Version(known.first_cuda):
        return None
    which = f"driver {target.driver}" if target.driver else f"a driver of CUDA {have}"
    since = f" and driver branch {known.first_branch}" if known.first_branch else ""
    return f"{which} does not drive {target.gpu} yet: that came with CUDA {known.first_cuda}{since}"


def first_cuda(target: Target) -> str | None:
    """The CUDA version that brought the GPU's compute capability; None for a Tegra part.

    No driver of an older one knows it.
    """
    known = facts.driver_range(target.compute_capability)
    return known.first_cuda if known else None


def driver_too_old(library: Library, target: Target) -> str | None:
    """Why the driver does not start a library of this CUDA major; None where it does.

    Within a major, minor-version compatibility holds for machine code; across majors nothing does,
    but for `cuda-compat` on data-centre GPUs and Jetson. Also None of device code in a file of its
    own: no run time refuses it, and each image is judged by itself.
    """
    if library.kind != "elf" or library.cuda_major is None or target.driver_cuda is None:
        return None
    have = known_version(target.driver_cuda)
    if have is None or library.cuda_major <= have.major:
        return None
    minimum = driver_for_major(library.cuda_major)
    return (
        f"made for CUDA {library.cuda_major}"
        + (f", which wants driver {minimum} or newer" if minimum else "")
        + f"; this one supports CUDA {target.driver_cuda}"
    )


@cache
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
    needed = [grade.needs_driver_cuda for _, grade in graded]
    reasons = _reasons(graded)
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
        because=[f"{reason.count} {reason.grade}: {reason.why}" for reason in reasons],
        reasons=reasons,
        called=any(dispatch(library, unit, target) is None for unit in library.units),
    )


def _needs(library: Library, grade: UnitGrade, target: Target) -> str | None:
    """The CUDA version of the oldest driver that runs it: for the library, the GPU, and the PTX."""
    major = f"{library.cuda_major}.0" if library.cuda_major and library.kind == "elf" else None
    wanted = [version for version in (major, grade.needs_driver_cuda) if version]
    first = first_cuda(target)
    return _newest((*wanted, first) if first else tuple(wanted)) if wanted else None


@lru_cache(1 << 10)
def _newest(versions: tuple[str, ...]) -> str:
    return max(versions, key=Version)


def _bytes_used(library: Library, graded: list[tuple[Unit, UnitGrade]], wanted: Grade) -> int:
    """What the images take that the driver would use; those of one kind count their mean."""
    total = 0.0
    for unit, grade in graded:
        if grade.grade == wanted and grade.image is not None:
            image = library.images[grade.image]
            total += unit.count * image.bytes / image.count
    return round(total)


def _reasons(graded: list[tuple[Unit, UnitGrade]]) -> list[Reason]:
    """Each reason for a grade that is not native, with the number of units, the most first."""
    reasons: Counter[tuple[Grade, str]] = Counter()
    for unit, grade in graded:
        if grade.grade != "native":
            reasons[grade.grade, grade.because] += unit.count
    return [Reason(grade, count, why) for (grade, why), count in reasons.most_common()]
