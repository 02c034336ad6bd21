"""The records of runs: one folder each, read and cleaned by any `sartor` of the same user."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from sartor.errors import NoSuchRunError, did_you_mean
from sartor.processes import end_group, group_alive
from sartor.serve.model import Endpoint, Exit, Process, Processes, Run, RunState

if TYPE_CHECKING:
    from sartor.paths import Places

T = TypeVar("T")

RECORD, PROCESSES, EXIT, ENDPOINT = "run.json", "processes.json", "exit.json", "endpoint.json"
KEY = "api-key"

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
    return None if fields[0] in {b"Z", b"X"} else f"{_boot()}:{fields[19].decode()}"


@cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return "unknown boot"


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
        state=_state(folder, processes, ended),
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


def _state(folder: Path, processes: Processes | None, ended: Exit | None) -> str:
    if ended is not None:
        return "ended"
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
    """The run of that id (or port, or engine), or the only one where no name is given.

    Raises `NoSuchRunError`, with the names that there are.
    """
    known = states(places)
    if name is None and len(known) <= 1:
        return known
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


def stop(places: Places, run: RunState, grace_seconds: float = 15) -> None:
    """End a run and everything that belongs to it: processes, port, folder. Its log is kept."""
    folder = places.runs / run.id
    if run.state == "starting":
        _wait_for_processes(folder)
    remove(folder, grace_seconds)


def _wait_for_processes(folder: Path, seconds: float = 5) -> None:
    """Give a supervisor that is being started the time to say who it is."""
    deadline = time.monotonic() + seconds
    while (folder / RECORD).exists() and not (folder / PROCESSES).exists():
        if time.monotonic() > deadline:
            return
        time.sleep(0.02)


def remove(folder: Path, grace_seconds: float = 15) -> None:
    """End the processes that a run's folder names, and remove the folder."""
    processes = read(folder / PROCESSES, Processes)
    if processes and alive(processes.supervisor):
        with contextlib.suppress(ProcessLookupError):
            os.kill(processes.supervisor.pid, signal.SIGTERM)
        deadline = time.monotonic() + grace_seconds
        while alive(processes.supervisor) and time.monotonic() < deadline:
            time.sleep(0.02)
        if alive(processes.supervisor):
            end_group(processes.supervisor.pid, 0)
    if processes:
        _end_server(processes.server)
    shutil.rmtree(folder, ignore_errors=True)


def _end_server(server: Process) -> None:
    """End what is left of a server's group: the leader must be the very process of the record.

    Where the leader is gone its group can only hold its own children, as long as it lives.
    """
    leaderless = group_alive(server.pid) and not Path(f"/proc/{server.pid}").exists()
    if alive(server) or leaderless:
        end_group(server.pid, 5)


def endpoint(places: Places, key: str) -> Endpoint | None:
    """The endpoint of a server that runs and was asked for in the very same way."""
    for folder in folders(places):
        run = read(folder / RECORD, Run)
        if run is not None and run.key == key and _of(folder) == "running":
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
    lost = [s.id for s in states(places) if s.state in {"lost", "ended"}]
    for name in [*lost, *_without_record(places)]:
        remove(places.runs / name)
    return lost


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
