"""The values of serving: the record of a run on disk, and the `Endpoint` that users get."""

from __future__ import annotations

import msgspec


class Process(msgspec.Struct, frozen=True):
    """One process, told from a later one of the same number by when it was created.

    ``created`` names the boot and the clock ticks since: it does not move when the clock is set.
    """

    pid: int
    created: str


class Processes(msgspec.Struct, frozen=True):
    """The processes of a run: the supervisor and the server, which leads a group of its own."""

    supervisor: Process
    server: Process


class Exit(msgspec.Struct, frozen=True):
    """How a server ended: a status, negative for the number of a signal. ``at`` is Unix time."""

    status: int
    at: float


class Origin(msgspec.Struct, frozen=True):
    """Where process numbers mean what they say: a machine, one boot of it, a PID namespace."""

    host: str
    boot: str
    pids: str


class Run(msgspec.Struct, frozen=True):
    """One server as it was started. ``key`` stands for what was asked, so that it is found again.

    ``variables`` are set beside the user's own; none of them is a secret. ``origin`` is where its
    processes run: several machines and containers may share one home.
    """

    id: str
    key: str
    engine: str
    build: str
    version: str
    model: str
    environment: str
    host: str
    port: int
    argv: list[str]
    variables: dict[str, str]
    log: str
    started_at: str
    key_variable: str | None = None
    api_key_file: str | None = None
    detached: bool = False
    origin: Origin | None = None


class Answer(msgspec.Struct, frozen=True):
    """The first question and what came back. ``seconds`` is the whole request's wall time."""

    question: str
    text: str
    prompt_tokens: int
    completion_tokens: int
    seconds: float


class Endpoint(msgspec.Struct, frozen=True, tag_field="schema", tag="sartor.endpoint/1"):
    """A server that answers. ``url`` is the base that OpenAI clients take (it ends in ``/v1``).

    ``demo`` says that the weights are random and the text means nothing; ``reused`` that this
    server was running before. ``api_key_file`` is a path, never the key.
    """

    id: str
    url: str
    engine: str
    version: str
    build: str
    model: str
    environment: str
    because: list[str]
    log: str
    pid: int
    started_at: str
    demo: bool = False
    reused: bool = False
    detached: bool = False
    warnings: list[str] = []
    not_checked: list[str] = []
    api_key_file: str | None = None
    answer: Answer | None = None


class RunState(msgspec.Struct, frozen=True):
    """One run as `sartor status` shows it.

    ``state`` is ``starting``, ``running``, ``ended`` (by itself: see ``exit_status``), ``lost``
    (its supervisor was killed; the next `sartor up` or `sartor stop` cleans up) or ``elsewhere``
    (it is of another machine or container that shares this home, and is left alone).
    """

    id: str
    state: str
    engine: str
    version: str
    model: str
    url: str
    port: int
    environment: str
    log: str
    started_at: str
    pid: int | None = None
    exit_status: int | None = None
    api_key_file: str | None = None


class StatusDocument(msgspec.Struct, frozen=True, tag_field="schema", tag="sartor.status/1"):
    """What `sartor status` prints."""

    runs: list[RunState]


class StopDocument(msgspec.Struct, frozen=True, tag_field="schema", tag="sartor.stopped/1"):
    """What `sartor stop` prints: the runs it stopped, and the leftovers it cleaned up."""

    stopped: list[str]
    cleaned: list[str]


class LogsDocument(msgspec.Struct, frozen=True, tag_field="schema", tag="sartor.logs/1"):
    """What `sartor logs` prints: the last lines of one log file."""

    path: str
    lines: list[str]
