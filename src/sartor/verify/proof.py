"""The whole proof of an environment: grade after grade, as far as was asked."""

from __future__ import annotations

import datetime
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sartor import __version__
from sartor.errors import InterruptedBySignal
from sartor.verify.model import (
    Grade,
    GradeCost,
    NotChecked,
    Outcome,
    Passed,
    ProvedGpu,
    ProvedOn,
    Report,
    reached,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sartor.host.model import Host
    from sartor.reporter import Reporter
    from sartor.verify.proving import Proving
    from sartor.verify.subject.model import Subject

MOST_NAMED = 8


def prove(subject: Subject, host: Host, proving: Proving, reporter: Reporter) -> Report:
    """Make every check of every grade that was asked for: one that fails does not end the others.

    ``host`` is the machine that this runs on. Ctrl-C and SIGTERM end it as `Proving` says.
    """
    from sartor.verify.features import feature_proofs
    from sartor.verify.resolves.slimmed import slimmed_files

    made = _Proof(subject, host, proving, reporter)
    try:
        made.make()
    except (KeyboardInterrupt, InterruptedBySignal):
        if not proving.keep_part:
            raise
        made.break_off()
    outcomes = made.outcomes
    return Report(
        environment=str(subject.path),
        python=subject.python_version,
        grade=reached(outcomes),
        asked=proving.asked,
        outcomes=outcomes,
        machine=proved_on(host),
        made_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        sartor=__version__,
        packages=subject.packages,
        files=made.files,
        slimmed=slimmed_files(subject, made.files),
        features=feature_proofs(subject, host, outcomes),
        lock=subject.lock_sha256,
        costs=[_cost(grade, outcomes, made.seconds) for grade in proving.grades],
        seconds=round(time.perf_counter() - made.began, 3),
    )


class _Proof:
    """A proof while it is made: the outcomes so far, and what each grade took that has an end."""

    def __init__(self, subject: Subject, host: Host, proving: Proving, reporter: Reporter) -> None:
        self.began = time.perf_counter()
        self.outcomes: list[Outcome] = []
        self.seconds: dict[Grade, float] = {}
        self.files: dict[str, str] = {}
        self._subject, self._host, self._proving = subject, host, proving
        self._reporter = reporter
        self._one_by_one = threading.Lock()
        self._ended: set[Grade] = set()

    def make(self) -> None:
        """Grade after grade, but that what runs is of two."""
        from sartor.verify.loads.checks import check_loads
        from sartor.verify.resolves.checks import check_resolves
        from sartor.verify.runs.checks import check_runs
        from sartor.verify.statics import static_outcomes

        subject, host, proving = self._subject, self._host, self._proving
        with self._timed("resolves"):
            self.files = check_resolves(subject, self._found, self._reporter)
            statics = list(static_outcomes(subject, host, proving.grades))
            self._all_found(o for o in statics if o.grade == "resolves")
        if "loads" not in proving.grades:
            return
        with self._timed("loads"):
            self._found(_interpreter_starts(subject))
            self._all_found(o for o in statics if o.grade != "resolves")
            contents = check_loads(subject, host, proving, self._found)
        if "launches" in proving.grades:
            check_runs(subject, host, contents, proving, self._found)
            self._all_found(list(_without_checks(subject, proving, self.outcomes)))
            self._ended |= {"launches", "golden"}

    def break_off(self) -> None:
        """Of each grade that has not come to its end the rest is not checked."""
        for grade in self._proving.grades:
            if grade not in self._ended:
                why = "the proof was broken off"
                check = f"what was left of {grade}"
                self._found(NotChecked(check=check, grade=grade, why=why))

    def _found(self, outcome: Outcome) -> None:
        with self._one_by_one:
            self.outcomes.append(outcome)
            self._reporter.progress("verifying", len(self.outcomes), None, "checks")

    def _all_found(self, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            self._found(outcome)

    @contextmanager
    def _timed(self, grade: Grade) -> Iterator[None]:
        """The wall time of the block goes to ``grade``, which has come to its end with it."""
        began = time.perf_counter()
        yield
        self.seconds[grade] = time.perf_counter() - began
        self._ended.add(grade)


def _interpreter_starts(subject: Subject) -> Outcome:
    """It was started, and asked what it is, before anything else was looked at."""
    return Passed(check="the interpreter starts", grade="loads", detail=subject.python_version)


def _without_checks(
    subject: Subject, proving: Proving, outcomes: list[Outcome]
) -> Iterator[Outcome]:
    """That there is nothing installed which Sartor has checks for, at a grade above *loads*."""
    every = [f"{name} {version}" for name, version in subject.packages.items()]
    more = f" and {len(every) - MOST_NAMED} more" if len(every) > MOST_NAMED else ""
    names = f"{', '.join(every[:MOST_NAMED])}{more}" or "an environment without packages"
    for grade in proving.grades[2:]:
        if not any(o.grade == grade for o in outcomes):
            yield NotChecked(
                check=f"what is installed, as far as {grade}",
                grade=grade,
                why=f"Sartor has no checks of this grade for {names}",
            )


def _cost(grade: Grade, outcomes: list[Outcome], seconds: dict[Grade, float]) -> GradeCost:
    """Wall time where the grade was measured as one, else the sum of its checks'."""
    own = [o for o in outcomes if o.grade == grade]
    taken = [o.gpu_bytes for o in own if o.gpu_bytes is not None]
    spent = seconds.get(grade, sum(o.seconds or 0 for o in own))
    return GradeCost(
        grade=grade,
        seconds=round(spent, 3),
        checks=len(own),
        gpu_bytes=max(taken, default=None),
    )


def proved_on(host: Host) -> ProvedOn:
    """What a report says of the machine."""
    cpu, driver = host.cpu, host.driver
    return ProvedOn(
        cpu=(cpu and (cpu.model or cpu.name)) or "unknown",
        architecture=host.architecture or "unknown",
        cores=(cpu and cpu.cores) or 0,
        memory_bytes=host.memory.total_bytes or 0,
        gpus=[
            ProvedGpu(
                name=gpu.name,
                compute_capability=gpu.compute_capability,
                memory_bytes=gpu.memory_bytes,
            )
            for gpu in host.gpus
        ],
        driver=driver.version if driver else None,
        cuda=driver.cuda if driver else None,
        glibc=host.glibc,
        kernel=host.system.release,
    )
