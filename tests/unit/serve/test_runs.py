"""The records of runs, whatever state they were left in."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from sartor.errors import NoSuchRunError, PortInUseError, ServerDiedError, UsageError
from sartor.paths import Places
from sartor.serve import runs
from sartor.serve.address import checked_key, choose_port, given_key, listen_address, needs_key
from sartor.serve.endings import died, last_lines
from sartor.serve.model import Endpoint, Exit, Origin, Process, Processes, Run
from sartor.serve.origin import here
from sartor.serve.start import ask_again

if TYPE_CHECKING:
    from collections.abc import Callable

RUN = Run(
    id="llama.cpp-1",
    key="k",
    engine="llama.cpp",
    build="published",
    version="1",
    model="m",
    environment="/e/key",
    host="127.0.0.1",
    port=8000,
    argv=["python"],
    variables={},
    log="/nowhere/log",
    started_at="2026-01-01T00:00:00+00:00",
)
US = runs.process(os.getpid())
GONE = Process(os.getpid(), "another boot:1")


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path)


@pytest.fixture
def record(places: Places) -> Callable[..., Path]:
    def write(name: str, **files: msgspec.Struct) -> Path:
        folder = places.runs / name
        folder.mkdir(parents=True)
        run = msgspec.structs.replace(RUN, id=name)
        (folder / runs.RECORD).write_bytes(msgspec.json.encode(run))
        for file, value in files.items():
            (folder / f"{file}.json").write_bytes(msgspec.json.encode(value))
        return folder

    return write


def test_a_process_is_itself_and_no_other() -> None:
    assert runs.alive(US)
    assert not runs.alive(GONE)
    assert not runs.alive(Process(1 << 22, US.created))
    with pytest.raises(ProcessLookupError):
        runs.process(1 << 22)


def test_states(places: Places, record: Callable[..., Path]) -> None:
    record("starting")
    record("also-starting", processes=Processes(US, GONE))
    running = record("running", processes=Processes(US, US))
    (running / runs.ENDPOINT).touch()
    record("lost", processes=Processes(GONE, GONE))
    record("ended", processes=Processes(GONE, GONE), exit=Exit(-9, 1.0))
    left = record("left-behind")
    before = time.time() - 60
    os.utime(left / runs.RECORD, (before, before))
    found = {state.id: state for state in runs.states(places)}
    assert {name: state.state for name, state in found.items()} == {
        "starting": "starting",
        "also-starting": "starting",
        "running": "running",
        "lost": "lost",
        "ended": "ended",
        "left-behind": "lost",
    }
    assert found["ended"].exit_status == -9
    assert next(iter(found)) == "left-behind", "the oldest first"


OTHER = here().host + "-2"


@pytest.mark.parametrize(
    ("origin", "state"),
    [
        (here(), "running"),
        (None, "running"),
        (msgspec.structs.replace(here(), pids="pid:[1]"), "elsewhere"),
        (msgspec.structs.replace(here(), host=OTHER, boot="theirs"), "elsewhere"),
        (msgspec.structs.replace(here(), boot="before"), "lost"),
        (msgspec.structs.replace(here(), host=OTHER), "running"),
    ],
)
def test_where_a_run_is(
    places: Places, record: Callable[..., Path], origin: Origin | None, state: str
) -> None:
    folder = record("one", processes=Processes(US, US))
    (folder / runs.ENDPOINT).touch()
    run = msgspec.structs.replace(RUN, id="one", origin=origin)
    (folder / runs.RECORD).write_bytes(msgspec.json.encode(run))
    assert [s.state for s in runs.states(places)] == [state]
    assert runs.clean_lost(places) == (["one"] if state == "lost" else [])
    assert folder.exists() == (state != "lost")


def test_a_folder_is_removed_by_one_alone(places: Places, record: Callable[..., Path]) -> None:
    folder = record("one", processes=Processes(GONE, GONE))
    assert runs.remove(folder)
    assert not runs.remove(folder)


def test_records_that_are_damaged_or_vanish(
    places: Places, record: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (record("cut-short") / runs.RECORD).write_text('{"id": "cut')
    (places.runs / "a-file").touch()
    (places.runs / "empty").mkdir()
    assert runs.states(places) == []
    assert runs.states(Places(Path("/dev/null"))) == []
    folder = record("vanishing")
    listed = runs.folders(places)
    (folder / runs.RECORD).unlink()
    monkeypatch.setattr(runs, "folders", lambda _: listed)
    assert runs.states(places) == []


def test_finding(places: Places, record: Callable[..., Path]) -> None:
    assert runs.find(places, None) == []
    record("llama.cpp-aaa")
    assert [s.id for s in runs.find(places, None)] == ["llama.cpp-aaa"]
    record("llama.cpp-bbb")
    assert len(runs.find(places, "llama.cpp")) == len(runs.find(places, "8000")) == 2
    with pytest.raises(NoSuchRunError, match="several"):
        runs.find(places, None)
    with pytest.raises(NoSuchRunError) as raised:
        runs.find(places, "llama.cpp-aab")
    assert "llama.cpp-aa" in str(raised.value.hint)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000/v1"),
        ("0.0.0.0", "http://127.0.0.1:8000/v1"),
        ("::", "http://[::1]:8000/v1"),
        ("::1", "http://[::1]:8000/v1"),
        ("192.0.2.7", "http://192.0.2.7:8000/v1"),
    ],
)
def test_addresses_for_clients(host: str, url: str) -> None:
    assert runs.url_of(msgspec.structs.replace(RUN, host=host)) == url


def test_addresses_to_listen_on() -> None:
    assert listen_address("localhost") == "127.0.0.1"
    assert listen_address("[::1]") == "::1"
    assert [needs_key(a) for a in ("127.0.0.1", "127.1.2.3", "::1")] == [False] * 3
    assert [needs_key(a) for a in ("0.0.0.0", "::", "192.0.2.7")] == [True] * 3
    for nonsense in ("", "all", "256.0.0.1", "127.0.0.1:80", "example.org"):
        with pytest.raises(UsageError):
            listen_address(nonsense)


def test_ports_that_were_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sartor.serve.address.port_is_free", lambda _a, port: port != 8001)
    assert choose_port("127.0.0.1", None, {}) == (8000, None)
    port, remark = choose_port("127.0.0.1", None, {8000: "one"})
    assert port == 8002
    assert remark
    with pytest.raises(PortInUseError) as raised:
        choose_port("127.0.0.1", 8000, {8000: "one"})
    assert raised.value.found == ["held by run one"]
    with pytest.raises(PortInUseError):
        choose_port("127.0.0.1", None, dict.fromkeys(range(8000, 8100), "x"))


@pytest.mark.parametrize("port", [0, -1, 65536, 1 << 70])
def test_numbers_that_are_no_ports(port: int) -> None:
    with pytest.raises(UsageError, match="not a port"):
        choose_port("127.0.0.1", port, {})


def test_keys(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(" from-file\n")
    assert given_key(None, {}) is None
    assert given_key(None, {"SARTOR_API_KEY": ""}) is None
    assert given_key(None, {"SARTOR_API_KEY": "k"}) == "k"
    assert given_key(str(file), {"SARTOR_API_KEY": "k"}) == "from-file"
    for nonsense in ("", "a b", "a\tb", "a\n", "schlüssel", "a\x7f"):
        with pytest.raises(UsageError) as raised:
            checked_key(nonsense, "here")
        assert not nonsense or nonsense not in raised.value.message


@pytest.mark.parametrize(
    ("status", "words"), [(1, "status 1"), (-9, "SIGKILL"), (-4, "SIGILL"), (-40, "signal 40")]
)
def test_how_a_server_died(status: int, words: str, tmp_path: Path) -> None:
    run = msgspec.structs.replace(RUN, log=str(tmp_path / "none"))
    error = died(run, status)
    assert words in error.message
    assert error.hint


def test_the_cause_stands_above_what_vllm_says_last(tmp_path: Path) -> None:
    log = tmp_path / "log"
    at = "(EngineCore pid=3) ERROR 11-20 17:52:09 [core.py:1231]"
    log.write_text(
        f"{at} Traceback (most recent call last):\n"
        f'{at}   File "/e/utils.py", line 12, in start\n{at}     self.run()\n'
        f"{at} RuntimeError: Could not find nvcc and default cuda_home\n"
        '(APIServer pid=2)   File "/usr/lib/python3.12/contextlib.py", line 144, in __exit__\n'
        "(APIServer pid=2)     next(self.gen)\n"
        "(APIServer pid=2) RuntimeError: Engine core initialization failed.\n",
        "utf-8",
    )
    error = died(msgspec.structs.replace(RUN, log=str(log)), 1)
    assert error.found == [
        "RuntimeError: Could not find nvcc and default cuda_home",
        "RuntimeError: Engine core initialization failed.",
    ]
    assert "CUDA toolkit" in (error.hint or "")


def test_the_last_words_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(
        b"E load: unknown model architecture: 'q'\n\n\xff\xfe\nTraceback (most recent call last):\n"
        b'  File "server.py", line 1, in <module>\n    sys.exit(main())\n             ^^^^^^\n'
        b"RuntimeError: no server\n"
    )
    lines = last_lines(str(log))
    assert lines[0] == "E load: unknown model architecture: 'q'"
    assert lines[-1] == "RuntimeError: no server"
    assert len(lines) == 3
    assert last_lines(str(tmp_path / "missing")) == []


def test_a_server_that_ends_before_it_is_asked_again(tmp_path: Path) -> None:
    endpoint = Endpoint(
        id="llama.cpp-1",
        url="http://127.0.0.1:9/v1",
        engine="llama.cpp",
        version="1",
        build="published",
        model="m",
        environment="/e/key",
        because=[],
        log="/nowhere/log",
        pid=1,
        started_at=RUN.started_at,
        api_key_file=str(tmp_path / "gone"),
    )
    with pytest.raises(ServerDiedError, match=r"llama\.cpp-1"):
        ask_again(endpoint)
