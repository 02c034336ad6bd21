"""The grades above *loads*: which programs of checks an environment's packages call for."""

from __future__ import annotations

import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sartor.verify.child import run
from sartor.verify.runs.caches import DRIVER_CACHE
from sartor.verify.runs.engines import engine_programs, without_checks
from sartor.verify.runs.first_use import Beside, check_first_use
from sartor.verify.runs.torch import torch_programs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sartor.host.model import Host
    from sartor.verify.child import Program
    from sartor.verify.model import Outcome
    from sartor.verify.proving import Proving
    from sartor.verify.subject.contents import Contents
    from sartor.verify.subject.model import Subject

ROOMY_CORES, ROOMY_BYTES = 8, 64 << 30
"""Physical cores and main memory from which on the driver's compiler (which takes cores, and hardly
the GPU), torch's checks and the engines' are at work at the same time."""


def check_runs(
    subject: Subject,
    host: Host,
    contents: Contents,
    proving: Proving,
    found: Callable[[Outcome], None],
) -> None:
    """Every check of *launches* and *golden*; ``found`` is called with each outcome."""
    stop = threading.Event()
    with tempfile.TemporaryDirectory(prefix="sartor-verify-") as name:
        torch, engines = torch_programs(subject, host), engine_programs(subject, host, Path(name))
        beside = Beside(Path(name, DRIVER_CACHE), stop)
        work = [
            partial(check_first_use, subject, host, contents, proving, found, beside),
            partial(_in_turn, torch, proving, found, stop),
            partial(_in_turn, engines, proving, found, stop),
        ]
        with ThreadPoolExecutor(len(work) if _is_roomy(host) else 1) as pool:
            try:
                for future in [pool.submit(one) for one in work]:
                    future.result()
            except BaseException:
                stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    for outcome in without_checks(subject):
        if outcome.grade in proving.grades:
            found(outcome)


def _in_turn(
    programs: Sequence[Program],
    proving: Proving,
    found: Callable[[Outcome], None],
    stop: threading.Event,
) -> None:
    """One program after another, of those whose grade was asked for."""
    for program in programs:
        if program.grade in proving.grades and not stop.is_set():
            run(program, proving.grades, on_outcome=found, stop=stop)


def _is_roomy(host: Host) -> bool:
    cores = (host.cpu and host.cpu.cores) or 1
    return cores >= ROOMY_CORES and (host.memory.available_bytes or 0) >= ROOMY_BYTES
