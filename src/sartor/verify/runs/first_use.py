"""Of the grade *launches* what the driver would compile at first use: it compiles that."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sartor.facts.run import driver_compiles
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
from sartor.verify.runs.caches import driver_cache

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sartor.host.model import Host
    from sartor.verdict.model import Target
    from sartor.verify.model import Outcome
    from sartor.verify.proving import Proving
    from sartor.verify.subject.contents import Contents
    from sartor.verify.subject.model import Subject

GRADE: Grade = "launches"


class Beside(NamedTuple):
    """For what runs beside other checks: until ``stop`` is set.

    ``cache`` is an empty folder: what the driver compiled stays there for the engines' checks.
    """

    cache: Path
    stop: threading.Event


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
        why = f"{no_gpu(host)}: what its driver would compile at first use is not known"
        found(NotChecked(check="PTX that the driver compiles", grade=GRADE, why=why))
    for target in targets:
        codes = list(device_code(contents, target))
        wanted = [c for c in codes if c.of_grades("jit") and not c.scattered]
        for code in codes:
            for outcome in _left_out(code, target):
                found(with_features(code, contents, outcome))
        if not proving.jit_seconds:
            for code in wanted:
                found(with_features(code, contents, _not_asked(code, target)))
            continue
        rows = [row_of(code, code.of_grades("jit"), target, GRADE) for code in wanted]
        variables = driver_cache(beside.cache)
        program = program_of(subject, target, rows, variables, proving.jit_seconds)
        hand_over(program, proving, wanted, contents, found, beside.stop)


def _left_out(code: Code, target: Target) -> Iterator[Outcome]:
    """Each text of a library that is not handed over, and why."""
    check, package = name_of(code, target.gpu, GRADE), code.package
    texts = code.of_grades("jit")
    if code.scattered and texts:
        why = f"{len(texts)} texts of which the library itself chooses which it compiles, if any"
        yield NotApplicable(check=check, grade=GRADE, package=package, why=why)
    if code.texts:
        why = f"{code.texts} texts in files of their own: what they are linked with is not known"
        yield NotApplicable(check=check, grade=GRADE, package=package, why=why)
    if code.linked_jit:
        why = f"{code.linked_jit} relocatable texts, which the run time links at first use"
        yield NotChecked(check=f"{check}, linked", grade=GRADE, package=package, why=why)


def _not_asked(code: Code, target: Target) -> NotChecked:
    rate, texts = driver_compiles(), code.of_grades("jit")
    size = sum(unit.text for unit in texts) / 1e6
    low, high = size * rate.least_seconds_per_mb, size * rate.most_seconds_per_mb
    why = f"{len(texts)} texts of {size:.0f} MB, which take {low:.0f} to {high:.0f} s of one core"
    return NotChecked(
        check=name_of(code, target.gpu, GRADE),
        grade=GRADE,
        package=code.package,
        why=f"no time was given to the driver's compiler: {why}",
    )
