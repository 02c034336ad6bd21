"""What people see: tables, endpoints, runs, the terminal with and without colour."""

from __future__ import annotations

import datetime
import io
import re
import shlex
import stat
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sartor.errors import PortInUseError
from sartor.paths import Places, human_bytes
from sartor.report.document import print_lines
from sartor.report.endpoint import curl, endpoint_lines
from sartor.report.logfile import Both, LogFile, new_log
from sartor.report.runs import status_lines
from sartor.report.table import table
from sartor.report.terminal import Terminal
from sartor.serve.model import Answer, Endpoint, RunState

ENDPOINT = Endpoint(
    id="llama.cpp-1",
    url="http://127.0.0.1:8000/v1",
    engine="llama.cpp",
    version="1",
    build="published",
    model="it's a model",
    environment="/e",
    because=["it is there"],
    log="/l",
    pid=1,
    started_at="2026-01-01T00:00:00+00:00",
    answer=Answer("Hello?", "Yes\n\x1b[31m  indeed", 1, 2, 0.0),
)


@pytest.fixture(autouse=True)
def _its_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SARTOR_COMMAND", raising=False)


@given(st.lists(st.tuples(st.text(), st.text(), st.text()), min_size=1))
def test_columns_line_up(rows: list[tuple[str, str, str]]) -> None:
    assert len(table(rows)) == len(rows)


def test_table() -> None:
    assert table([["A", "LONG"], ["longer", "b"]]) == ["A       LONG", "longer  b"]


def test_an_endpoint() -> None:
    lines = endpoint_lines(ENDPOINT)
    assert lines[0].startswith("http://127.0.0.1:8000/v1")
    assert lines[-1] == "stop: Ctrl-C   log: /l"
    assert "  because it is there" in lines
    assert "  answered: Yes ?[31m indeed" in lines
    again = endpoint_lines(msgspec.structs.replace(ENDPOINT, reused=True, demo=True))
    assert again[-1].startswith("stop: sartor stop llama.cpp-1")
    assert any("random" in line for line in again)


@pytest.mark.parametrize(
    ("name", "shown"), [("./sartor", "./sartor"), ("/my tree/sartor", "'/my tree/sartor'")]
)
def test_the_command_is_the_one_that_was_typed(
    name: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SARTOR_COMMAND", name)
    last = endpoint_lines(msgspec.structs.replace(ENDPOINT, detached=True))[-1]
    assert last == f"stop: {shown} stop llama.cpp-1   log: {shown} logs llama.cpp-1"
    assert f"`{shown} up`" in status_lines([])[0]


def test_the_curl_line_is_one_for_a_shell() -> None:
    words = shlex.split(curl(ENDPOINT))
    body = msgspec.json.decode(words[-1])
    assert body["model"] == "it's a model"
    with_key = curl(msgspec.structs.replace(ENDPOINT, api_key_file="/a folder/api-key"))
    assert "$(cat '/a folder/api-key')" in with_key


def test_runs() -> None:
    now = datetime.datetime(2026, 1, 2, 3, tzinfo=datetime.UTC)
    run = RunState(
        id="r",
        state="ended",
        engine="e",
        version="1",
        model="m",
        url="http://127.0.0.1:8000/v1",
        port=8000,
        environment="/e",
        log="/l",
        started_at="2026-01-01T00:00:00+00:00",
        exit_status=-9,
    )
    lines = status_lines([run], now)
    assert "ended (-9)" in lines[1]
    assert "1 d" in lines[1]
    assert "sartor logs" in lines[-1]
    assert status_lines([]) == ["nothing runs; `sartor up` starts something"]


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


def talk(terminal: Terminal) -> None:
    """Say one of each."""
    terminal.stage("build", "begins")
    terminal.progress("downloading", 1 << 20, 2 << 20, "B")
    terminal.done("build", "well", 1.25)
    terminal.note("by the way")
    terminal.warn("look out")
    terminal.error(PortInUseError("no port", found=["held"], hint="take another", log="/l"))


def test_a_terminal_with_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    screen = Screen()
    talk(Terminal(screen))
    assert "\x1b[31m" in screen.getvalue()
    assert "\r\x1b[K" in screen.getvalue()


def test_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    screen = Screen()
    talk(Terminal(screen))
    assert "\x1b[" not in screen.getvalue().replace("\x1b[K", "")


@pytest.mark.parametrize("quiet", [False, True])
def test_no_terminal(quiet: bool) -> None:
    stream = io.StringIO()
    talk(Terminal(stream, quiet=quiet))
    said = stream.getvalue()
    assert "\x1b" not in said
    assert "\r" not in said
    assert "warning: look out" in said
    assert "error: no port\n  held\n\nhint: take another\nlog: /l\n" in said
    assert ("by the way" in said) is not quiet


@pytest.mark.parametrize("columns", [1, 12, 80])
def test_a_line_of_progress_fits(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(columns))
    screen = Screen()
    Terminal(screen).stage("build", "x" * 100)
    shown = re.sub(r"\x1b\[\d*[mK]|\r", "", screen.getvalue())
    assert len(shown) == columns - 1
    assert screen.getvalue().endswith("\x1b[0m")


class Broken(io.StringIO):
    """A stream that cannot be written."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def write(self, _: str) -> int:
        raise self.error


@pytest.mark.parametrize(
    "error", [BrokenPipeError(), OSError(28, "full"), OSError(5, "gone"), ValueError("closed")]
)
def test_a_terminal_never_raises(error: Exception) -> None:
    talk(Terminal(Broken(error)))


def test_letters_that_stdout_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding="ascii") as stdout:
        monkeypatch.setattr("sys.stdout", stdout)
        print_lines("a · b")
        assert raw.getvalue() == b"a ? b\n"
        monkeypatch.undo()


def test_a_log_file(tmp_path: Path) -> None:
    log = new_log(Places(tmp_path), "up")
    both = Both(log, LogFile(Path("/dev/null/log")))
    both.stage("build", "begins")
    both.progress("downloading", 1, 2, "B")
    both.progress("downloading", 2, 2, "B")
    both.done("build", "well", 1.0)
    both.note("note")
    both.detail("detail")
    both.warn("careful")
    assert stat.S_IMODE(log.path.stat().st_mode) == 0o600
    lines = [line.partition(" ")[2] for line in log.path.read_text().splitlines()]
    assert lines == [
        "build begins begins",
        "downloading: 2 B",
        "build done in 1.000 s: well",
        "note",
        "detail",
        "warning: careful",
    ]


def test_old_logs_go(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    for number in range(30):
        (tmp_path / "logs" / f"up-{number:02}.log").touch()
    new_log(Places(tmp_path), "up").note("new")
    left = sorted(p.name for p in (tmp_path / "logs").iterdir())
    assert len(left) == 20
    assert "up-29.log" in left
    assert stat.S_IMODE((tmp_path / "logs").stat().st_mode) == 0o700


@given(st.integers(0, 1 << 60))
def test_bytes_for_people(count: int) -> None:
    number, unit = human_bytes(count).split()
    factor = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}[unit]
    assert abs(float(number) * factor - count) <= 0.051 * factor
