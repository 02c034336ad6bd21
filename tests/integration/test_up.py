"""`sartor up` to an endpoint that answers a real client, and its end."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import openai
import psutil
import pytest

from sartor_cli import (
    Document,
    Sartor,
    accepts,
    answers,
    client,
    closed_port,
    port_of,
    processes_of,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openai.types.chat import ChatCompletionUserMessageParam

HELLO: ChatCompletionUserMessageParam = {"role": "user", "content": "Hello"}
KEY = "sk-test-0123456789abcdef"


def own_address() -> str | None:
    """An address of this machine that is not the loopback's; None where it has none."""
    for addresses in psutil.net_if_addrs().values():
        for address in addresses:
            if address.family == socket.AF_INET and not address.address.startswith("127."):
                return address.address
    return None


@pytest.fixture
def served(sartor: Sartor) -> Iterator[Document]:
    """The endpoint of the demo model, served in the background."""
    endpoint = sartor.json("up", "--detach")
    yield endpoint
    sartor.run("stop", endpoint["id"]).succeeded()
    assert not answers(endpoint)


def test_packages_of_the_user_stay_outside(sartor: Sartor, tmp_path: Path) -> None:
    """What was verified is what is served: PYTHONPATH does not put another package before it."""
    (tmp_path / "xllamacpp.py").write_text("raise RuntimeError('not this one')\n", "utf-8")
    given = sartor.having(PYTHONPATH=str(tmp_path), PYTHONHOME="")
    endpoint = given.json("up", "--detach")
    assert endpoint["answer"]["completion_tokens"] > 0
    sartor.run("stop", endpoint["id"]).succeeded()


class TestEndpoint:
    def test_document(self, sartor: Sartor, served: Document) -> None:
        assert served["detached"]
        assert served["demo"]
        assert not served["reused"]
        assert served["answer"]["completion_tokens"] > 0
        assert served["api_key_file"] is None
        assert served["environment"].startswith(str(sartor.home))
        assert psutil.Process(served["pid"]).is_running()

    def test_chat_with_usage(self, served: Document) -> None:
        with client(served) as api:
            answer = api.chat.completions.create(
                model=served["model"], messages=[HELLO], max_tokens=12, temperature=0
            )
        usage = answer.usage
        assert usage is not None
        assert usage.prompt_tokens > 0
        assert 0 < usage.completion_tokens <= 12
        assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
        assert answer.choices[0].message.role == "assistant"
        assert answer.choices[0].finish_reason in {"length", "stop"}

    def test_stream(self, served: Document) -> None:
        with (
            client(served) as api,
            api.chat.completions.create(
                model=served["model"],
                messages=[HELLO],
                max_tokens=12,
                stream=True,
                stream_options={"include_usage": True},
            ) as stream,
        ):
            chunks = list(stream)
        texts = [c.choices[0].delta.content for c in chunks if c.choices]
        ends = [c.choices[0].finish_reason for c in chunks if c.choices]
        assert len([text for text in texts if text]) > 1
        assert [end for end in ends if end] == [ends[-1]]
        usage = chunks[-1].usage
        assert usage is not None
        assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens

    def test_models(self, served: Document) -> None:
        with client(served) as api:
            assert [model.id for model in api.models.list()] == [served["model"]]

    def test_a_prompt_past_the_context_is_refused(self, served: Document) -> None:
        long: ChatCompletionUserMessageParam = {"role": "user", "content": "hello " * 9000}
        with client(served) as api, pytest.raises(openai.BadRequestError):
            api.chat.completions.create(model=served["model"], messages=[long], max_tokens=1)

    def test_it_listens_on_the_loopback_alone(self, served: Document) -> None:
        listening = {
            c.laddr.ip
            for c in psutil.net_connections("tcp")
            if c.status == psutil.CONN_LISTEN and c.laddr and c.laddr.port == port_of(served)
        }
        assert listening == {"127.0.0.1"}
        other = own_address()
        assert other is None or not accepts(other, port_of(served))

    def test_a_foreign_page_is_not_let_in(self, served: Document) -> None:
        origin = {"Origin": "https://elsewhere.example"}
        asked = origin | {"Access-Control-Request-Method": "POST"}
        with openai.DefaultHttpxClient(trust_env=False, base_url=served["url"]) as http:
            for answer in (
                http.get("/models", headers=origin),
                http.options("/chat/completions", headers=asked),
            ):
                allowed = answer.headers.get("access-control-allow-origin")
                assert allowed not in {"*", origin["Origin"]}

    def test_the_curl_line_works_as_it_stands(self, sartor: Sartor, served: Document) -> None:
        if shutil.which("curl") is None:
            pytest.skip("DID NOT RUN: `curl` is not installed here")
        text = sartor.run("up").succeeded().stdout
        line = next(line for line in text.splitlines() if line.startswith("curl "))
        done = subprocess.run(
            [*shlex.split(line), "--silent", "--noproxy", "*"], capture_output=True, check=True
        )
        assert json.loads(done.stdout)["choices"]


class TestKey:
    def test_a_key_of_the_users_own(self, sartor: Sartor, tmp_path: Path) -> None:
        file = tmp_path / "key"
        file.write_text(f"{KEY}\n")
        from_variable = sartor.having(SARTOR_API_KEY=KEY)
        with from_variable.start("up", "--json") as running:
            endpoint = running.endpoint()
            check_key(sartor, endpoint, KEY)
            assert "SARTOR_API_KEY" not in psutil.Process(endpoint["pid"]).environ()
            again = sartor.json("up", "--api-key-file", str(file))
            assert again["reused"], "the same key from a file is the same server"
            assert again["id"] == endpoint["id"]
            done = running.end(signal.SIGINT).succeeded()
        assert KEY not in done.stdout + done.stderr
        assert not Path(endpoint["api_key_file"]).exists()

    def test_others_who_can_reach_it_need_a_key(self, sartor: Sartor) -> None:
        with sartor.start("up", "--json", "--listen", "0.0.0.0") as running:
            endpoint = running.endpoint()
            key = Path(endpoint["api_key_file"]).read_text().strip()
            assert len(key) >= 32
            check_key(sartor, endpoint, key)
            done = running.end(signal.SIGTERM).succeeded()
        assert key not in done.stdout + done.stderr

    @pytest.mark.parametrize("key", ["two words", "ключ", "line\nline"])
    def test_a_key_that_no_client_can_send(self, sartor: Sartor, key: str) -> None:
        done = sartor.having(SARTOR_API_KEY=key).run("up", "--json")
        error = done.failed("usage", 2)
        assert "SARTOR_API_KEY" in error["message"]
        assert key not in done.stdout + done.stderr

    def test_a_key_file_that_is_not_there(self, sartor: Sartor, tmp_path: Path) -> None:
        missing = str(tmp_path / "missing")
        assert (
            missing
            in sartor.run("up", "--json", "--api-key-file", missing).failed("usage", 2)["message"]
        )


def check_key(sartor: Sartor, endpoint: Document, key: str) -> None:
    """The key is asked for, stands in one file for its owner alone, and nowhere else."""
    with client(endpoint, "wrong") as api, pytest.raises(openai.AuthenticationError):
        api.chat.completions.create(model=endpoint["model"], messages=[HELLO], max_tokens=1)
    with client(endpoint, key) as api:
        api.chat.completions.create(model=endpoint["model"], messages=[HELLO], max_tokens=1)
    file = Path(endpoint["api_key_file"])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert key not in sartor.log_texts()
    assert key not in json.dumps(endpoint)
    for process in processes_of(sartor.home):
        assert key not in " ".join(process.cmdline())
    holding = [p for p in file.parent.iterdir() if key in p.read_text("utf-8", "replace")]
    assert holding == [file]


class TestEnd:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_ends_it(self, sartor: Sartor, number: signal.Signals) -> None:
        with sartor.start("up", "--json") as running:
            endpoint = running.endpoint()
            assert not endpoint["detached"]
            assert answers(endpoint)
            running.end(number).succeeded()
        assert not answers(endpoint)
        assert not processes_of(sartor.home)

    def test_an_impatient_user(self, sartor: Sartor) -> None:
        with sartor.start("up", "--json") as running:
            endpoint = running.endpoint()
            while running.process.poll() is None:
                running.process.send_signal(signal.SIGINT)
                time.sleep(0.01)
            done = running.wait().succeeded()
        assert "error" not in done.stderr
        assert not answers(endpoint)

    def test_a_signal_while_the_model_loads(self, sartor: Sartor) -> None:
        with sartor.start("up", "--json") as running:
            wait_until(lambda: "starting" in sartor.states().values() or running.stdout)
            done = running.end(signal.SIGINT)
        assert done.status in {0, 130}

    def test_closing_its_output_ends_it(self, sartor: Sartor) -> None:
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run(
            [sys.executable, "-m", "sartor", "up", "--json"],
            env=sartor.variables,
            stdout=writing,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
        os.close(writing)
        assert done.returncode == 141
        assert b"Traceback" not in done.stderr


class TestSeveral:
    def test_the_same_again_is_the_same_server(self, sartor: Sartor, served: Document) -> None:
        again = sartor.json("up", "--detach")
        assert (again["id"], again["url"]) == (served["id"], served["url"])
        assert again["reused"]
        assert again["answer"]["completion_tokens"] > 0
        assert list(sartor.states().values()) == ["running"]

    def test_the_same_twice_at_once(self, fresh: Sartor) -> None:
        both = [fresh.start("up", "--json", "--detach") for _ in range(2)]
        done = [running.wait().succeeded() for running in both]
        endpoints = [d.document for d in done]
        assert len({e["id"] for e in endpoints}) == 1
        assert sorted(e["reused"] for e in endpoints) == [False, True]
        assert len(fresh.states()) == 1
        built = [d for d in done if "packages installed" in d.stderr]
        assert len(built) == 1
        fresh.run("stop").succeeded()

    def test_different_ones_at_once(self, sartor: Sartor, tmp_path: Path) -> None:
        demo = next((sartor.home / "models").glob("*.gguf"))
        names = ["one", "two", "three"]
        for name in names:
            (tmp_path / f"{name}.gguf").write_bytes(demo.read_bytes())
        started = [
            sartor.start("up", "--json", "--detach", "--model", str(tmp_path / f"{name}.gguf"))
            for name in names
        ]
        endpoints = [running.wait().succeeded().document for running in started]
        assert len({port_of(e) for e in endpoints}) == 3
        for name, endpoint in zip(names, endpoints, strict=True):
            with client(endpoint) as api:
                assert [m.id for m in api.models.list()] == [name]
        assert set(sartor.states().values()) == {"running"}
        several = sartor.run("stop", "--json").failed("no-such-run", 53)
        assert "--all" in several["hint"]
        stopped = sartor.json("stop", str(port_of(endpoints[0])))
        assert stopped["stopped"] == [endpoints[0]["id"]]
        assert answers(endpoints[1])
        stopped = sartor.json("stop", "--all")
        assert sorted(stopped["stopped"]) == sorted(e["id"] for e in endpoints[1:])

    def test_a_file_that_was_written_again_is_another_model(
        self, sartor: Sartor, tmp_path: Path
    ) -> None:
        file = tmp_path / "mine.gguf"
        demo = next((sartor.home / "models").glob("*.gguf")).read_bytes()
        file.write_bytes(demo)
        first = sartor.json("up", "--detach", "--model", str(file))
        file.unlink()
        file.write_bytes(demo)
        second = sartor.json("up", "--detach", "--model", str(file))
        assert not second["reused"]
        assert first["id"] != second["id"]
        assert sartor.json("up", "--model", str(file))["id"] == second["id"]
        sartor.run("stop", "--all").succeeded()

    def test_the_same_file_by_another_path(self, sartor: Sartor, tmp_path: Path) -> None:
        file = tmp_path / "mine.gguf"
        file.write_bytes(next((sartor.home / "models").glob("*.gguf")).read_bytes())
        (tmp_path / "link.gguf").symlink_to(file)
        first = sartor.json("up", "--detach", "--model", str(file))
        for name in ("mine.gguf", "./link.gguf", "../" + tmp_path.name + "/mine.gguf"):
            done = sartor.run("up", "--json", "--model", name, cwd=tmp_path).succeeded()
            assert (done.document["id"], done.document["reused"]) == (first["id"], True)
        sartor.run("stop").succeeded()

    def test_a_port_of_ones_own(self, sartor: Sartor) -> None:
        port = closed_port()
        endpoint = sartor.json("up", "--detach", "--port", str(port))
        assert port_of(endpoint) == port
        for arguments in ([], ["--port", str(port)]):
            again = sartor.json("up", "--detach", *arguments)
            assert (again["id"], again["reused"]) == (endpoint["id"], True)
        other = sartor.json("up", "--detach", "--port", str(closed_port()))
        assert not other["reused"]
        sartor.run("stop", str(port_of(other))).succeeded()
        sartor.run("stop", str(port)).succeeded()


class TestAround:
    """`status`, `logs` and `stop`."""

    def test_status(self, sartor: Sartor, served: Document) -> None:
        (run,) = sartor.json("status")["runs"]
        assert (run["id"], run["pid"], run["url"]) == (
            served["id"],
            served["pid"],
            served["url"],
        )
        text = sartor.run("status").succeeded().stdout
        assert served["url"] in text
        assert "running" in text

    def test_nothing_runs(self, sartor: Sartor) -> None:
        assert sartor.json("status")["runs"] == []
        assert "nothing runs" in sartor.run("status").succeeded().stdout
        assert sartor.json("stop") == {
            "schema": "sartor.stopped/1",
            "stopped": [],
            "cleaned": [],
        }
        assert sartor.run("stop", "--all").succeeded().stdout == ""

    def test_no_such_run(self, sartor: Sartor, served: Document) -> None:
        name = served["id"][:-1] + "x"
        error = sartor.run("stop", name, "--json").failed("no-such-run", 53)
        assert served["id"] in error["hint"]
        sartor.run("logs", name, "--json").failed("no-such-run", 53)

    def test_logs(self, sartor: Sartor, served: Document) -> None:
        for arguments in ([], [served["id"]], [str(port_of(served))], ["llama.cpp"]):
            document = sartor.json("logs", *arguments, "--lines", "1000")
            assert document["path"] == served["log"]
            assert any("listening on" in line for line in document["lines"])
        text = sartor.run("logs", "-n", "1").succeeded().stdout
        assert len(text.splitlines()) == 1

    def test_logs_of_the_build(self, sartor: Sartor, served: Document) -> None:
        for arguments in ([], [served["id"]]):
            document = sartor.json("logs", *arguments, "--stage", "build", "--lines", "1000")
            assert Path(document["path"]).name == f"build-{Path(served['environment']).name}.log"
            assert any("pip sync" in line for line in document["lines"])
        whole = sartor.json("logs", "--stage", "up", "--lines", "1000")
        assert any("serve done in" in line for line in whole["lines"])
        assert sartor.json("logs", "--stage", "verify")["lines"]

    def test_the_log_stays_when_the_server_goes(self, sartor: Sartor) -> None:
        endpoint = sartor.json("up", "--detach")
        sartor.run("stop").succeeded()
        assert sartor.json("logs", endpoint["id"])["path"] == endpoint["log"]
        assert sartor.json("logs")["path"] == endpoint["log"]

    def test_following_a_log(self, sartor: Sartor, served: Document) -> None:
        with sartor.start("logs", "--follow") as running:
            wait_until(lambda: "listening on" in running.stdout)
            with Path(served["log"]).open("a") as log:
                log.write("a line for the follower\n")
            wait_until(lambda: "a line for the follower" in running.stdout)
            done = running.end(signal.SIGINT)
        assert (done.status, done.stderr) == (130, "")
