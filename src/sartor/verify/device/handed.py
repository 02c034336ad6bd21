"""Device code is handed to the driver in a process of its own, and what fails is told.

What is handed over, and why the rest is not, the grades say: `sartor.verify.loads.images` and
`sartor.verify.runs.first_use`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from sartor.artifact.demangle import demangle
from sartor.artifact.library import read_library
from sartor.artifact.source import FileSource, Invalid
from sartor.facts.run import driver_compiles
from sartor.verdict.targets import targets_of
from sartor.verify.child import Program, run
from sartor.verify.model import Failed, NotApplicable
from sartor.verify.subject.remedies import anew

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable

    from sartor.host.model import Host
    from sartor.verdict.model import Target
    from sartor.verify.device.code import Code, Foretold
    from sartor.verify.model import Grade, Outcome
    from sartor.verify.proving import Proving
    from sartor.verify.subject.contents import Contents
    from sartor.verify.subject.model import Subject

UNIT_SECONDS = 240.0
COMPILER_BYTES = 3 << 30
"""Main memory for each process of the driver's compiler."""
COMMON = {"CUDA_MODULE_LOADING": "EAGER"}
OFFSET = re.compile(r"unit at (0x[0-9a-f]+): (.*)")
MOST_NAMED = 3
"""Kernels of a failing unit that are named, and failing units whose kernels are read."""
NO_GPU = "there is no NVIDIA GPU here, or no driver that shows it"


def driven(host: Host) -> list[Target]:
    """A target for each compute capability of the GPUs that a driver is there for."""
    by_capability: dict[str, Target] = {}
    for target in targets_of(host) if host.driver and host.driver.version else ():
        by_capability.setdefault(target.compute_capability, target)
    return list(by_capability.values())


def no_gpu(host: Host) -> str:
    """Why no GPU is driven on a machine where none is."""
    if host.gpus:
        return "no driver is there for the GPU"
    return NO_GPU


def name_of(code: Code, gpu: str | None, grade: Grade) -> str:
    """The name of a check: ``device code of torch/lib/libtorch_cuda.so on sm_90``."""
    what = "PTX" if grade == "launches" else "device code"
    where = f"among which {code.name} chooses" if code.scattered else f"of {code.name}"
    does = "compiled for" if grade == "launches" else "on"
    return f"{what} {where}" + (f" {does} {gpu}" if gpu else "")


def row_of(code: Code, units: Iterable[Foretold], target: Target, grade: Grade) -> dict[str, Any]:
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


def program_of(
    subject: Subject,
    target: Target,
    rows: list[dict[str, Any]],
    variables: dict[str, str],
    total: float | None = None,
) -> Program:
    """The program for ``rows``. It may compile for ``total`` seconds; None: not at all."""
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


def hand_over(
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
        found(with_features(code, contents, told) if code is not None else told)


def with_features(code: Code, contents: Contents, outcome: Outcome) -> Outcome:
    """The outcome with the features that the library serves."""
    return msgspec.structs.replace(outcome, features=contents.features(code.path))


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
    hint = outcome.hint or anew(owner)
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
