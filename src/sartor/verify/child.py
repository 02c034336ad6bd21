"""Checks in a process of their own: a crash, a hang or a flood of output ends one, not the others.

The program (`sartor.verify.programs.sartor_checks`) says what it begins before it begins, so the
check that took a process with it is known; those that are left are run in a new one.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

import msgspec

from sartor.processes import bounded, child_environment, signal_name
from sartor.verify.hints import hint_for
from sartor.verify.model import (
    GRADES,
    Failed,
    Grade,
    Measured,
    NotApplicable,
    NotChecked,
    Outcome,
    Passed,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

LOOP = Path(__file__).parent / "programs" / "sartor_checks" / "loop.py"
KEPT_BYTES = 8192
"""Of what a program prints, its last words are kept."""
SAID_LINES = 8
DYING_SECONDS = 5.0


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """A module of the checks' package, and the interpreter that runs it.

    ``variables`` are set beside the user's own. ``label`` is what its start is called as a check,
    ``grade`` the grade of that; it may take ``start_seconds``, for whatever it imports. ``beside``
    is a folder with what the checks themselves import and the environment does not have. Of checks
    that have a process for themselves ``at_once`` run at a time.
    """

    module: str
    label: str
    python: Path
    grade: Grade
    settings: dict[str, Any] = {}
    variables: dict[str, str] = {}
    start_seconds: float = 300.0
    beside: Path | None = None
    at_once: int = 1


class Planned(msgspec.Struct, frozen=True):
    """A check as a program announces it; ``seconds`` is its limit.

    ``alone``: it has a process for itself.
    """

    name: str
    grade: Grade
    seconds: float
    package: str | None = None
    features: list[str] = []
    alone: bool = False


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a program's results: its plan, the begin or the end of a check, or its own end."""

    plan: list[Planned] | None = None
    begin: str | None = None
    end: str | None = None
    done: bool = False
    outcome: Literal["passed", "failed", "not checked", "not applicable"] = "failed"
    detail: str = ""
    why: str = ""
    hint: str | None = None
    measured: Measured | None = None
    seconds: float | None = None
    gpu_bytes: int | None = None


def run(
    program: Program,
    grades: Collection[Grade] = GRADES,
    on_outcome: Callable[[Outcome], None] = lambda _: None,
    stop: threading.Event | None = None,
) -> list[Outcome]:
    """Run a program's checks of ``grades``, a process after another until all are made.

    ``on_outcome`` is called with each as it comes, never twice at the same time. A program that
    does not even announce its checks is one failure, named by its label. Where ``stop`` is set by
    another thread the rest is left.
    """
    return _Run(program, grades, on_outcome, stop or threading.Event()).whole()


class _Run:
    """The checks of a program: those that are made, and those that are left."""

    def __init__(
        self,
        program: Program,
        grades: Collection[Grade],
        on_outcome: Callable[[Outcome], None],
        stop: threading.Event,
    ) -> None:
        self._program = program
        self._grades = grades
        self._on_outcome = on_outcome
        self._stop = stop
        self._outcomes: list[Outcome] = []
        self._one_by_one = threading.Lock()
        self._made: set[str] = set()

    def whole(self) -> list[Outcome]:
        """First those that have a process for themselves, where several may run at a time."""
        planned: list[Planned] | None = None
        if self._program.at_once > 1:
            planned = self._session(())
            self._side_by_side([one for one in planned or () if one.alone])
            if planned is None:
                return self._outcomes
        left = None if planned is None else self._left(planned)
        while (left is None or left) and not self._stop.is_set():
            planned = self._session(left)
            if planned is None:
                break
            left = self._left(planned)
        return self._outcomes

    def _left(self, planned: list[Planned]) -> set[str]:
        return {one.name for one in planned} - self._made

    def _side_by_side(self, checks: list[Planned]) -> None:
        """Each in its own process, as many at a time as the program says."""
        with ThreadPoolExecutor(self._program.at_once) as pool:
            try:
                for future in [pool.submit(self._session, (one.name,)) for one in checks]:
                    future.result()
            except BaseException:
                self._stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _session(self, only: Collection[str] | None) -> list[Planned] | None:
        """One process, for the checks in ``only`` (None: all); what it announced.

        None where it came to nothing, and nothing more will.
        """
        session = _Session(self._program, self._grades, self._found, self._stop)
        try:
            session.run(only)
        except OSError as error:  # the interpreter is gone, or is none
            why = f"{self._program.python}: {error.strerror}"
            self._found(Failed(check=self._program.label, grade=self._program.grade, detail=why))
            return None
        if self._stop.is_set():
            return None
        if session.planned is None or not (session.made or session.begun or session.done):
            self._found(session.never_began())
            return None
        if session.begun is not None:
            self._found(session.broke_off(session.begun))
            session.made.add(session.begun.name)
        self._made |= session.made
        return session.planned

    def _found(self, outcome: Outcome) -> None:
        with self._one_by_one:
            self._outcomes.append(outcome)
            self._on_outcome(outcome)


class _Session:
    """One process: what it announced, what it made, what it printed, and how it ended."""

    def __init__(
        self,
        program: Program,
        grades: Collection[Grade],
        found: Callable[[Outcome], None],
        stop: threading.Event,
    ) -> None:
        self._stop = stop
        self.planned: list[Planned] | None = None
        self.begun: Planned | None = None
        self.made: set[str] = set()
        self.done = False
        self._program = program
        self._grades = grades
        self._found = found
        self._results = b""
        self._words = b""
        self._since = time.monotonic()
        self._hung: float | None = None
        self._broken: str | None = None
        self._status: int | None = None

    def run(self, only: Collection[str] | None) -> None:
        """Run the program until it ends, or has to be ended."""
        with contextlib.ExitStack() as files:
            (reading, writing), (printing, printed) = _pipe(files), _pipe(files)
            process = subprocess.Popen(
                [str(self._program.python), "-I", str(LOOP)],
                stdin=subprocess.PIPE,
                stdout=printed,
                stderr=printed,
                env=child_environment() | self._program.variables,
                pass_fds=(writing.fileno(),),
                start_new_session=True,
            )
            with bounded(process):
                self._hand_over(process, writing.fileno(), only)
                writing.close()
                printed.close()
                self._listen(process, reading.fileno(), printing.fileno())
            self._status = process.returncode

    def never_began(self) -> Failed:
        """The failure of the program itself."""
        return self._failed(self._program.label, self._program.grade)

    def broke_off(self, planned: Planned) -> Failed:
        """The failure of the check in which the process ended, or had to be ended."""
        own = self._failed(planned.name, planned.grade)
        return msgspec.structs.replace(own, package=planned.package, features=planned.features)

    def _failed(self, check: str, grade: Grade) -> Failed:
        words = "\n".join(self._last_words().splitlines()[-SAID_LINES:])
        seconds = round(time.monotonic() - self._since, 3)
        detail = "\n".join(filter(None, [words, self._how_it_ended()]))
        hint = hint_for(words, self._status)
        return Failed(check=check, grade=grade, detail=detail, hint=hint, seconds=seconds)

    def _last_words(self) -> str:
        return self._words.decode("utf-8", "replace").strip()

    def _how_it_ended(self) -> str:
        if self._broken is not None:
            return f"its results cannot be read: {self._broken}"
        if self._hung is not None:
            return f"did not end within {self._hung:g} s"
        if self._status is not None and self._status < 0:
            return f"ended by {signal_name(-self._status)}"
        return f"ended with status {self._status}"

    def _hand_over(
        self, process: subprocess.Popen[bytes], writing: int, only: Collection[str] | None
    ) -> None:
        """The job on the program's standard input; one that is dead already is found out later."""
        job = {
            "program": self._program.module,
            "settings": self._program.settings,
            "grades": list(self._grades),
            "checks": None if only is None else sorted(only),
            "results": writing,
            "beside": str(self._program.beside) if self._program.beside else None,
        }
        if process.stdin is not None:
            with contextlib.suppress(BrokenPipeError), process.stdin as file:
                file.write(msgspec.json.encode(job))

    def _listen(self, process: subprocess.Popen[bytes], reading: int, printing: int) -> None:
        """Take results and words until the process has ended, or is over its time."""
        with selectors.DefaultSelector() as selector:
            selector.register(reading, selectors.EVENT_READ)
            selector.register(printing, selectors.EVENT_READ)
            while selector.get_map() and not self._over_its_time():
                ready = selector.select(0.1)
                for key, _ in ready:
                    data = os.read(key.fd, 1 << 16)
                    if not data:
                        selector.unregister(key.fd)
                    elif key.fd == printing:
                        self._words = (self._words + data)[-KEPT_BYTES:]
                    else:
                        self._take(data)
                if not ready and process.poll() is not None:
                    return  # what it left behind may hold the pipes open
        at_once = self._hung is not None or self._stop.is_set()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0 if at_once else DYING_SECONDS)

    def _over_its_time(self) -> bool:
        """Whether it has to be ended: hung, done but still there, or not to be understood."""
        own = self.begun.seconds if self.begun else self._program.start_seconds
        limit = DYING_SECONDS if self.done else own
        over = time.monotonic() - self._since > limit
        if over and not self.done:
            self._hung = limit
        return over or self._broken is not None or self._stop.is_set()

    def _take(self, data: bytes) -> None:
        *lines, self._results = (self._results + data).split(b"\n")
        for line in lines:
            try:
                self._said(msgspec.json.decode(line, type=_Line))
            except (msgspec.DecodeError, KeyError) as error:
                self._broken = str(error)
                return
            self._since = time.monotonic()

    def _said(self, line: _Line) -> None:
        """One line of the program's results."""
        if line.plan is not None:
            self.planned = line.plan
        elif line.done:
            self.done = True
        elif line.begin is not None:
            self.begun = self._by_name(line.begin)
        elif line.end is not None:
            planned, self.begun = self._by_name(line.end), None
            self.made.add(planned.name)
            self._found(_outcome(planned, line))

    def _by_name(self, name: str) -> Planned:
        return next(p for p in self.planned or [] if p.name == name)


def _pipe(files: contextlib.ExitStack) -> tuple[IO[bytes], IO[bytes]]:
    """The two ends of a pipe, for reading and for writing."""
    reading, writing = os.pipe()
    return (
        files.enter_context(os.fdopen(reading, "rb", 0)),
        files.enter_context(os.fdopen(writing, "wb", 0)),
    )


def _outcome(planned: Planned, line: _Line) -> Outcome:
    """What a program said of a check, as an outcome."""
    common: dict[str, Any] = {
        "check": planned.name,
        "grade": planned.grade,
        "package": planned.package,
        "features": planned.features,
        "seconds": line.seconds,
        "gpu_bytes": line.gpu_bytes,
    }
    match line.outcome:
        case "passed":
            return Passed(**common, detail=line.detail, measured=line.measured)
        case "not checked":
            return NotChecked(**common, why=line.why, hint=line.hint)
        case "not applicable":
            return NotApplicable(**common, why=line.why)
        case _:
            hint = line.hint or hint_for(line.detail)
            return Failed(**common, detail=line.detail, hint=hint, measured=line.measured)
