"""Starting `sartor` as a user does, reading what it prints, and looking for what it left behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import jsonschema
import openai
import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Self

Document = dict[str, Any]

# Started in the background or by nohup, the tests and what they start would ignore these.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

SECONDS = 40.0
"""Longer than anything here takes: a test that reaches it has found a hang."""

FOREIGN = ("SARTOR_", "PIP_", "UV_")
"""Variables that change what `sartor` does; `isolated` tests start without the user's own."""


def documents(text: str) -> list[Document]:
    """Every JSON document in ``text``, one after the other, each held against its schema."""
    decoder = json.JSONDecoder()
    found, position = [], 0
    while text[position:].strip():
        position += len(text[position:]) - len(text[position:].lstrip())
        document, position = decoder.raw_decode(text, position)
        validate(document)
        found.append(document)
    return found


def validate(document: Document) -> None:
    """Hold a document against the schema that `sartor schema` prints for it."""
    jsonschema.Draft202012Validator(
        schemas()[document["schema"]],
        format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER,
    ).validate(document)


@cache
def schemas() -> dict[str, Document]:
    """What `sartor schema` prints, read once."""
    done = subprocess.run(
        [sys.executable, "-m", "sartor", "schema"], capture_output=True, check=True, timeout=SECONDS
    )
    printed: Document = json.loads(done.stdout)
    found: dict[str, Document] = printed["schemas"]
    for schema in found.values():
        jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(found["sartor.schema/1"]).validate(printed)
    return found


class Done:
    """A `sartor` that has ended."""

    def __init__(self, status: int, stdout: str, stderr: str) -> None:
        self.status = status
        self.stdout = stdout
        self.stderr = stderr

    @property
    def document(self) -> Document:
        """The one document that it printed."""
        (found,) = documents(self.stdout)
        return found

    def succeeded(self) -> Self:
        """Itself, where the exit status is 0."""
        assert self.status == 0, f"status {self.status}\n{self.stdout}\n{self.stderr}"
        return self

    def failed(self, code: str, status: int) -> Document:
        """The error document, where the command failed in that way and said so to people too."""
        assert self.status == status, f"status {self.status}\n{self.stdout}\n{self.stderr}"
        error = documents(self.stdout)[-1]
        assert error["schema"] == "sartor.error/1"
        assert (error["code"], error["exit_code"]) == (code, status)
        assert error["message"] in self.stderr
        assert "Traceback" not in self.stderr
        assert not error["hint"] or f"hint: {error['hint']}" in self.stderr
        return error


class Running:
    """A `sartor` that was started; leaving the block ends it with SIGINT, as Ctrl-C does."""

    def __init__(self, process: subprocess.Popen[bytes], output: Path, talk: Path) -> None:
        self.process = process
        self._output = output
        self._talk = talk

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.end(signal.SIGINT)

    @property
    def stdout(self) -> str:
        """What it has printed so far."""
        return self._output.read_text("utf-8")

    @property
    def stderr(self) -> str:
        """What it has said so far."""
        return self._talk.read_text("utf-8")

    def endpoint(self) -> Document:
        """The first document, waited for; fails where the command ends without one."""
        return self.first("sartor.endpoint/1")

    def first(self, schema: str) -> Document:
        """The first document, which must be of that schema."""
        wait_until(lambda: "\n}\n" in self.stdout or self.process.poll() is not None)
        found = documents(self.stdout)
        assert found, f"status {self.process.poll()}, no document\n{self.stderr}"
        assert found[0]["schema"] == schema, f"{found[0]}\n{self.stderr}"
        return found[0]

    def end(self, number: signal.Signals) -> Done:
        """Send a signal and wait for the end."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> Done:
        """Wait for the end."""
        try:
            status = self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        return Done(status, self.stdout, self.stderr)


class Sartor:
    """`sartor` with a home of its own, and the environment that it is started in."""

    def __init__(self, home: Path, scratch: Path, variables: Mapping[str, str]) -> None:
        self.home = home
        self.variables = {**variables, "SARTOR_HOME": str(home)}
        self.ports: set[int] = set()
        self._scratch = scratch

    def having(self, **variables: str) -> Sartor:
        """The same with further variables."""
        home = Path(variables.get("SARTOR_HOME", self.home))
        return Sartor(home, self._scratch, {**self.variables, **variables})

    def start(
        self, *arguments: str, cwd: Path | None = None, prefix: tuple[str, ...] = ()
    ) -> Running:
        """Start it and return at once."""
        folder = Path(tempfile.mkdtemp(dir=self._scratch))
        output, talk = folder / "stdout", folder / "stderr"
        with output.open("wb") as stdout, talk.open("wb") as stderr:
            process = subprocess.Popen(
                [*prefix, sys.executable, "-m", "sartor", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env=self.variables,
                cwd=cwd or folder,
            )
        return Running(process, output, talk)

    def run(self, *arguments: str, cwd: Path | None = None, prefix: tuple[str, ...] = ()) -> Done:
        """Start it and wait for its end."""
        with self.start(*arguments, cwd=cwd, prefix=prefix) as running:
            return running.wait()

    def json(self, *arguments: str) -> Document:
        """The document that a command prints with ``--json``; it must succeed."""
        return self.run(*arguments, "--json").succeeded().document

    def states(self) -> dict[str, str]:
        """Run → state, as `sartor status` says."""
        return {run["id"]: run["state"] for run in self.json("status")["runs"]}

    def log_texts(self) -> str:
        """Every log below the home, in one text."""
        files = sorted((self.home / "logs").glob("*"))
        return "\n".join(f.read_text("utf-8", "replace") for f in files)


def user_variables() -> dict[str, str]:
    """The tester's own environment, package index and all, without what is Sartor's.

    Threads that spin while they wait make an answer take ten times as long on a busy machine.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SARTOR_")}
    return {"OMP_WAIT_POLICY": "passive", **kept}


def isolated_variables(folder: Path) -> dict[str, str]:
    """An environment without any package configuration, and with an empty cache of uv's."""
    home = folder / "user"
    home.mkdir(exist_ok=True)
    kept = {k: v for k, v in user_variables().items() if not k.startswith(FOREIGN)}
    own = {"HOME": str(home), "PIP_CONFIG_FILE": os.devnull, "UV_NO_CONFIG": "1"}
    own |= {"UV_CACHE_DIR": str(folder / "uv-cache"), "UV_HTTP_RETRIES": "0"}
    own |= {"XDG_CACHE_HOME": str(folder / "cache"), "NO_PROXY": "127.0.0.1"}
    return {**kept, **own}


@contextlib.contextmanager
def client(endpoint: Document, key: str = "none") -> Iterator[openai.OpenAI]:
    """The real client of this API, without retries and without proxies."""
    with (
        openai.DefaultHttpxClient(trust_env=False, timeout=60) as http,
        openai.OpenAI(
            base_url=endpoint["url"], api_key=key, max_retries=0, http_client=http
        ) as opened,
    ):
        yield opened


def port_of(endpoint: Document) -> int:
    """The port in an endpoint's address."""
    port = urlsplit(endpoint["url"]).port
    assert port is not None
    return port


def answers(endpoint: Document) -> bool:
    """Whether anything accepts a connection there."""
    return accepts("127.0.0.1", port_of(endpoint))


def accepts(address: str, port: int) -> bool:
    """Whether anything accepts a connection there."""
    try:
        socket.create_connection((address, port), timeout=2).close()
    except OSError:
        return False
    return True


def closed_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(condition: Callable[[], object], seconds: float | None = None) -> None:
    """Wait for a condition, `SECONDS` unless told; fails where it does not come about."""
    deadline = time.monotonic() + (SECONDS if seconds is None else seconds)
    while not condition():
        assert time.monotonic() < deadline, "this did not come about in time"
        time.sleep(0.02)


def processes_of(home: Path) -> list[psutil.Process]:
    """Every process that has to do with a home: by its command line or its environment."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            words = [*process.cmdline(), process.environ().get("SARTOR_HOME", "")]
            if process.pid != os.getpid() and any(str(home) in word for word in words):
                found.append(process)
    return found


def leftovers(home: Path) -> list[str]:
    """What must not be there once everything has ended. Locks' files and logs may."""
    found = [f"process {p.pid}" for p in processes_of(home)]
    found += [str(path) for path in sorted((home / "runs").glob("*")) if not is_lock(path)]
    for folder in ("environments", "locks", "models", "sources", "wheels", "logs", "."):
        found += [str(p) for p in sorted((home / folder).glob(".*")) if not is_lock(p)]
    return found + [str(p) for p in home.rglob("api-key")]


def checked_home(sartor: Sartor) -> Iterator[Sartor]:
    """Yield it, and fail where the test leaves processes or files behind."""
    try:
        yield sartor
        assert leftovers(sartor.home) == []
    finally:
        sartor.run("stop", "--all")
        wait_until(lambda: not leftovers(sartor.home), 15)


def is_lock(path: Path) -> bool:
    """Whether a file is one that processes lock, and leave."""
    return path.name.startswith(".") and path.name.endswith(".lock")


def kept_besides_evidence(home: Path) -> list[str]:
    """What `sartor` left in its home, but for the store of evidence."""
    files = (path.relative_to(home) for path in home.rglob("*") if not path.is_dir())
    return sorted(str(path) for path in files if path.parts[0] != "evidence")
