"""Whatever is killed, and whenever: nothing is left, or the next `sartor` cleans it up."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from sartor.host.loader import find_library
from sartor_cli import (
    Document,
    Sartor,
    answers,
    client,
    leftovers,
    processes_of,
    wait_until,
)

if TYPE_CHECKING:
    from indexserver import Index
    from sartor_cli import Running


def supervisor_of(endpoint: Document) -> psutil.Process:
    """The process that looks after a server."""
    parent = psutil.Process(endpoint["pid"]).parent()
    assert parent is not None
    assert "sartor.serve.supervisor" in parent.cmdline()
    return parent


def leaderless_group(folder: Path) -> tuple[int, psutil.Process]:
    """The number of a group whose leader has ended, and the one process left in it."""
    with subprocess.Popen(
        ["bash", "-c", "sleep 60 >&- & echo $!"],
        cwd=folder,
        env={},
        start_new_session=True,
        stdout=subprocess.PIPE,
    ) as leader:
        assert leader.stdout is not None
        member = psutil.Process(int(leader.stdout.readline()))
    return leader.pid, member


class TestServing:
    def test_up_is_killed(self, sartor: Sartor) -> None:
        with sartor.start("up", "--json") as running:
            endpoint = running.endpoint()
            running.end(signal.SIGKILL)
            wait_until(lambda: not processes_of(sartor.home), 10)
        assert not answers(endpoint)
        assert sartor.states() == {}

    def test_up_is_killed_while_the_server_starts(self, sartor: Sartor) -> None:
        with sartor.start("up", "--json") as running:
            wait_until(lambda: list((sartor.home / "runs").glob("*/run.json")))
            running.end(signal.SIGKILL)
        wait_until(lambda: not processes_of(sartor.home), 10)

    def test_the_server_is_killed(self, sartor: Sartor) -> None:
        with sartor.start("up", "--json") as running:
            os.kill(running.endpoint()["pid"], signal.SIGKILL)
            error = running.wait().failed("server-died", 51)
        assert "SIGKILL" in error["message"]
        assert "memory" in error["hint"]
        assert Path(error["log"]).exists()

    def test_a_detached_server_is_killed(self, sartor: Sartor) -> None:
        endpoint = sartor.having(SARTOR_API_KEY="sk-some-key").json("up", "--detach")
        os.kill(endpoint["pid"], signal.SIGKILL)
        wait_until(lambda: sartor.states() == {endpoint["id"]: "ended"}, 10)
        (run,) = sartor.json("status")["runs"]
        assert run["exit_status"] == -signal.SIGKILL
        text = sartor.run("status").succeeded().stdout
        assert "ended" in text
        assert "sartor logs" in text
        assert not Path(endpoint["api_key_file"]).exists()
        assert sartor.json("logs", endpoint["id"])["path"] == endpoint["log"]
        assert sartor.json("stop", endpoint["id"])["cleaned"] == [endpoint["id"]]

    def test_the_supervisor_is_killed(self, sartor: Sartor) -> None:
        endpoint = sartor.json("up", "--detach")
        supervisor_of(endpoint).kill()
        wait_until(lambda: sartor.states() == {endpoint["id"]: "lost"}, 10)
        assert "lost" in sartor.run("status").succeeded().stdout
        stopped = sartor.json("stop")
        assert (stopped["stopped"], stopped["cleaned"]) == ([], [endpoint["id"]])
        assert not answers(endpoint)
        assert leftovers(sartor.home) == []

    def test_the_supervisor_is_killed_and_up_comes_next(self, sartor: Sartor) -> None:
        lost = sartor.json("up", "--detach")
        supervisor_of(lost).kill()
        done = sartor.run("up", "--detach", "--json").succeeded()
        assert done.document["id"] != lost["id"]
        assert not done.document["reused"]
        assert f"cleaned up {lost['id']}" in done.stderr
        assert lost["pid"] not in {p.pid for p in processes_of(sartor.home)}
        assert sartor.json("stop")["stopped"] == [done.document["id"]]

    def test_the_supervisor_is_killed_below_a_foreground_up(self, sartor: Sartor) -> None:
        with sartor.start("up", "--json") as running:
            endpoint = running.endpoint()
            supervisor_of(endpoint).kill()
            error = running.wait().failed("server-died", 51)
        assert "supervisor" in error["message"]
        assert not answers(endpoint)
        assert leftovers(sartor.home) == []

    def test_everything_is_killed(self, sartor: Sartor) -> None:
        with sartor.start("up", "--json") as running:
            endpoint = running.endpoint()
            supervisor, server = supervisor_of(endpoint), psutil.Process(endpoint["pid"])
            for process in (running.process, supervisor, server):
                process.kill()
            running.wait()
        assert sartor.states() == {endpoint["id"]: "lost"}
        assert sartor.json("stop", "--all")["cleaned"] == [endpoint["id"]]

    def test_stopping_a_lost_run_leaves_the_other_alone(
        self, sartor: Sartor, tmp_path: Path
    ) -> None:
        other = tmp_path / "other.gguf"
        shutil.copyfile(next((sartor.home / "models").glob("*.gguf")), other)
        lost = sartor.json("up", "--detach")
        kept = sartor.json("up", "--detach", "--model", str(other))
        supervisor_of(lost).kill()
        wait_until(lambda: sartor.states()[lost["id"]] == "lost", 10)
        stopped = sartor.json("stop", lost["id"])
        assert (stopped["stopped"], stopped["cleaned"]) == ([], [lost["id"]])
        with client(kept) as api:
            assert [model.id for model in api.models.list()] == ["other"]
        assert sartor.json("stop")["stopped"] == [kept["id"]]

    def test_a_number_that_another_process_got_is_left_alone(self, sartor: Sartor) -> None:
        endpoint = sartor.json("up", "--detach")
        supervisor = supervisor_of(endpoint)
        folder = sartor.home / "runs" / endpoint["id"]
        for process in (supervisor, psutil.Process(endpoint["pid"])):
            process.kill()
        with subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True
        ) as bystander:
            path = folder / "processes.json"
            record = path.read_text().replace(str(supervisor.pid), str(bystander.pid))
            path.write_text(record.replace(str(endpoint["pid"]), str(bystander.pid)))
            assert sartor.states() == {endpoint["id"]: "lost"}
            assert sartor.json("stop")["cleaned"] == [endpoint["id"]]
            assert bystander.poll() is None
            bystander.kill()

    @pytest.mark.parametrize("of_the_run", [True, False])
    def test_a_group_without_its_leader(
        self, sartor: Sartor, tmp_path: Path, *, of_the_run: bool
    ) -> None:
        endpoint = sartor.json("up", "--detach")
        folder = sartor.home / "runs" / endpoint["id"]
        supervisor_of(endpoint).kill()
        wait_until(lambda: sartor.states() == {endpoint["id"]: "lost"}, 10)
        leader, member = leaderless_group(folder if of_the_run else tmp_path)
        path = folder / "processes.json"
        server = psutil.Process(endpoint["pid"])
        path.write_text(path.read_text().replace(str(server.pid), str(leader)))
        assert sartor.json("stop")["cleaned"] == [endpoint["id"]]
        ended = not member.is_running() or member.status() == psutil.STATUS_ZOMBIE
        for process in (member, server):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs([member, server], timeout=10)
        assert ended is of_the_run

    def test_a_run_of_another_container(self, sartor: Sartor) -> None:
        endpoint = sartor.json("up", "--detach")
        folder = sartor.home / "runs" / endpoint["id"]
        record = (folder / "run.json").read_text()
        values = json.loads(record)
        values["origin"]["pids"] = "pid:[1]"
        (folder / "run.json").write_text(json.dumps(values))
        assert sartor.states() == {endpoint["id"]: "elsewhere"}
        assert "elsewhere" in sartor.run("status").succeeded().stdout
        for name in ([], [endpoint["id"]]):
            error = sartor.run("stop", *name, "--json").failed("no-such-run", 53)
            assert str(folder) in error["hint"]
        assert sartor.json("stop", "--all") == {
            "schema": "sartor.stopped/1",
            "stopped": [],
            "cleaned": [],
        }
        other = sartor.json("up", "--detach")
        assert not other["reused"]
        assert sartor.json("stop")["stopped"] == [other["id"]]
        assert answers(endpoint)
        (folder / "run.json").write_text(record)
        assert sartor.json("stop")["stopped"] == [endpoint["id"]]

    def test_two_stop_it_at_once(self, sartor: Sartor) -> None:
        endpoint = sartor.json("up", "--detach")
        both = [sartor.start("stop", "--all", "--json") for _ in range(2)]
        stopped = [running.wait().succeeded().document["stopped"] for running in both]
        assert sorted(stopped) == [[], [endpoint["id"]]]

    def test_stop_while_the_server_starts(self, sartor: Sartor) -> None:
        with sartor.start("up", "--json") as running:
            wait_until(lambda: list((sartor.home / "runs").glob("*/run.json")))
            sartor.json("stop", "--all")
            done = running.wait()
        if done.status:
            done.failed("server-died", 51)
        assert leftovers(sartor.home) == []

    def test_what_was_killed_before_its_record_is_swept(self, sartor: Sartor) -> None:
        folder = sartor.home / "runs" / "llama.cpp-000000"
        folder.mkdir()
        (folder / "api-key").write_text("sk-left-behind")
        sartor.run("stop").succeeded()
        assert folder.exists(), "a run that is being started has no record yet"
        os.utime(folder, (time.time() - 60, time.time() - 60))
        sartor.run("stop").succeeded()
        assert not folder.exists()

    def test_status_while_runs_come_and_go(self, sartor: Sartor) -> None:
        with sartor.start("up", "--json") as running:
            while running.process.poll() is None:
                sartor.states()
                if running.stdout:
                    running.process.send_signal(signal.SIGTERM)
                    sartor.states()
            assert running.wait().status in {0, 130}


@pytest.fixture
def slow(isolated: Sartor, index: Index) -> Sartor:
    """`sartor` with an index that takes minutes for a wheel."""
    index.bytes_per_second = 1_000_000
    return isolated.having(UV_DEFAULT_INDEX=index.url)


def in_the_middle_of_the_build(running: Running, home: Path, index: Index) -> None:
    """Wait until the environment is there and its wheel is on the way."""
    wait_until(
        lambda: (
            running.process.poll() is not None
            or (list((home / "environments").glob(".*.building")) and index.sent > 200_000)
        )
    )
    assert running.process.poll() is None, running.stderr


class TestBuilding:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_ends_it(self, slow: Sartor, index: Index, number: signal.Signals) -> None:
        with slow.start("up", "--json") as running:
            in_the_middle_of_the_build(running, slow.home, index)
            running.end(number).failed("interrupted", 130)
        assert leftovers(slow.home) == []
        assert not list((slow.home / "environments").glob("[!.]*"))

    def test_sartor_is_killed(self, slow: Sartor, index: Index) -> None:
        if find_library("libgomp.so.1", platform.machine()) is None:
            pytest.skip("DID NOT RUN: libgomp is missing here, and this index has no copy of it")
        with slow.start("up", "--json") as running:
            in_the_middle_of_the_build(running, slow.home, index)
            running.end(signal.SIGKILL)
        wait_until(lambda: not processes_of(slow.home), 10)  # uv goes with it
        assert any(".building" in path for path in leftovers(slow.home))
        index.bytes_per_second = None
        assert slow.json("up", "--detach")["answer"]["completion_tokens"] > 0
        slow.run("stop").succeeded()

    def test_everything_is_killed_and_another_index_serves_next(
        self, slow: Sartor, index: Index, fresh: Sartor
    ) -> None:
        with slow.start("up", "--json") as running:
            in_the_middle_of_the_build(running, slow.home, index)
            running.process.kill()
            for process in processes_of(slow.home):
                process.kill()
            running.wait()
        index.status = 503
        assert slow.home == fresh.home
        assert fresh.json("up", "--detach")["answer"]["completion_tokens"] > 0
        assert not leftovers_of_builds(fresh.home)
        fresh.run("stop").succeeded()

    def test_what_a_killed_build_of_another_stack_left_is_removed(self, sartor: Sartor) -> None:
        staging = sartor.home / "environments" / ".0123456789abcdef.building"
        (staging / "lib").mkdir(parents=True)
        sartor.run("up", "--detach").succeeded()
        assert not staging.exists()
        sartor.run("stop").succeeded()


def leftovers_of_builds(home: Path) -> list[str]:
    """Half-made environments and locks."""
    return [path for path in leftovers(home) if ".building" in path or ".partial" in path]
