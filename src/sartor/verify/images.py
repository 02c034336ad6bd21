"""Device code is handed to the driver: what should load does, what it would compile it compiles."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from sartor.artifact.demangle import demangle
from sartor.artifact.library import read_library
from sartor.artifact.source import FileSource, Invalid
from sartor.facts.run import driver_compiles
from sartor.verdict.targets import targets_of
from sartor.verify.child import Program, run
from sartor.verify.device_code import Code, Foretold, device_code
from sartor.verify.loader_words import reinstall
from sartor.verify.model import Failed, NotApplicable, NotChecked

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable

    from sartor.host.model import Host
    from sartor.verdict.model import Target
    from sartor.verify.contents import Contents
    from sartor.verify.model import Grade, Outcome
    from sartor.verify.proof import Proving
    from sartor.verify.subject import Subject

UNIT_SECONDS = 240.0
COMPILER_BYTES = 3 << 30
"""Main memory for each process of the driver's compiler."""
COMMON = {"CUDA_MODULE_LOADING": "EAGER"}
NO_COMPILER = {"CUDA_CACHE_DISABLE": "1", "CUDA_DISABLE_PTX_JIT": "1"}
OFFSET = re.compile(r"unit at (0x[0-9a-f]+): (.*)")
CACHE_BYTES = (4 << 30) - 1
"""The driver's own limit."""
MOST_NAMED = 3
"""Kernels of a failing unit that are named, and failing units whose kernels are read."""


class Beside(NamedTuple):
    """For what runs beside other checks: until ``stop`` is set.

    ``cache`` is an empty folder: what the driver compiled stays there for the engines' checks.
    """

    cache: Path
    stop: threading.Event


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
            left += _left_out(code, contents, target, "loads")
            units = [unit for unit in code.units if not code.scattered or unit.grade == "native"]
            if units or not code.scattered:
                rows.append(_row(code, units, target, "loads"))
        program = _program(subject, target, rows, NO_COMPILER)
        _run(program, proving, codes, contents, found)
        for outcome in left:
            found(outcome)


def check_first_use(
    subject: Subject,
    host: Host,
    contents: Contents,
    proving: Proving,
    found: Callable[[Outcome], None],
    beside: Beside,
) -> None:
    """Of the grade *launches* what the driver would compile at first use."""
    targets = driven(host)
    if not targets and subject.accelerator == "cuda":
        why = f"{_no_gpu(host)}: what its driver would compile at first use is not known"
        found(NotChecked(check="PTX that the driver compiles", grade="launches", why=why))
    for target in targets:
        codes = list(device_code(contents, target))
        wanted = [c for c in codes if c.of_grades("jit") and not c.scattered]
        for code in codes:
            for outcome in _left_out(code, contents, target, "launches"):
                found(outcome)
        if not proving.jit_seconds:
            for code in wanted:
                found(_of(code, contents, _not_asked(code, target)))
            continue
        rows = [_row(code, code.of_grades("jit"), target, "launches") for code in wanted]
        variables = driver_cache(beside.cache)
        program = _program(subject, target, rows, variables, proving.jit_seconds)
        _run(program, proving, wanted, contents, found, beside.stop)


def driver_cache(folder: Path) -> dict[str, str]:
    """The variables that give the driver's compiler ``folder`` for what it made."""
    return {"CUDA_CACHE_PATH": str(folder), "CUDA_CACHE_MAXSIZE": str(CACHE_BYTES)}


def driven(host: Host) -> list[Target]:
    """A target for each compute capability of the GPUs that a driver is there for."""
    by_capability: dict[str, Target] = {}
    for target in targets_of(host) if host.driver and host.driver.version else ():
        by_capability.setdefault(target.compute_capability, target)
    return list(by_capability.values())


def name_of(code: Code, gpu: str | None, grade: Grade) -> str:
    """The name of a check: ``device code of torch/lib/libtorch_cuda.so on sm_90``."""
    what = "PTX" if grade == "launches" else "device code"
    where = f"among which {code.name} chooses" if code.scattered else f"of {code.name}"
    does = "compiled for" if grade == "launches" else "on"
    return f"{what} {where}" + (f" {does} {gpu}" if gpu else "")


def _row(code: Code, units: Iterable[Foretold], target: Target, grade: Grade) -> dict[str, Any]:
    """What the program gets of a library; a file of device code has no offset."""
    return {
        "check": name_of(code, target.gpu, grade),
        "grade": grade,
        "package": code.package,
        "path": code.path,
        "files": code.files,
        "units": [[unit.file, unit.offset, unit.size, unit.grade, unit.text] for unit in units],
        "what": code.why,
        "jit": grade == "launches",
    }


def _program(
    subject: Subject,
    target: Target,
    rows: list[dict[str, Any]],
    variables: dict[str, str],
    total: float | None = None,
) -> Program:
    rate = driver_compiles()
    compiling = total is not None
    return Program(
        module="device_images",
        label=f"hand device code to the driver of {target.gpu}",
        python=subject.python,
        grade="launches" if compiling else "loads",
        settings={
            "capability": target.compute_capability,
            "libraries": rows,
            "seconds": UNIT_SECONDS if total is None else total + UNIT_SECONDS,
            "total": total,
            "rates": [rate.least_seconds_per_mb, rate.most_seconds_per_mb],
            "memory": COMPILER_BYTES if compiling else None,
        },
        variables=subject.variables | COMMON | variables,
    )


def _run(
    program: Program,
    proving: Proving,
    codes: list[Code],
    contents: Contents,
    found: Callable[[Outcome], None],
    stop: threading.Event | None = None,
) -> None:
    """Run it; what fails is told with what lies there."""
    gpu = program.settings["capability"]
    by_check = {row["check"]: row for row in program.settings["libraries"]}
    if not by_check:
        return
    by_name = {(c.name, c.scattered): c for c in codes}
    of_check = {
        name_of(code, f"sm_{gpu.replace('.', '')}", program.grade): code
        for code in by_name.values()
    }
    for outcome in run(program, proving.grades, stop=stop):
        code = of_check.get(outcome.check)
        told = _told(outcome, code, contents) if code is not None else outcome
        found(_of(code, contents, told) if code is not None else told)


def _told(outcome: Outcome, code: Code, contents: Contents) -> Outcome:
    """An outcome with what the evidence adds: images and kernels of the units that fail.

    Of what a library itself chooses from a refusal proves nothing.
    """
    if not isinstance(outcome, Failed):
        return outcome
    if code.scattered:
        why = (
            "the library itself chooses which of these it loads, and unpacks them; handed over as"
            f" they stand: {outcome.detail.splitlines()[0]}"
        )
        return NotApplicable(
            check=outcome.check, grade=outcome.grade, package=outcome.package, why=why
        )
    units = {f"{unit.offset:#x}": unit for unit in code.units}
    lines, named = [], 0
    for line in outcome.detail.splitlines():
        match = OFFSET.fullmatch(line)
        unit = units.get(match[1]) if match else None
        if match is None or unit is None:
            lines.append(line)
            continue
        line += f" ({', '.join(unit.images)})"  # noqa: PLW2901
        if named < MOST_NAMED:
            line += _kernels(code, unit)  # noqa: PLW2901
            named += 1
        lines.append(line)
    owner = contents.owner(code.path)
    hint = outcome.hint or reinstall(owner)
    return msgspec.structs.replace(outcome, detail="\n".join(lines), hint=hint)


def _kernels(code: Code, unit: Foretold) -> str:
    """The first kernels of a unit, as far as they can be read."""
    try:
        with FileSource(Path(code.path)) as source:
            library = read_library(source, code.path, "one")
    except (OSError, Invalid):
        return ""
    units = library.units if library else []
    names = next((list(u.kernels or ()) for u in units if u.offset == unit.offset), [])
    plain = demangle(names[:MOST_NAMED])
    shown = ", ".join(f"`{plain[name]}`" for name in names[:MOST_NAMED])
    return f": {shown}{', …' if len(names) > MOST_NAMED else ''}" if shown else ""


def _of(code: Code, contents: Contents, outcome: Outcome) -> Outcome:
    """The outcome with the features that the library serves."""
    return msgspec.structs.replace(outcome, features=contents.features(code.path))


def _left_out(code: Code, contents: Contents, target: Target, grade: Grade) -> Iterable[Outcome]:
    """What is not handed over, and why, with the features that it serves."""
    return (_of(code, contents, outcome) for outcome in _reasons(code, target, grade))


def _reasons(code: Code, target: Target, grade: Grade) -> Iterable[Outcome]:
    """Each part of a library that is not handed over."""
    check, package = name_of(code, target.gpu, grade), code.package
    if grade == "loads":
        handed = code.of_grades("native") if code.scattered else code.units
        if code.scattered and not handed:
            yield NotApplicable(check=check, grade=grade, package=package, why=code.why)
        for fault in code.unread:
            why = f"its device code cannot be read from {fault}"
            name = f"{check}, from {fault.partition(':')[0]}"
            yield NotChecked(check=name, grade=grade, package=package, why=why)
        return
    texts = code.of_grades("jit")
    if code.scattered and texts:
        why = f"{len(texts)} texts of which the library itself chooses which it compiles, if any"
        yield NotApplicable(check=check, grade=grade, package=package, why=why)
    if code.texts:
        why = f"{code.texts} texts in files of their own: what they are linked with is not known"
        yield NotApplicable(check=check, grade=grade, package=package, why=why)
    if code.linked_jit:
        why = f"{code.linked_jit} relocatable texts, which the run time links at first use"
        yield NotChecked(check=f"{check}, linked", grade=grade, package=package, why=why)


def _not_asked(code: Code, target: Target) -> NotChecked:
    rate, texts = driver_compiles(), code.of_grades("jit")
    size = sum(unit.text for unit in texts) / 1e6
    low, high = size * rate.least_seconds_per_mb, size * rate.most_seconds_per_mb
    why = f"{len(texts)} texts of {size:.0f} MB, which take {low:.0f} to {high:.0f} s of one core"
    return NotChecked(
        check=name_of(code, target.gpu, "launches"),
        grade="launches",
        package=code.package,
        why=f"no time was given to the driver's compiler: {why}",
    )


def _without_gpu(
    subject: Subject, host: Host, contents: Contents, found: Callable[[Outcome], None]
) -> None:
    """Every library with device code is not checked; a stack for the CPU uses none."""
    if subject.accelerator != "cuda":
        return
    for name, path in _holders(contents).items():
        owner = contents.owner(path)
        found(
            NotChecked(
                check=f"device code of {name}",
                grade="loads",
                package=owner.name if owner else None,
                features=contents.features(path),
                why=_no_gpu(host),
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


def _no_gpu(host: Host) -> str:
    if host.gpus:
        return "no driver is there for the GPU"
    return "there is no NVIDIA GPU here, or no driver that shows it"
