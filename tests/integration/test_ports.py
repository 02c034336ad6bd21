"""Ports on the real loopback: which are free, and whose server it is that answers."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import msgspec
import pytest

from sartor.errors import ServerDiedError
from sartor.models.model import Model
from sartor.processes import listens
from sartor.reporter import Silent
from sartor.serve import runs
from sartor.serve.address import port_is_free
from sartor.serve.ask import ready
from sartor.serve.model import Processes, Run
from sartor.serve.start import Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HERE = "127.0.0.1"
LISTS_ONE_MODEL = """
import http.server, json, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"data": [{"id": "a-model"}]}).encode())
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print(json.dumps(server.server_port), flush=True)
server.serve_forever()
"""


@pytest.fixture
def stranger() -> Iterator[tuple[int, int]]:
    """The process and the port of somebody's server that lists a model."""
    argv = [sys.executable, "-c", LISTS_ONE_MODEL]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        yield process.pid, json.loads(process.stdout.readline())
        process.kill()


def test_a_port_is_taken_before_anything_listens_on_it() -> None:
    """vLLM binds its port a minute before it listens."""
    with socket.socket() as early:
        early.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        early.bind((HERE, 0))
        port = early.getsockname()[1]
        assert not port_is_free(HERE, port)
    assert port_is_free(HERE, port)


def test_connections_that_are_closing_take_no_port() -> None:
    with socket.create_server((HERE, 0), reuse_port=True) as server:
        port = server.getsockname()[1]
        with socket.create_connection((HERE, port)) as client:
            server.accept()[0].close()  # the side that closes first has to wait
            assert client.recv(1) == b""
    assert port_is_free(HERE, port)


def test_a_port_that_llama_cpp_could_not_bind_is_not_free() -> None:
    """The closing connections are those of a server that asked for ``SO_REUSEADDR`` alone."""
    with socket.create_server((HERE, 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection((HERE, port)) as client:
            server.accept()[0].close()
            assert client.recv(1) == b""
    assert not port_is_free(HERE, port)


def test_who_listens(stranger: tuple[int, int]) -> None:
    pid, port = stranger
    assert listens(pid, port)
    assert listens(os.getpid(), port)  # its parent
    assert not listens(pid, port + 1)
    assert not listens(os.getppid() if os.getppid() > 1 else 2**22, 1)


def test_a_strangers_server_is_not_ours(stranger: tuple[int, int], tmp_path: Path) -> None:
    """It lists the very model that we are to serve, on the port that we are to have."""
    run = Run(
        id="vllm-1",
        key="k",
        engine="vllm",
        build="b",
        version="1",
        model="a-model",
        environment="/nowhere",
        host=HERE,
        port=stranger[1],
        argv=[],
        variables={},
        log=str(tmp_path / "log"),
        started_at="2026-11-20T00:00:00+00:00",
    )
    with subprocess.Popen(["sleep", "1"]) as ours:
        both = Processes(runs.process(os.getpid()), runs.process(ours.pid))
        (tmp_path / runs.PROCESSES).write_bytes(msgspec.json.encode(both))
        server = Server(run, tmp_path, ours, -1)
        assert ready(server.url, None, run.model)
        model = Model(reference="r", format="safetensors", name="a-model")
        with pytest.raises(ServerDiedError):
            server.wait_until_ready(model, Silent())
