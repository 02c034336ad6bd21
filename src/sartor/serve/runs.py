"""The records of runs: one folder each, read and cleaned by any `sartor` of the same user."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from sartor.errors import NoSuchRunError, did_you_mean
from sartor.processes import end_group, members, names
from sartor.serve.model import Endpoint, Exit, Process, Processes, Run, RunState
from sartor.serve.origin import boot, distance

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sartor.paths import Places

T = TypeVar("T")

RECORD, PROCESSES, EXIT, ENDPOINT = "run.json", "processes.json", "exit.json", "endpoint.json"
KEY = "api-key"

_OVER = {"lost", "ended"}

YOUNG_SECONDS = 30
"""How long a run may go without the record of its processes before it counts as left behind."""


def read(path: Path, kind: type[T]) -> T | None:
    """The value in a JSON file; None where it is not there, or was cut short."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError):
        return None


def alive(process: Process) -> bool:
    """Whether that very process still runs (a zombie does not, nor a later one of its number)."""
    return created(process.pid) == process.created


def created(pid: int) -> str | None:
    """When a process was created, as `Process` has it; None where it does not run."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in {b"Z", b"X"} else f"{boot()}:{fields[19].decode()}"


def folders(places: Places) -> list[Path]:
    """The folders of all runs, oldest first."""
    try:
        found = [(_age(p / RECORD), p) for p in places.runs.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [p for _, p in sorted(((age, p) for age, p in found if age is not None), reverse=True)]


def _age(path: Path) -> float | None:
    """Seconds since the file was written; None where there is none, or none any more."""
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return None


def url_of(run: Run) -> str:
    """The base address for clients on this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(run.host, run.host)  # noqa: S104
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    return f"http://{host}:{run.port}/v1"


def state(folder: Path) -> RunState | None:
    """What became of one run; None where there is no readable record."""
    run = read(folder / RECORD, Run)
    if run is None:
        return None
    processes = read(folder / PROCESSES, Processes)
    ended = read(folder / EXIT, Exit)
    return RunState(
        id=run.id,
        state=_state(folder, run, processes, ended),
        engine=run.engine,
        version=run.version,
        model=run.model,
        url=url_of(run),
        port=run.port,
        environment=run.environment,
        log=run.log,
        started_at=run.started_at,
        pid=processes.server.pid if processes else None,
        exit_status=ended.status if ended else None,
        api_key_file=run.api_key_file,
    )


def _state(folder: Path, run: Run, processes: Processes | None, ended: Exit | None) -> str:
    if ended is not None:
        return "ended"
    match distance(run.origin):
        case "elsewhere":
            return "elsewhere"
        case "rebooted":
            return "lost"
        case "here":
            return _state_here(folder, processes)


def _state_here(folder: Path, processes: Processes | None) -> str:
    if processes is None:
        # The supervisor writes this file first; a folder without it is young, or was left behind.
        return "starting" if (_age(folder / RECORD) or 0) < YOUNG_SECONDS else "lost"
    if not alive(processes.supervisor):
        return "lost"
    return "running" if (folder / ENDPOINT).exists() else "starting"


def states(places: Places) -> list[RunState]:
    """Every run that has a record, oldest first."""
    return [s for s in map(state, folders(places)) if s is not None]


def find(places: Places, name: str | None) -> list[RunState]:
    """The run of that id (or port, or engine), or the only one here where no name is given.

    Raises `NoSuchRunError`, with the names that there are.
    """
    known = states(places)
    near = [s for s in known if s.state != "elsewhere"] or known
    if name is None and len(near) <= 1:
        return near
    chosen = [s for s in known if name in {s.id, str(s.port), s.engine}]
    if chosen:
        return chosen
    names = [s.id for s in known]
    if name is None:
        raise NoSuchRunError(
            "there are several runs: say which", found=names, hint="`--all` takes them all"
        )
    raise NoSuchRunError(
        f"there is no run `{name}`",
        found=[f"runs: {', '.join(names) or 'none'}"],
        hint=did_you_mean(name, names) or "`sartor status` lists them",
    )


def to_stop(
    places: Places, name: str | None, *, everything: bool
) -> tuple[list[RunState], list[str]]:
    """The runs that are meant, and the ids of those that were cleaned up on the way.

    ``everything`` means everything here. Raises `NoSuchRunError` where none is meant, several
    might be, or one is out of reach.
    """
    named = find(places, name) if name else None
    cleaned = clean_lost(places)
    if everything and named is None:
        named = [s for s in states(places) if s.state != "elsewhere"]
    elif named is None:
        named = find(places, None)
    chosen = [state for state in named if state.id not in cleaned and state.state not in _OVER]
    require_here(places, chosen)
    return chosen, cleaned


def require_here(places: Places, chosen: list[RunState]) -> None:
    """Raise `NoSuchRunError` where a run's processes are out of reach."""
    for run in chosen:
        if run.state == "elsewhere":
            record = read(places.runs / run.id / RECORD, Run)
            raise NoSuchRunError(
                f"{run.id} does not run here but on another machine, or in another container, "
                "that shares this SARTOR_HOME",
                found=[f"started on {record.origin.host}"] if record and record.origin else [],
                hint="`sartor stop` ends it there; where that machine or container is gone for "
                f"good, remove `{places.runs / run.id}`",
            )


def stop(places: Places, run: RunState, grace_seconds: float = 15) -> bool:
    """End a run and everything that belongs to it: processes, port, folder. Its log is kept.

    False where somebody else had ended it. The run must be of here: see `require_here`.
    """
    folder = places.runs / run.id
    if run.state == "starting":
        _wait_for_processes(folder)
    return remove(folder, grace_seconds)


def _wait_for_processes(folder: Path, seconds: float = 5) -> None:
    """Give a supervisor that is being started the time to say who it is."""
    deadline = time.monotonic() + seconds
    while (folder / RECORD).exists() and not (folder / PROCESSES).exists():
        if time.monotonic() > deadline:
            return
        time.sleep(0.02)


def remove(folder: Path, grace_seconds: float = 15) -> bool:
    """End the processes that a run's folder names, and remove the folder.

    Of several that do so at once, one gets True. Processes that are not of here are left alone.
    """
    with _claimed(folder) as ours:
        if ours:
            _end(folder, grace_seconds)
            shutil.rmtree(folder, ignore_errors=True)
        return ours


@contextlib.contextmanager
def _claimed(folder: Path) -> Iterator[bool]:
    """Keep others from removing the folder; False where it is gone, once they have."""
    try:
        claim = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        yield False
        return
    try:
        with contextlib.suppress(OSError):  # some network file systems lock no folders
            fcntl.flock(claim, fcntl.LOCK_EX)
        yield folder.exists() and os.path.samestat(folder.stat(), os.fstat(claim))
    finally:
        os.close(claim)


def _end(folder: Path, grace_seconds: float) -> None:
    """End what runs of the folder's processes: the supervisor, then what it left."""
    run, processes = read(folder / RECORD, Run), read(folder / PROCESSES, Processes)
    if run is None or processes is None or distance(run.origin) != "here":
        return
    if alive(processes.supervisor):
        with contextlib.suppress(ProcessLookupError):
            os.kill(processes.supervisor.pid, signal.SIGTERM)
        deadline = time.monotonic() + grace_seconds
        while alive(processes.supervisor) and time.monotonic() < deadline:
            time.sleep(0.02)
        if alive(processes.supervisor):
            end_group(processes.supervisor.pid, 0)
    if alive(processes.server) or _leaderless(processes.server.pid, run, folder):
        end_group(processes.server.pid, 5)


def _leaderless(group: int, run: Run, folder: Path) -> bool:
    """Whether a group whose leader is gone is still the run's own, and not a later one.

    The number alone does not tell: a process of it must have to do with the run.
    """
    if run.origin is None or Path(f"/proc/{group}").exists():
        return False
    paths = {folder, folder.resolve(), Path(run.environment)}
    return any(names(pid, paths) for pid in members(group))


def endpoint(places: Places, key: str, port: int | None = None) -> Endpoint | None:
    """The endpoint of a server that runs and was asked for in the same way; on ``port`` if any."""
    for folder in folders(places):
        run = read(folder / RECORD, Run)
        if run is None or run.key != key or port not in {None, run.port}:
            continue
        if _of(folder) == "running":
            return read(folder / ENDPOINT, Endpoint)
    return None


def _of(folder: Path) -> str | None:
    found = state(folder)
    return found.state if found else None


def promised_ports(places: Places) -> dict[int, str]:
    """The ports of runs that listen or soon will, each with the run's id."""
    return {s.port: s.id for s in states(places) if s.state in {"starting", "running"}}


def clean_lost(places: Places) -> list[str]:
    """End and remove what killed supervisors left behind; returns the ids of those runs."""
    lost = [s.id for s in states(places) if s.state in _OVER]
    cleaned = [name for name in lost if remove(places.runs / name)]
    for name in _without_record(places):
        remove(places.runs / name)
    return cleaned


def _without_record(places: Places) -> list[str]:
    """Folders whose `sartor` was killed before it wrote what they are for."""
    try:
        found = [p for p in places.runs.iterdir() if p.is_dir() and not (p / RECORD).exists()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [p.name for p in found if (_age(p) or 0) > YOUNG_SECONDS]


def process(pid: int) -> Process:
    """The identity of a running process; raises `ProcessLookupError` where it does not run."""
    when = created(pid)
    if when is None:
        raise ProcessLookupError(pid)
    return Process(pid, when)
