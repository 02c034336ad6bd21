"""Jobs in forked processes, several at once: one that crashes, hangs or prints ends no other.

A worker is a fork of the process that makes the checks: what that has imported is there. Results
come as they are asked for, so that nothing runs before a check wants it.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import time
import traceback
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple  # noqa: UP035

Key = Tuple[Any, ...]  # noqa: UP006
Make = Callable[[Any], Any]

KEPT_BYTES = 4096
"""Of what a worker prints, its last words are kept."""
POLL_SECONDS = 0.05
DRAIN_READS = 256


class Job(NamedTuple):
    """``payload`` is what the worker's function gets; it has ``seconds`` for it."""

    key: Key
    payload: Any
    seconds: float


class Done(NamedTuple):
    """What became of a job. ``value``: what the function returned.

    ``raised``: the text of what it raised; ``died``: how its process ended (a signal by name, a
    status, or that it was over its time), with its last ``words``. ``refused``: why no worker could
    begin; ``late``: the pool's own time was over before it had an answer.
    """

    value: Any = None
    raised: Optional[str] = None  # noqa: UP045
    died: Optional[str] = None  # noqa: UP045
    refused: Optional[str] = None  # noqa: UP045
    late: bool = False
    words: str = ""
    seconds: float = 0.0


class Pool:
    """``start`` is called in each worker; it returns the function that makes the jobs.

    ``workers``: how many at once, given what the first one's ``start`` left in ``greeting``; only
    one is started to learn that. ``fresh``: a new worker for each job. ``seconds``: after so many,
    counted from the first question, no more jobs are begun and those that run are given up.
    """

    def __init__(
        self,
        jobs: List[Job],  # noqa: UP006
        start: Callable[[], Tuple[Make, Any]],  # noqa: UP006
        workers: Callable[[Any], int],
        *,
        fresh: bool = False,
        seconds: Optional[float] = None,  # noqa: UP045
    ) -> None:
        self._waiting = list(reversed(jobs))
        self._known = {job.key for job in jobs}
        self._start = start
        self._count = workers
        self._fresh = fresh
        self._seconds = seconds
        self._until: Optional[float] = None  # noqa: UP045
        self._most = 0 if not fresh else workers(None)
        self._workers: List[_Worker] = []  # noqa: UP006
        self._done: Dict[Key, Done] = {}  # noqa: UP006

    def knows(self, key: Key) -> bool:
        """Whether it is one of the jobs."""
        return key in self._known

    def result(self, key: Key) -> Done:
        """What became of a job; waits until that is known."""
        if self._until is None:
            self._until = time.monotonic() + (1e9 if self._seconds is None else self._seconds)
        while key not in self._done:
            self._step()
        if not self._waiting and not any(worker.job for worker in self._workers):
            self.close()
        return self._done[key]

    def close(self) -> None:
        """End every worker."""
        for worker in self._workers:
            worker.end()
        self._workers = []

    def _step(self) -> None:
        if time.monotonic() > (self._until or 0):
            self._give_up()
            return
        self._employ()
        ends = {fd: worker for worker in self._workers for fd in worker.open_ends()}
        ready, _, _ = select.select(list(ends), [], [], POLL_SECONDS)
        for fd in ready:
            ends[fd].read(fd)
        for worker in list(self._workers):
            self._look_at(worker)

    def _employ(self) -> None:
        """Give every idle worker a job, and start those that are wanted."""
        for worker in self._workers:
            if self._waiting and worker.job is None and worker.greeted and not worker.spent:
                worker.give(self._waiting.pop())
        starting = sum(not worker.greeted for worker in self._workers)
        while len(self._workers) < (self._most or 1) and len(self._waiting) > starting:
            self._workers.append(_Worker(self._start))
            starting += 1

    def _look_at(self, worker: _Worker) -> None:
        """Take what a worker has to say, and let go of one that has ended."""
        answer = worker.answer()
        if answer is not None and "refused" in answer:
            self._refused(worker, answer["refused"])
        elif answer is not None and "greeting" in answer:
            self._most = self._most or max(1, self._count(answer["greeting"]))
        elif answer is not None and worker.job is not None:
            self._done[worker.job.key] = Done(
                answer.get("value"), answer.get("raised"), seconds=worker.taken()
            )
            worker.job = None
            worker.spent = self._fresh or bool(answer.get("spent"))
        if worker.spent:
            self._dismiss(worker)
            return
        ended = worker.ended()
        if ended is None:
            return
        if worker.job is not None:
            self._done[worker.job.key] = Done(
                died=ended, words=worker.words(), seconds=worker.taken()
            )
        elif not worker.greeted:
            self._refused(worker, "\n".join(filter(None, [worker.words(), ended])))
            return
        self._dismiss(worker)

    def _refused(self, worker: _Worker, why: str) -> None:
        """A worker cannot begin: where none has, no other will; where others have, they go on."""
        self._dismiss(worker)
        self._most = len(self._workers) if self._workers else self._most
        if not self._workers:
            while self._waiting:
                self._done[self._waiting.pop().key] = Done(refused=why)

    def _give_up(self) -> None:
        for worker in self._workers:
            if worker.job is not None:
                self._done[worker.job.key] = Done(late=True, seconds=worker.taken())
        self.close()
        while self._waiting:
            self._done[self._waiting.pop().key] = Done(late=True)

    def _dismiss(self, worker: _Worker) -> None:
        worker.end()
        if worker in self._workers:
            self._workers.remove(worker)


class _Worker:
    """A forked process: it greets, then answers each job with a line of JSON."""

    def __init__(self, start: Callable[[], Tuple[Make, Any]]) -> None:  # noqa: UP006
        self.job: Optional[Job] = None  # noqa: UP045
        self.greeted = False
        self.spent = False
        self._since = time.monotonic()
        self._status: Optional[int] = None  # noqa: UP045
        self._heard, self._said = b"", b""
        jobs, self._jobs = os.pipe()
        self._answers, answers = os.pipe()
        self._printed, printed = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            _work(start, jobs, answers, printed)
        for end in (jobs, answers, printed):
            os.close(end)
        self._open = [self._answers, self._printed]

    def open_ends(self) -> List[int]:  # noqa: UP006
        """What may be read of it."""
        return self._open

    def read(self, end: int) -> None:
        """Take what lies in one of its pipes."""
        data = os.read(end, 1 << 16)
        if not data:
            self._open.remove(end)
        elif end == self._answers:
            self._heard += data
        else:
            self._said = (self._said + data)[-KEPT_BYTES:]

    def give(self, job: Job) -> None:
        """Hand a job over; one that is dead already is found out by `ended`."""
        self.job, self._since = job, time.monotonic()
        with contextlib.suppress(BrokenPipeError):
            os.write(self._jobs, json.dumps(job.payload).encode() + b"\n")

    def answer(self) -> Optional[Dict[str, Any]]:  # noqa: UP006, UP045
        """Its next line; None where there is none yet."""
        line, found, rest = self._heard.partition(b"\n")
        if not found:
            return None
        self._heard = rest
        self.greeted = True
        said: Dict[str, Any] = json.loads(line)  # noqa: UP006
        return said

    def ended(self) -> Optional[str]:  # noqa: UP045
        """How its process ended; None where it runs. One that is over its time is killed."""
        if self._status is None:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            self._status = status if pid else None
        if self._status is not None:
            self._drain()
            return None if b"\n" in self._heard else how_it_ended(self._status)
        if self.job is not None and self.taken() > self.job.seconds:
            self.end()
            return f"did not end within {self.job.seconds:g} s"
        return None

    def words(self) -> str:
        """The last that it printed."""
        return self._said.decode("utf-8", "replace").strip()

    def taken(self) -> float:
        """Seconds since it got its job."""
        return time.monotonic() - self._since

    def end(self) -> None:
        """End it, whatever it does."""
        if self._status is None:
            os.kill(self._pid, signal.SIGKILL)
            _, self._status = os.waitpid(self._pid, 0)
        for end in [self._jobs, self._answers, self._printed]:
            with contextlib.suppress(OSError):
                os.close(end)
        self._jobs = self._answers = self._printed = -1
        self._open = []

    def _drain(self) -> None:
        """What it left in its pipes; a process that it started may hold them open."""
        for _ in range(DRAIN_READS):
            ready, _, _ = select.select(self._open, [], [], 0) if self._open else ([], [], [])
            if not ready:
                return
            for end in ready:
                self.read(end)


def _work(start: Callable[[], Tuple[Make, Any]], jobs: int, answers: int, printed: int) -> None:  # noqa: UP006
    """The worker itself; never returns."""
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(printed, 1)
        os.dup2(printed, 2)

        def say(**line: Any) -> None:
            data = json.dumps(line).encode() + b"\n"
            while data:
                data = data[os.write(answers, data) :]

        try:
            make, greeting = start()
        except Exception as error:
            say(refused=str(error) or type(error).__name__)
            os._exit(0)
        say(greeting=greeting)
        with os.fdopen(jobs, encoding="utf-8") as lines:
            for line in iter(lines.readline, ""):
                try:
                    value, spent = make(json.loads(line))
                    say(value=value, spent=spent)
                except Exception as error:
                    say(raised=str(error) or type(error).__name__)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def how_it_ended(status: int) -> str:
    """The status of `os.waitpid` in words, a signal by its name."""
    if not os.WIFSIGNALED(status):
        return f"ended with status {os.WEXITSTATUS(status)}"
    number = os.WTERMSIG(status)
    try:
        return f"ended by {signal.Signals(number).name}"
    except ValueError:
        return f"ended by signal {number}"


def usable_cores() -> int:
    """One less than the cores that this process may use, and no less than one."""
    return max(1, len(os.sched_getaffinity(0)) - 1)
