"""Everything that stands in the way of `sartor up`: its code, its exit status, its way out."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from gguf import GGUFWriter

from indexserver import serving
from sartor.host.loader import find_library
from sartor.models.gguf import read_gguf
from sartor_cli import Sartor, closed_port, leftovers, port_of, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from indexserver import Index

ROOT = os.geteuid() == 0
METADATA = 1 << 18
"""Bytes that planning asks an index for at most; a wheel has more."""


def nothing_half_written(sartor: Sartor) -> None:
    """No environment, and nothing that was to become one."""
    assert leftovers(sartor.home) == []
    assert not list((sartor.home / "environments").glob("[!.]*"))


class TestNetwork:
    def test_nothing_is_reached_and_nothing_is_cached(self, isolated: Sartor) -> None:
        nowhere = isolated.having(UV_DEFAULT_INDEX=f"http://127.0.0.1:{closed_port()}/simple")
        error = nowhere.run("up", "--json").failed("index-unreachable", 20)
        assert "UV_DEFAULT_INDEX" in error["hint"]
        nothing_half_written(isolated)

    def test_a_proxy_that_is_not_there(self, isolated: Sartor) -> None:
        proxy = f"http://127.0.0.1:{closed_port()}"
        behind = isolated.having(
            HTTP_PROXY=proxy,
            HTTPS_PROXY=proxy,
            NO_PROXY="",
            UV_DEFAULT_INDEX="http://[::1]:9/simple",
        )
        error = behind.run("up", "--json").failed("index-unreachable", 20)
        assert "HTTPS_PROXY" in error["hint"]

    def test_everything_is_built(self, sartor: Sartor) -> None:
        nowhere = sartor.having(
            UV_DEFAULT_INDEX=f"http://127.0.0.1:{closed_port()}/simple", UV_OFFLINE="1"
        )
        assert nowhere.json("up", "--detach")["answer"]
        nowhere.run("stop").succeeded()

    def test_uv_has_everything_in_its_cache(self, isolated: Sartor, wheels: list[Path]) -> None:
        if find_library("libgomp.so.1", platform.machine()) is None:
            pytest.skip("DID NOT RUN: libgomp is missing here, and this index has no copy of it")
        with serving(wheels) as index:
            here = isolated.having(UV_DEFAULT_INDEX=index.url)
            here.run("up", "--detach").succeeded()
            here.run("stop").succeeded()
        shutil.rmtree(isolated.home / "environments")
        done = here.run("up", "--detach", "--json").succeeded()
        assert "the local cache had all that is needed" in done.stderr
        here.run("stop").succeeded()

    @pytest.mark.parametrize("status", [401, 403, 404, 500])
    def test_the_index_refuses(self, isolated: Sartor, index: Index, status: int) -> None:
        index.status = status
        here = isolated.having(UV_DEFAULT_INDEX=index.url)
        error = here.run("up", "--json").failed("index-refused", 21)
        assert str(status) in error["message"]
        words = "credentials" if status in {401, 403} else "address" if status == 404 else "mirror"
        assert words in error["hint"]
        nothing_half_written(isolated)

    @pytest.mark.parametrize("status", [403, 500])
    def test_the_index_refuses_the_wheel(self, isolated: Sartor, index: Index, status: int) -> None:
        index.wheel_status = status
        here = isolated.having(UV_DEFAULT_INDEX=index.url)
        error = here.run("up", "--json").failed("index-refused", 21)
        assert str(status) in error["message"]
        nothing_half_written(isolated)

    def test_the_index_lacks_the_package(self, isolated: Sartor) -> None:
        with serving([]) as empty:
            here = isolated.having(UV_DEFAULT_INDEX=empty.url)
            error = here.run("up", "--json").failed("index-refused", 21)
        assert "404" in error["message"]


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A file system of 60 MB, most of which is free."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=60m", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.needs_root
class TestDisk:
    def test_it_is_said_before_anything_is_downloaded(
        self, isolated: Sartor, tiny: Path, index: Index
    ) -> None:
        full = isolated.having(UV_DEFAULT_INDEX=index.url, SARTOR_HOME=str(tiny / "home"))
        error = full.run("up", "--json").failed("disk-full", 23)
        assert "SARTOR_HOME" in error["hint"]
        assert any("MB" in line or "MiB" in line for line in error["found"])
        assert index.sent < METADATA
        assert not list(tiny.glob("home/environments/*"))

    def test_the_cache_fills_up_in_the_middle(
        self, isolated: Sartor, tiny: Path, index: Index
    ) -> None:
        cache = tiny / "uv-cache"
        full = isolated.having(UV_DEFAULT_INDEX=index.url, UV_CACHE_DIR=str(cache))
        error = full.run("up", "--json").failed("disk-full", 23)
        assert str(cache) in error["message"]
        assert "UV_CACHE_DIR" in error["hint"]
        nothing_half_written(isolated)

    def test_no_room_for_a_record(self, sartor: Sartor, tiny: Path, index: Index) -> None:
        home = tiny / "home"
        small = sartor.having(SARTOR_HOME=str(home))
        home.mkdir()
        (home / "environments").symlink_to(sartor.home / "environments")
        with (home / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
            while True:
                filler.write(bytes(4096))
        error = small.run("up", "--json").failed("disk-full", 23)
        assert error["hint"]
        assert not (home / "runs").exists()

    def test_a_folder_that_cannot_be_written(self, isolated: Sartor, tiny: Path) -> None:
        subprocess.run(["mount", "-o", "remount,ro", str(tiny)], check=True)
        home = str(tiny / "home")
        error = isolated.having(SARTOR_HOME=home).run("up", "--json").failed("not-writable", 24)
        assert home in error["message"]
        assert "SARTOR_HOME" in error["hint"]


class TestFolder:
    @pytest.mark.parametrize("home", ["/proc/sartor", "/dev/null/sartor", "/dev/null"])
    def test_no_folder_can_be_made(self, isolated: Sartor, home: str) -> None:
        here = isolated.having(SARTOR_HOME=home)
        error = here.run("up", "--json").failed("not-writable", 24)
        assert "SARTOR_HOME" in error["hint"]
        assert here.run("status", "--json").status == 0
        assert here.run("stop", "--all").status == 0

    @pytest.mark.skipif(not ROOT, reason="only root can become another user")
    def test_another_users_folder(self, isolated: Sartor, tmp_path: Path) -> None:
        reachable = subprocess.run(
            ["setpriv", "--reuid=65534", "--clear-groups", sys.executable, "-c", "import sartor"],
            check=False,
            capture_output=True,
        )
        if reachable.returncode:
            pytest.skip("another user cannot run this Python")
        home = Path("/var/lib/sartor-test-of-another-user")
        other = isolated.having(SARTOR_HOME=str(home))
        done = other.run("up", "--json", prefix=("setpriv", "--reuid=65534", "--clear-groups"))
        done.failed("not-writable", 24)


class TestPort:
    def test_it_is_held(self, sartor: Sartor) -> None:
        with socket.create_server(("127.0.0.1", 0)) as holder:
            port = holder.getsockname()[1]
            error = sartor.run("up", "--json", "--port", str(port)).failed("port-in-use", 50)
        assert str(port) in error["message"]
        assert any(str(os.getpid()) in line for line in error["found"])
        assert "--port" in error["hint"]
        assert leftovers(sartor.home) == []

    def test_it_is_held_by_a_run(self, sartor: Sartor, tmp_path: Path) -> None:
        endpoint = sartor.json("up", "--detach")
        other = tmp_path / "other.gguf"
        shutil.copyfile(next((sartor.home / "models").glob("*.gguf")), other)
        arguments = ["up", "--json", "--model", str(other), "--port", str(port_of(endpoint))]
        error = sartor.run(*arguments).failed("port-in-use", 50)
        assert any(endpoint["id"] in line for line in error["found"])
        sartor.run("stop").succeeded()

    def test_another_is_taken(self, sartor: Sartor) -> None:
        try:
            holder = socket.create_server(("127.0.0.1", 8000))
        except OSError:
            holder = socket.socket()  # somebody else holds it: as good
        with holder:
            done = sartor.run("up", "--json", "--detach").succeeded()
        assert port_of(done.document) != 8000
        assert "port 8000 is in use" in done.stderr
        sartor.run("stop").succeeded()

    @pytest.mark.parametrize("port", ["0", "-1", "65536", "eight"])
    def test_it_is_none(self, sartor: Sartor, port: str) -> None:
        sartor.run("up", "--json", f"--port={port}").failed("usage", 2)


@pytest.fixture
def demo(sartor: Sartor) -> Path:
    """The demo model's file."""
    return next((sartor.home / "models").glob("*.gguf"))


class TestModel:
    def test_it_is_cut_short(self, sartor: Sartor, demo: Path, tmp_path: Path) -> None:
        for size in (10, 1000, demo.stat().st_size - 1):
            cut = tmp_path / f"cut-{size}.gguf"
            cut.write_bytes(demo.read_bytes()[:size])
            error = sartor.run("up", "--json", "--model", str(cut)).failed("model-invalid", 31)
            assert error["hint"]

    @pytest.mark.parametrize(
        "content", [b"", b"PK\3\4" + bytes(100), b"not a model", b"<html>404</html>"]
    )
    def test_it_is_something_else(self, sartor: Sartor, tmp_path: Path, content: bytes) -> None:
        file = tmp_path / "model.gguf"
        file.write_bytes(content)
        error = sartor.run("up", "--json", "--model", str(file)).failed("model-invalid", 31)
        assert error["hint"]

    def test_a_folder_without_a_model(self, sartor: Sartor, tmp_path: Path) -> None:
        folder = tmp_path / "empty"
        folder.mkdir()
        done = sartor.run("up", "--json", "--model", str(folder))
        assert done.status in {30, 31}
        done.failed({30: "model-not-found", 31: "model-invalid"}[done.status], done.status)

    def test_it_is_not_there(self, sartor: Sartor, demo: Path) -> None:
        near = str(demo.with_suffix(".ggu"))
        error = sartor.run("up", "--json", "--model", near).failed("model-not-found", 30)
        assert str(demo) in error["hint"]

    def test_it_is_larger_than_the_memory(
        self, isolated: Sartor, index: Index, tmp_path: Path
    ) -> None:
        huge = tmp_path / "huge.gguf"
        write_huge(huge, 10 << 40)
        here = isolated.having(UV_DEFAULT_INDEX=index.url)
        error = here.run("up", "--json", "--model", str(huge)).failed("model-too-large", 32)
        assert "TiB" in error["message"]
        assert "smaller" in error["hint"]
        assert index.sent < METADATA, "said before any wheel is fetched"

    def test_the_engine_does_not_know_it(self, sartor: Sartor, demo: Path, tmp_path: Path) -> None:
        name = read_gguf(demo).text("general.architecture")
        assert name is not None
        strange = tmp_path / "strange.gguf"
        strange.write_bytes(demo.read_bytes().replace(name.encode(), b"q" * len(name)))
        error = sartor.run("up", "--json", "--model", str(strange)).failed("server-died", 51)
        assert any("q" * len(name) in line for line in error["found"]), error["found"]
        assert Path(error["log"]).exists()
        assert leftovers(sartor.home) == []

    def test_the_engine_does_not_know_it_and_a_key_is_asked_for(
        self, sartor: Sartor, demo: Path, tmp_path: Path
    ) -> None:
        strange = tmp_path / "badarch.gguf"
        strange.write_bytes(demo.read_bytes().replace(b"llama", b"llamb"))
        for _ in range(3):
            done = sartor.run("up", "-d", "--json", "--listen", "0.0.0.0", "-m", str(strange))
            error = done.failed("server-died", 51)
            assert any("llamb" in line for line in error["found"]), error["found"]
        assert leftovers(sartor.home) == []
        last = sartor.json("logs", "--stage", "up", "--lines", "1000")["lines"]
        assert any(error["message"] in line for line in last), "the log says how it ended"


def write_huge(target: Path, size: int) -> None:
    """A GGUF file whose only tensor takes ``size`` bytes, none of them on the disk."""
    writer = GGUFWriter(target, "llama")
    writer.add_block_count(1)
    writer.add_context_length(4096)
    shape = (size // 4 // (1 << 20), 1 << 20)
    writer.add_tensor_info("token_embd.weight", shape, np.dtype("float32"), size)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    with target.open("r+b") as file:
        begin = file.seek(0, os.SEEK_END)
        file.truncate(begin + -begin % 32 + size)


class TestRequest:
    def test_an_engine_that_nobody_knows(self, isolated: Sartor) -> None:
        error = isolated.run("up", "--json", "--engine", "vlm").failed("unknown-engine", 12)
        assert "vllm" in error["hint"]
        error = isolated.run("up", "--json", "--engine", "zzz").failed("unknown-engine", 12)
        assert any("llama.cpp" in line for line in error["found"])

    def test_a_gpu_that_nobody_knows(self, isolated: Sartor) -> None:
        error = isolated.run("up", "--json", "--host", "rtx-5099").failed("unknown-gpu", 11)
        assert "rtx-5090" in " ".join(error["found"])

    def test_a_description_that_cannot_be_read(self, isolated: Sartor) -> None:
        error = isolated.run("up", "--json", "--host", "h100, driver=new").failed(
            "host-description", 10
        )
        assert any("driver=new" in line for line in error["found"])

    def test_nothing_fits(self, isolated: Sartor) -> None:
        arguments = ["--host", "rtx-5090, driver=575.57", "--engine", "vllm==0.32.0"]
        error = isolated.run("up", "--json", *arguments).failed("nothing-fits", 13)
        assert any("575.57" in line for line in error["found"])
        assert "580" in error["hint"]

    def test_no_compiler(self, sartor: Sartor, tmp_path: Path) -> None:
        folder = tmp_path / "bin"
        folder.mkdir()
        bare = sartor.having(PATH=str(folder), CXX="", CC="")
        error = bare.run("up", "--json", "--build", "native").failed("compiler-missing", 25)
        assert "compiler" in error["hint"]

    @pytest.mark.parametrize(
        "arguments",
        [
            ["up", "--listen", "nonsense"],
            ["up", "--listen", "198.51.100.7"],
            ["up", "--context", "0"],
            ["up", "--build", "natve"],
            ["up", "--detatch"],
            ["up", "--det"],
            ["up", "surplus"],
            ["upp"],
            ["logs", "--follow"],
            ["logs", "--stage", "nothing"],
            ["schema", "sartor.hots/1"],
        ],
        ids=" ".join,
    )
    def test_a_command_line_that_does_not_hold_together(
        self, sartor: Sartor, arguments: list[str]
    ) -> None:
        for line in ([*arguments, "--json"], ["--json", *arguments]):
            error = sartor.run(*line).failed("usage", 2)
            assert error["hint"] or error["found"]
        if arguments != ["logs", "--follow"]:
            done = sartor.run(*arguments)
            assert (done.status, done.stdout) == (2, "")

    def test_no_command(self, isolated: Sartor) -> None:
        done = isolated.run()
        assert (done.status, done.stdout) == (2, "")
        assert "usage:" in done.stderr


class TestStreams:
    """stdout is data, stderr is talk, and either may be gone."""

    def test_json_before_the_command(self, isolated: Sartor) -> None:
        assert isolated.run("--json", "status").succeeded().document["runs"] == []
        assert isolated.run("--version", "--json").succeeded().document["version"]

    def test_an_error_and_nobody_reads(self, isolated: Sartor) -> None:
        reading, writing = os.pipe()
        os.close(reading)
        for line in (["up", "--nonsense", "--json"], ["schema"], ["detect"]):
            done = subprocess.run(
                [sys.executable, "-m", "sartor", *line],
                env=isolated.variables,
                stdout=writing,
                stderr=subprocess.PIPE,
                timeout=60,
                check=False,
            )
            assert done.returncode in {2, 141}
            assert b"Traceback" not in done.stderr
            assert b"Exception ignored" not in done.stderr
        os.close(writing)

    def test_nobody_listens_to_the_talk(self, sartor: Sartor) -> None:
        done = subprocess.run(
            ["bash", "-c", f"{sys.executable} -m sartor up --detach --json 2>/dev/full"],
            env=sartor.variables,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0
        sartor.run("stop").succeeded()

    @pytest.mark.parametrize("redirection", [">/dev/full", ">&-", "2>&-", "<&-"])
    def test_a_stream_that_is_closed_or_full(self, isolated: Sartor, redirection: str) -> None:
        for line in ("status", "up --dry-run", "detect --json", "up --nonsense --json"):
            done = subprocess.run(
                ["bash", "-c", f"{sys.executable} -m sartor {line} {redirection}"],
                env=isolated.variables,
                capture_output=True,
                timeout=60,
                check=False,
            )
            assert b"Traceback" not in done.stderr, done.stderr.decode()
            if redirection == ">/dev/full":
                assert done.returncode != 0

    def test_an_encoding_without_our_letters(self, isolated: Sartor) -> None:
        here = isolated.having(PYTHONIOENCODING="ascii")
        done = here.run("up", "--dry-run").succeeded()
        assert "stack" in done.stdout
        assert "Traceback" not in done.stderr

    def test_stray_modules_where_the_user_stands(self, sartor: Sartor, tmp_path: Path) -> None:
        folder = tmp_path / "work"
        folder.mkdir()
        for name in ("select", "signal", "psutil", "msgspec", "xllamacpp"):
            (folder / f"{name}.py").write_text("raise SystemExit('this is not the module')\n")
        program = Path(sys.executable).with_name("sartor")
        done = subprocess.run(
            [program, "up", "--detach", "--json"],
            cwd=folder,
            env=sartor.variables,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        sartor.run("stop").succeeded()


def test_a_signal_before_anything_is_there(isolated: Sartor) -> None:
    with isolated.start("up", "--json") as running:
        wait_until(lambda: (isolated.home / "logs").exists() or running.process.poll() is not None)
        done = running.end(signal.SIGTERM)
    assert done.status in {20, 130}
