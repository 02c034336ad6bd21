"""Programs that must not outlive the work they were started for."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Collection, Iterator, Mapping

    import psutil

SECRETS = ("SARTOR_API_KEY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_HUB_TOKEN")
"""Variables that Sartor reads itself and no engine, build or check needs."""


def child_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The user's variables as other people's programs get them: without `SECRETS`."""
    environ = os.environ if environ is None else environ
    return {name: value for name, value in environ.items() if name not in SECRETS}


@contextlib.contextmanager
def bounded(process: subprocess.Popen[bytes], grace_seconds: float = 5) -> Iterator[None]:
    """End ``process`` and its whole group when the block is left, however it is left.

    The process must have been started with ``start_new_session=True``.
    """
    try:
        yield
    finally:
        if process.poll() is None:
            end_group(process.pid, grace_seconds, process)
        else:
            signal_group(process.pid, signal.SIGKILL)


def signal_group(group: int, number: signal.Signals) -> bool:
    """Send a signal to a process group; False where no such group is left."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def end_group(
    group: int, grace_seconds: float, process: subprocess.Popen[bytes] | None = None
) -> None:
    """SIGTERM to the group, SIGKILL to what is left of it after ``grace_seconds``."""
    if not signal_group(group, signal.SIGTERM):
        return
    deadline = time.monotonic() + grace_seconds
    while time.monotonic() < deadline:
        if process is not None and process.poll() is not None:
            _reap_adopted(group)
        if not group_alive(group):
            if process is not None:
                process.wait()  # it may have died since it was looked at
            return
        time.sleep(0.02)
    signal_group(group, signal.SIGKILL)
    if process is not None:
        process.wait()


def listens(pid: int, port: int) -> bool:
    """Whether a process, or one that came from it, listens on a TCP port."""
    import psutil

    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return False
    return any(port in _listening(member) for member in family)


def _listening(process: psutil.Process) -> set[int]:
    import psutil

    with contextlib.suppress(psutil.Error):
        sockets = process.net_connections("tcp")
        return {s.laddr.port for s in sockets if s.status == psutil.CONN_LISTEN and s.laddr}
    return set()


def signal_name(number: int) -> str:
    """The signal as people know it; real-time signals have no name in Python."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _reap_adopted(group: int) -> None:
    """Collect the group's dead children that this process was given by their late parents."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-group, os.WNOHANG)[0]:
            pass


def group_alive(group: int) -> bool:
    """Whether any process of the group still runs: zombies, which nobody may ever reap, do not."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return any(_runs(pid) for pid in members(group))


def members(group: int) -> list[int]:
    """The processes of a group, zombies among them."""
    import psutil

    return [pid for pid in psutil.pids() if _group_of(pid) == group]


def names(pid: int, paths: Collection[Path]) -> bool:
    """Whether a process works in one of ``paths``, or has one in its command or its variables."""
    own, words = Path(f"/proc/{pid}"), [os.fsencode(path) for path in paths]
    try:
        # Programs that give themselves a title write it over both; where they stand is left.
        said = (own / "cmdline").read_bytes() + (own / "environ").read_bytes()
        return (own / "cwd").readlink() in paths or any(word in said for word in words)
    except OSError:
        return False


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except OSError:
        return None


def _runs(pid: int) -> bool:
    import psutil

    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
