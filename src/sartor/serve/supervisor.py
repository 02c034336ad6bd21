"""The process that owns a server: starts it, records how it ends, and takes it down with itself.

``python -m sartor.serve.supervisor FOLDER DESCRIPTOR``: FOLDER holds the run's record, DESCRIPTOR
is the reading end of a pipe from the `sartor` that started it. When that pipe closes, its owner is
gone, however it went, and the server is taken down; a byte on it says that the run is to go on
alone.
"""

from __future__ import annotations

import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from sartor.paths import write_atomically
from sartor.processes import child_environment, end_group
from sartor.serve.model import Exit, Processes, Run
from sartor.serve.runs import EXIT, KEY, PROCESSES, RECORD, process, read

PR_SET_CHILD_SUBREAPER = 36
GRACE_SECONDS = 10

FOREIGN = ("PYTHONPATH", "PYTHONHOME")
"""Variables that put other packages before the environment's own, which were verified without."""


def main(arguments: list[str]) -> int:
    """Run until the server ends, or until it is to be stopped."""
    folder, lifeline = Path(arguments[0]), int(arguments[1])
    run = read(folder / RECORD, Run)
    if run is None:
        return 1
    os.chdir(folder)  # the folder that it was started in can be removed or unmounted
    _adopt_orphans()
    wakeup = _signals_as_bytes()
    server = _start(run)
    try:
        both = Processes(process(os.getpid()), process(server.pid))
        write_atomically(folder / PROCESSES, msgspec.json.encode(both))
        # A stop that came before the processes had their record has removed the run's.
        asked = not (folder / RECORD).exists() or _wait(server, lifeline, wakeup)
    finally:
        end_group(server.pid, GRACE_SECONDS, server)
        _end_descendants()
    if asked:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        ended = Exit(status=server.wait(), at=time.time())
        try:
            write_atomically(folder / EXIT, msgspec.json.encode(ended))
        finally:  # not before: whoever misses the key looks for how it ended
            (folder / KEY).unlink(missing_ok=True)
    return 0


def _adopt_orphans() -> None:
    """Become the parent of whatever the server's own children leave behind (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _signals_as_bytes() -> int:
    """A descriptor that gives the number of each signal: SIGTERM, SIGINT, SIGHUP or SIGCHLD."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    return reading


def _start(run: Run) -> subprocess.Popen[bytes]:
    kept = {n: value for n, value in child_environment().items() if n not in FOREIGN}
    variables = kept | run.variables
    if run.key_variable and run.api_key_file:
        variables[run.key_variable] = Path(run.api_key_file).read_text("utf-8").strip()
    with Path(run.log).open("ab") as log:
        return subprocess.Popen(
            run.argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=variables,
            start_new_session=True,
        )


def _wait(server: subprocess.Popen[bytes], lifeline: int, wakeup: int) -> bool:
    """Wait for an end; True where it was asked for, False where the server ended by itself."""
    watched = [lifeline, wakeup]
    while server.poll() is None:
        ready, _, _ = select.select(watched, [], [])
        if wakeup in ready and set(os.read(wakeup, 4096)) - {signal.SIGCHLD}:
            return True
        if lifeline in ready:
            if not os.read(lifeline, 1):
                return True
            watched.remove(lifeline)
    return False


def _end_descendants() -> None:
    import psutil

    children = psutil.Process().children(recursive=True)
    for child in children:
        try:
            child.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(children, timeout=3)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
