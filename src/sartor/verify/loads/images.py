"""The grade *loads* of device code: the driver is handed what should load, and compiles nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sartor.verify.device.code import Code, device_code
from sartor.verify.device.handed import (
    driven,
    hand_over,
    name_of,
    no_gpu,
    program_of,
    row_of,
    with_features,
)
from sartor.verify.model import Grade, NotApplicable, NotChecked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sartor.host.model import Host
    from sartor.verdict.model import Target
    from sartor.verify.model import Outcome
    from sartor.verify.proving import Proving
    from sartor.verify.subject.contents import Contents
    from sartor.verify.subject.model import Subject

GRADE: Grade = "loads"
NO_COMPILER = {"CUDA_CACHE_DISABLE": "1", "CUDA_DISABLE_PTX_JIT": "1"}


def check_images(
    subject: Subject,
    host: Host,
    contents: Contents,
    proving: Proving,
    found: Callable[[Outcome], None],
) -> None:
    """The grade *loads* of device code: one outcome for each library and kind of GPU."""
    targets = driven(host)
    if not targets:
        _without_gpu(subject, host, contents, found)
    for target in targets:
        codes = list(device_code(contents, target))
        rows: list[dict[str, Any]] = []
        left: list[Outcome] = []
        for code in codes:
            left += (with_features(code, contents, one) for one in _left_out(code, target))
            units = [unit for unit in code.units if not code.scattered or unit.grade == "native"]
            if units or not code.scattered:
                rows.append(row_of(code, units, target, GRADE))
        program = program_of(subject, target, rows, NO_COMPILER)
        hand_over(program, proving, codes, contents, found)
        for outcome in left:
            found(outcome)


def _left_out(code: Code, target: Target) -> Iterator[Outcome]:
    """Each part of a library that is not handed over, and why."""
    check, package = name_of(code, target.gpu, GRADE), code.package
    handed = code.of_grades("native") if code.scattered else code.units
    if code.scattered and not handed:
        yield NotApplicable(check=check, grade=GRADE, package=package, why=code.why)
    for fault in code.unread:
        why = f"its device code cannot be read from {fault}"
        name = f"{check}, from {fault.partition(':')[0]}"
        yield NotChecked(check=name, grade=GRADE, package=package, why=why)


def _without_gpu(
    subject: Subject, host: Host, contents: Contents, found: Callable[[Outcome], None]
) -> None:
    """Every library with device code is not checked; a stack for the CPU uses none."""
    if subject.accelerator != "cuda":
        return
    for name, path in _holders(contents).items():
        found(
            NotChecked(
                check=f"device code of {name}",
                grade=GRADE,
                package=contents.owner_name(path),
                features=contents.features(path),
                why=no_gpu(host),
            )
        )


def _holders(contents: Contents) -> dict[str, str]:
    """What has device code: libraries, and folders of files, with the path of one."""
    found: dict[str, str] = {}
    for library in contents.libraries:
        if library.units:
            name = contents.names[library.path]
            found.setdefault(
                name if library.kind == "elf" else name.partition("/")[0], library.path
            )
    return found
