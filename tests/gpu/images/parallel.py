"""Run measurements in forked children: one that a load kills, or leaves broken, is replaced."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING

from gpu.images.driver import Driver

if TYPE_CHECKING:
    from multiprocessing.context import ForkProcess

Result = dict[str, object]
Measure = Callable[[Driver, int], Result]
SAY_EVERY_S = 10.0


def _child(measure: Measure, indices: list[int], out: Connection) -> None:
    driver = Driver()
    for index in indices:
        out.send((index, None))
        out.send((index, json.dumps(measure(driver, index))))
        if not driver.healthy():
            break
    out.close()
    os._exit(0)


class Worker:
    """One share of the indices, and the child that works on it."""

    def __init__(self, measure: Measure, indices: list[int]) -> None:
        self._measure, self._left = measure, indices
        self._child: ForkProcess | None = None
        self._begun: tuple[int, float] | None = None
        self.pipe: Connection | None = None
        self.start()

    def start(self) -> None:
        """A new child for what is left; none where nothing is."""
        self.pipe = self._child = self._begun = None
        if self._left:
            context = get_context("fork")
            self.pipe, theirs = context.Pipe(duplex=False)
            argv = (self._measure, list(self._left), theirs)
            self._child = context.Process(target=_child, args=argv)
            self._child.start()
            theirs.close()  # else the end of the child is never seen

    def answer(self) -> tuple[int, Result] | None:
        """The next result that lies in the pipe; at its end the child is replaced."""
        assert self.pipe is not None
        assert self._child is not None
        try:
            index, text = self.pipe.recv()
        except EOFError:
            self._child.join()
            ended, begun = self._child.exitcode, self._begun
            if begun is None and ended:
                raise RuntimeError(f"a child could not start: {ended}") from None
            if begun is not None:
                self._left.remove(begun[0])
            self.start()
            return None if begun is None else (begun[0], {"died": ended})
        if text is None:
            self._begun = index, time.monotonic()
            return None
        self._begun = None
        self._left.remove(index)
        return index, json.loads(text)

    def end_if_late(self, longest_s: float) -> None:
        """Kill a child whose measurement takes too long; `answer` then sees its end."""
        if self._begun is not None and time.monotonic() - self._begun[1] > longest_s:
            assert self._child is not None
            self._child.kill()


def measure_all(measure: Measure, count: int, workers: int, longest_s: float) -> dict[int, Result]:
    """``measure(driver, i)`` for each ``i`` below ``count``, by so many processes.

    A child that ends while it measures, or is killed after ``longest_s``, gives
    ``{"died": status}`` for that index.
    """
    said = time.monotonic()
    shares = [list(range(first, count, workers)) for first in range(min(workers, count))]
    running = [Worker(measure, share) for share in shares]
    found: dict[int, Result] = {}
    while pipes := {worker.pipe: worker for worker in running if worker.pipe}:
        for pipe in wait(list(pipes), timeout=1.0):
            assert isinstance(pipe, Connection)
            answer = pipes[pipe].answer()
            if answer is not None:
                found[answer[0]] = answer[1]
        if time.monotonic() - said > SAY_EVERY_S:
            said = time.monotonic()
            died = sum("died" in row for row in found.values())
            print(f"{len(found)} of {count}, {died} died", file=sys.stderr)  # noqa: T201
        for worker in pipes.values():
            worker.end_if_late(longest_s)
    return found
