"""Device code is handed to the CUDA driver, container for container, as it stands in the files.

The driver chooses the image of each. Run with ``CUDA_MODULE_LOADING=EAGER``, and at the grade
*loads* with ``CUDA_CACHE_DISABLE=1`` and ``CUDA_DISABLE_PTX_JIT=1``. ``settings``:

``capability``   of the GPU (``9.0``)
``libraries``    rows of check, grade, package, path, ``files`` (file names below it; none: the path
                 itself), ``units``: [number of the file, offset, size, foretold, bytes of PTX text]
                 ``what``: what to say where nothing is foretold to load, ``jit``:
                 whether PTX is what should load, and not machine code
``seconds``      limit for each unit
``total``        wall time for all of them, from the first on; None: none
``rates``        the least and the most seconds that a MB (10^6 bytes) of PTX text takes
``memory``       bytes of main memory that a worker may take
"""

from __future__ import annotations

import os
from functools import partial
from typing import Any, Dict, List, NamedTuple, Optional, Tuple  # noqa: UP035

from sartor_checks import Check, NothingToCheck, NotMade, Result, Settings
from sartor_checks.driver import Driver, Files
from sartor_checks.pool import Done, Job, Make, Pool, usable_cores

CONTEXT_BYTES = 1 << 30
"""GPU memory that is left for each worker: its context, and the code that it loads."""
NICE = 5
"""Other checks, with a limit to their time, may run beside the driver's compiler."""
MOST_FAILURES = 20
WAIT_SECONDS = 120.0
MB = 1e6

Row = Dict[str, Any]  # noqa: UP006


class Unit(NamedTuple):
    """One container, or a file of device code: where it is and what was foretold of it."""

    file: int
    offset: int
    size: int
    foretold: str
    text: int


def checks(settings: Settings) -> List[Check]:  # noqa: UP006
    """A check for each library; they share the workers."""
    rows = settings["libraries"]
    for row in rows:
        row["units"] = [Unit(*unit) for unit in row["units"]]
    total: Optional[float] = settings["total"]  # noqa: UP045
    pool = Pool(
        ordered(rows, settings),
        partial(loader, settings["capability"]),
        partial(workers, settings["memory"]),
        seconds=total,
    )
    longest = sum(len(row["units"]) for row in rows) * settings["seconds"]
    limit = WAIT_SECONDS + (longest if total is None else total)
    run = partial(partial, loaded, pool, settings)
    return [Check(r["check"], r["grade"], run(r), limit, r["package"]) for r in rows]


def ordered(rows: List[Row], settings: Settings) -> List[Job]:  # noqa: UP006
    """The jobs: longest texts first, so that none is left to run alone at the end.

    Where they may not all be done in time the shortest come first: so most are proved; one that
    may take longer than all of the time is not begun.
    """
    jobs = [
        (unit.text, Job((number, index), [path_of(row, unit), unit.offset, unit.size], seconds))
        for number, row in enumerate(rows)
        for seconds in [settings["seconds"]]
        for index, unit in enumerate(row["units"])
    ]
    for number, row in enumerate(rows):
        row["number"] = number
    total, slowest = settings["total"], settings["rates"][1]
    if total is not None:
        jobs = [(text, job) for text, job in jobs if text / MB * slowest <= total]
    most = sum(text for text, _ in jobs) / MB * slowest / usable_cores()
    shortest_first = total is not None and most > total
    jobs.sort(key=lambda pair: pair[0], reverse=not shortest_first)
    return [job for _, job in jobs]


def path_of(row: Row, unit: Unit) -> str:
    """The file that a unit is in."""
    files = row["files"]
    return os.path.join(row["path"], files[unit.file]) if files else str(row["path"])  # noqa: PTH118


def loader(capability: str) -> Tuple[Make, Any]:  # noqa: UP006
    """What a worker does with a unit: the driver's code, its name, and the GPU memory in use."""
    os.nice(NICE)
    driver, files = Driver(capability), Files()

    def make(where: Any) -> Tuple[Any, bool]:  # noqa: UP006
        path, offset, size = where
        code = driver.load(files.read(path, offset, size))
        spent = bool(code) and not driver.healthy()
        if spent:
            return [code, driver.name_of(code), 0], True
        free, total = driver.memory()
        return [code, driver.name_of(code) if code else "", total - free], False

    return make, driver.memory()


def workers(memory: Optional[int], greeting: Any) -> int:  # noqa: UP045
    """As many as cores, the GPU's memory and main memory allow beside the one that is there."""
    most = usable_cores() - 1
    most = min(most, greeting[0] // CONTEXT_BYTES)
    if memory:
        most = min(most, available_memory() // memory - 1)
    return 1 + max(0, int(most))


def available_memory() -> int:
    """Bytes of main memory that can be had; plenty where Linux does not say."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:  # noqa: PTH123
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) << 10
    except OSError:
        pass
    return 1 << 62


def loaded(pool: Pool, settings: Settings, row: Row) -> Result:
    """The result for one library."""
    units = row["units"]
    keys = [(row["number"], index) for index in range(len(units))]
    found = [pool.result(key) if pool.knows(key) else Done(late=True) for key in keys]
    refused = next((done.refused for done in found if done.refused is not None), None)
    if refused is not None:
        raise NotMade(refused)
    pairs = list(zip(units, found))
    foretold = "jit" if row["jit"] else "native"
    wanted = [(u, d) for u, d in pairs if u.foretold == foretold]
    others = [(u, d) for u, d in pairs if u.foretold != foretold]
    wrong = [(u, d) for u, d in wanted if not d.late and not loads(d)]
    late = [u for u, d in wanted if d.late]
    surprises = [u for u, d in others if loads(d)]
    said = surprising(row, surprises)
    seconds = sum(done.seconds for done in found)
    if wrong:
        return Result(False, "\n".join([*failures(row, wrong, len(wanted)), *said]))
    if late:
        raise NotMade(not_reached(late, wanted, settings))
    if not wanted and not surprises:
        raise NothingToCheck(row["what"])
    does = "are compiled" if row["jit"] else "load"
    summary = f"all of {len(wanted)} units {does}, {seconds:.1f} s of the driver"
    if others:
        summary += f"; {len(others)} others are not for this GPU"
    taken = [done.value[2] for done in found if done.value]
    return Result(True, "\n".join([summary, *said]), gpu_bytes=max(taken, default=0))


def loads(done: Done) -> bool:
    """Whether the driver took it."""
    return done.value is not None and done.value[0] == 0


def failures(row: Row, wrong: List[Tuple[Unit, Done]], count: int) -> List[str]:  # noqa: UP006
    """A line for each unit that should load and does not, the first of them."""
    lines = [f"{len(wrong)} of {count} units that should load do not"]
    for unit, done in wrong[:MOST_FAILURES]:
        why = done.died or done.raised or (done.value[1] if done.value else "no answer")
        words = f": {done.words.splitlines()[-1]}" if done.words else ""
        lines.append(f"{name_of(row, unit)}: {why}{words}")
    if len(wrong) > MOST_FAILURES:
        lines.append(f"and {len(wrong) - MOST_FAILURES} more")
    return lines


def surprising(row: Row, units: List[Unit]) -> List[str]:  # noqa: UP006
    """What to say where the driver loads what was foretold not to."""
    if not units:
        return []
    shown = ", ".join(f"{name_of(row, unit)} ({unit.foretold})" for unit in units[:3])
    return [f"{len(units)} units load against what their images foretell: {shown}"]


def name_of(row: Row, unit: Unit) -> str:
    """A unit: its offset, in its file."""
    return str(row["files"][unit.file]) if row["files"] else f"unit at {unit.offset:#x}"


def not_reached(late: List[Unit], wanted: List[Any], settings: Settings) -> str:  # noqa: UP006
    """What was not reached, and the forecast of the time it takes."""
    text = sum(unit.text for unit in late) / MB
    low, high = (text * rate for rate in settings["rates"])
    count, total = f"{len(late)} of {len(wanted)} units", settings["total"] or 0
    return (
        f"{count} were not compiled in the {total:g} s that there were:"
        f" {text:.0f} MB of PTX, which take {low:.0f} to {high:.0f} s of one core"
    )
