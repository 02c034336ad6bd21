"""Starting a server, waiting until it answers, and letting it go again."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import os
import secrets
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sartor.closing import Closing
from sartor.engines.facts import engine as engine_facts
from sartor.engines.launch import ServeSettings, launcher
from sartor.errors import ServerDiedError, ServerTimeoutError
from sartor.locks import waiting_lock
from sartor.paths import Places, make_folder, make_private_folder, write_atomically
from sartor.processes import listens
from sartor.reporter import Silent
from sartor.serve import runs
from sartor.serve.address import choose_port, port_is_free, read_key, write_key
from sartor.serve.ask import first_question, ready
from sartor.serve.endings import died, last_lines
from sartor.serve.model import Answer, Endpoint, Exit, Processes, Run
from sartor.serve.options import check_options
from sartor.serve.origin import here

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sartor.build.model import Environment
    from sartor.models.model import Model
    from sartor.plan.model import Fit
    from sartor.reporter import Reporter

KEPT_LOGS = 20
ASK_SECONDS = 600
DYING_SECONDS = 3


class ServeRequest(msgspec.Struct, frozen=True):
    """Where and how to serve. ``api_key`` is the user's own, None to have one made if needed."""

    host: str = "127.0.0.1"
    port: int | None = None
    api_key: str | None = None


def run_key(environment: Environment, model: Model, fit: Fit, asked: ServeRequest) -> str:
    """Stands for everything that makes two servers the same to a user, whatever the port.

    A file is told by where it is and when it was written, under whatever name it was given.
    """
    parts = [environment.key, model_identity(model), fit.context, [d.id for d in fit.devices]]
    parts += [asked.host, asked.api_key]
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:16]


def model_identity(model: Model) -> list[tuple[str, int, int]]:
    """The real path, size and time (ns) of each of a model's files.

    Not the time of the demo model's: two that make it at once write the same.
    """
    real = sorted({path.resolve() for path in _files(model) if path.is_file()})
    stats = [(str(path), path.stat()) for path in real]
    return [(path, s.st_size, 0 if model.demo else s.st_mtime_ns) for path, s in stats]


def _files(model: Model) -> list[Path]:
    """A GGUF file with the parts beside it, or all that a folder holds: weights, tokenizer, …."""
    if model.path is None:
        return []
    given = Path(model.path)
    if given.is_dir():
        return [*given.iterdir(), *(given / file.name for file in model.files)]
    return [given, *(given.with_name(Path(file.name).name) for file in model.files)]


class Server(Closing):
    """A server that was started here: use it as a context manager, and it ends with the block.

    The pipe to its supervisor is what ties it to this process: it closes when this process goes,
    however it goes. `detach` lets the server live on. ``key`` is the API key of the run, kept here
    because its file goes with the server.
    """

    def __init__(
        self,
        run: Run,
        folder: Path,
        supervisor: subprocess.Popen[bytes],
        pipe: int,
        key: str | None = None,
    ):
        self.run = run
        self.key = key
        self.folder = folder
        self._supervisor = supervisor
        self._pipe = pipe

    def close(self) -> None:
        """End the server, unless it was detached."""
        if self._pipe < 0:
            return
        os.close(self._pipe)
        self._pipe = -1
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._supervisor.wait(timeout=30)
        runs.remove(self.folder)  # a supervisor that was killed has left everything there

    @property
    def url(self) -> str:
        """The base address for clients on this machine."""
        return runs.url_of(self.run)

    def detach(self) -> None:
        """Let the server go on when this process ends; raises `ServerDiedError` where it cannot."""
        try:
            os.write(self._pipe, b"d")
        except BrokenPipeError:
            self._supervisor.wait()
            self.raise_if_dead()
        os.close(self._pipe)
        self._pipe = -1

    def wait_until_ready(self, model: Model, reporter: Reporter) -> None:
        """Wait until the server, and no stranger on its port, lists its models.

        Raises `ServerDiedError` or `ServerTimeoutError`, with the log's last lines.
        """
        limit = engine_facts(self.run.engine).start_timeout_seconds
        began = time.monotonic()
        pause = 0.01
        while not (self._listens() and ready(self.url, self.key, self.run.model)):
            self.raise_if_dead()
            if time.monotonic() - began > limit:
                raise ServerTimeoutError(
                    f"{self.run.engine} was not ready after {limit:.0f} s",
                    found=last_lines(self.run.log),
                    hint="the log shows what it was doing; a slow disk or a first compilation "
                    "can take longer than this",
                    log=self.run.log,
                )
            self._report_loading(model, reporter)
            time.sleep(pause)
            pause = min(pause * 1.5, 0.5)

    def publish(self, endpoint: Endpoint) -> Endpoint:
        """Let other `sartor` processes see that, and where, this server answers."""
        endpoint = msgspec.structs.replace(endpoint, detached=self._pipe < 0)
        write_atomically(self.folder / runs.ENDPOINT, msgspec.json.encode(endpoint))
        return endpoint

    @property
    def pid(self) -> int:
        """The server's process."""
        processes = runs.read(self.folder / runs.PROCESSES, Processes)
        return processes.server.pid if processes else self._supervisor.pid

    def _listens(self) -> bool:
        """Whether the port is this server's: a stranger may have taken it before this one did.

        An engine that loads for a minute binds late. Nobody else is shown the key.
        """
        processes = runs.read(self.folder / runs.PROCESSES, Processes)
        return processes is not None and listens(processes.server.pid, self.run.port)

    def lost_its_port(self) -> bool:
        """Whether, now that the server has died, somebody else has its port."""
        return not port_is_free(self.run.host, self.run.port)

    def _report_loading(self, model: Model, reporter: Reporter) -> None:
        import psutil

        processes = runs.read(self.folder / runs.PROCESSES, Processes)
        if processes and model.size_bytes:
            with contextlib.suppress(psutil.Error):
                resident = psutil.Process(processes.server.pid).memory_info().rss
                if resident < model.size_bytes:
                    reporter.progress("loading the model", resident, model.size_bytes, "B")

    def ask(self) -> Answer:
        """Ask the first question; raises what stands in the way."""
        try:
            return first_question(self.url, self.key, self.run.model, ASK_SECONDS, self.run.log)
        except ServerTimeoutError:
            self._raise_if_dying()
            raise

    def _raise_if_dying(self) -> None:
        """A connection breaks a moment before its server is known to have ended: wait for that."""
        deadline = time.monotonic() + DYING_SECONDS
        while time.monotonic() < deadline:
            self.raise_if_dead()
            time.sleep(0.05)

    def raise_if_dead(self) -> None:
        """Raise `ServerDiedError` where the server has ended by itself."""
        ended = runs.read(self.folder / runs.EXIT, Exit)
        if ended is not None:
            raise died(self.run, ended.status)
        status = self._supervisor.poll()
        if status == 0:
            raise ServerDiedError(
                f"`{self.run.id}` was stopped from elsewhere before it answered",
                hint="`sartor stop` does that; run the same command again",
                log=self.run.log,
            )
        if status is not None:
            raise died(self.run, status, f"the supervisor of {self.run.engine}")

    def wait(self) -> None:
        """Block until the server ends by itself, and raise `ServerDiedError` then.

        A `sartor stop` from elsewhere ends the wait without an error.
        """
        status = self._supervisor.wait()
        if status != 0 or (self.folder / runs.EXIT).exists():
            self.raise_if_dead()


def start(
    environment: Environment, model: Model, fit: Fit, asked: ServeRequest, places: Places
) -> tuple[Server, str | None]:
    """Start a server under a supervisor; returns it, and a remark on the port if there is one.

    Raises `PortInUseError`. The server is not ready yet: see `Server.wait_until_ready`.
    """
    key = run_key(environment, model, fit, asked)
    # Two at once must not choose the same port: the record, once written, promises it to this run.
    with waiting_lock(places.runs / ".ports.lock", Silent(), "choosing a port"):
        port, remark = choose_port(asked.host, asked.port, runs.promised_ports(places))
        with _new_folder(environment, places) as folder:
            key_file = write_key(folder, asked.api_key, asked.host)
            settings = _settings(environment, model, fit, (asked.host, port), key_file)
            settings = msgspec.structs.replace(settings, cache_folder=str(places.caches))
            run = _record(environment, settings, key, folder, places)
            write_atomically(folder / runs.RECORD, msgspec.json.encode(run))
            return _supervised(run, folder), remark


@contextlib.contextmanager
def _new_folder(environment: Environment, places: Places) -> Iterator[Path]:
    """A folder for a new run, which is removed where the block fails."""
    identity = f"{environment.stack.engine}-{secrets.token_hex(3)}"
    folder = make_folder(places.runs / identity, mode=0o700)
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _settings(
    environment: Environment, model: Model, fit: Fit, address: tuple[str, int], key: Path | None
) -> ServeSettings:
    stack = environment.stack
    engine = engine_facts(stack.engine)
    return ServeSettings(
        model_path=str(model.path),
        model_name=model.name,
        host=address[0],
        port=address[1],
        context=fit.context,
        accelerator=stack.accelerator,
        threads=usable_cores(),
        gpus=[d.id for d in fit.devices if d.id],
        gpu_memory_fraction=engine.default_gpu_memory_fraction,
        kv_cache_bytes=fit.cache_bytes,
        api_key_file=str(key) if key else None,
    )


def usable_cores() -> int:
    """Physical cores that this process may run on: engines' own defaults differ, down to half."""
    import psutil

    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(psutil.cpu_count(logical=False) or 1, allowed or 1)


def _record(
    environment: Environment, settings: ServeSettings, key: str, folder: Path, places: Places
) -> Run:
    stack, key_file = environment.stack, settings.api_key_file
    command = launcher(stack.launcher or "").command(environment.python, folder, settings)
    check_options(stack, command)
    return Run(
        id=folder.name,
        key=key,
        engine=stack.engine,
        build=stack.line,
        version=stack.version,
        model=settings.model_name,
        environment=environment.path,
        host=settings.host,
        port=settings.port,
        argv=command.argv,
        variables=command.environment | environment.variables(os.environ),
        log=str(_log_file(places, folder.name)),
        started_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        key_variable=command.key_variable if key_file else None,
        api_key_file=key_file,
        origin=here(),
    )


def _log_file(places: Places, name: str) -> Path:
    """A new log, for the user's eyes alone; the oldest beyond `KEPT_LOGS` are removed.

    Not those of servers that still write them.
    """
    make_private_folder(places.logs)
    used = {state.log for state in runs.states(places)}
    logs = [path for path in places.logs.glob("serve-*.log") if str(path) not in used]
    old = sorted(logs, key=lambda p: p.stat().st_mtime)
    for path in old[: -KEPT_LOGS or None]:
        path.unlink(missing_ok=True)
    log = places.logs / f"serve-{name}.log"
    log.touch(mode=0o600)
    return log


def _supervised(run: Run, folder: Path) -> Server:
    key = read_key(run.api_key_file) if run.api_key_file else None
    reading, writing = os.pipe()
    try:
        with Path(run.log).open("ab") as log:
            supervisor = subprocess.Popen(
                # -P: a `select.py` in the folder that the user stands in is none of its modules
                [sys.executable, "-P", "-m", "sartor.serve.supervisor", str(folder), str(reading)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(reading,),
                start_new_session=True,
            )
    except BaseException:
        os.close(writing)
        raise
    finally:
        os.close(reading)
    return Server(run, folder, supervisor, writing, key)


def ask_again(endpoint: Endpoint) -> Answer:
    """Ask a server that runs already.

    Raises `ServerDiedError` where it has ended since, `ServerTimeoutError` where it is silent.
    """
    try:
        file = endpoint.api_key_file
        key = Path(file).read_text("utf-8").strip() if file else None
    except FileNotFoundError:
        raise ServerDiedError(
            f"`{endpoint.id}`, which was to be used again, has ended meanwhile",
            hint="run the same command again: a new server is started",
            log=endpoint.log,
        ) from None
    return first_question(endpoint.url, key, endpoint.model, ASK_SECONDS, endpoint.log)
