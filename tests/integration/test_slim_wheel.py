"""Slimmed wheels and indexes before pip and uv; killed, on a full disk, from an index."""

from __future__ import annotations

import http.server
import os
import random
import signal
import subprocess
import sys
import time
import zipfile
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from indexserver import serving
from sartor.artifact.record import read_record
from serving import in_thread
from slim_wheels import NAME, read_wheel, write_wheel
from wheels import pip, run_unconfigured, wheel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sartor_cli import Document, Sartor

VERSION = "0.50.2"
PROJECT = f"bitsandbytes=={VERSION}"
INSTALLERS_OWN = {"INSTALLER", "REQUESTED", "RECORD", "direct_url.json", "uv_cache.json"}


@pytest.fixture(scope="module")
def source() -> Path:
    return wheel(PROJECT)


@pytest.fixture(scope="module")
def slim(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel for one GPU."""
    folder = tmp_path_factory.mktemp("slim")
    command = [sys.executable, "-m", "sartor", "slim", str(source), "--gpu", "sm_90"]
    subprocess.run([*command, "-o", f"{folder}/"], check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


def files_of(folder: Path) -> dict[str, bytes]:
    """What was installed, without what is the installer's own, and what Python compiled."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in paths
        if path.name not in INSTALLERS_OWN and not path.name.startswith(".")
    }


def install(program: str, target: Path, *words: str) -> Path:
    """Install with pip or uv for this interpreter, from what is named and nowhere else."""
    uv = [str(Path(sys.executable).with_name("uv")), "pip", "install", "--python", sys.executable]
    start = [*pip(), "install", "--no-cache-dir"] if program == "pip" else [*uv, "--no-cache"]
    command = [*start, "--target", str(target), *words]
    run_unconfigured(command)
    return target


@pytest.mark.parametrize("program", ["pip", "uv"])
def test_installed_from_the_file(slim: Path, tmp_path: Path, program: str) -> None:
    target = install(program, tmp_path / "site", "--no-deps", "--no-index", str(slim))
    wanted = {n: d for n, d in read_wheel(slim).items() if not n.endswith("/RECORD")}
    assert files_of(target) == wanted
    (info,) = target.glob("*.dist-info")
    assert info.name == f"bitsandbytes-{VERSION}.dist-info"
    listed = {one.path: one for one in read_record((info / "RECORD").read_bytes()).files}
    assert {name for name in wanted if name not in listed} == set()


def test_all_but_the_libraries_is_as_it_was(source: Path, slim: Path) -> None:
    before, after = read_wheel(source), read_wheel(slim)
    other = {name for name in before if after[name] != before[name]}
    metadata = {name for name in other if ".dist-info/" in name}
    assert {name.rpartition("/")[2] for name in metadata} == {"WHEEL", "RECORD"}
    assert all("_cuda1" in name and name.endswith(".so") for name in other - metadata)
    record = read_record(after[f"bitsandbytes-{VERSION}.dist-info/RECORD"])
    assert {one.path for one in record.files} == {*after}


def test_twice_the_same_bytes(source: Path, slim: Path, plain: Sartor, tmp_path: Path) -> None:
    words = ("slim", str(source), "--gpu", "h200", "-o", f"{tmp_path}/again/")
    plain.run(*words).succeeded()
    assert (tmp_path / "again" / slim.name).read_bytes() == slim.read_bytes()
    plain.run(*words, prefix=("taskset", "-c", "0")).succeeded()
    assert (tmp_path / "again" / slim.name).read_bytes() == slim.read_bytes()


def test_fewer_gpus_later_are_the_same_bytes(
    source: Path, slim: Path, plain: Sartor, tmp_path: Path
) -> None:
    both = plain.json(
        "slim", str(source), "--gpu", "sm_90", "--gpu", "sm_120", "-o", f"{tmp_path}/both/"
    )
    (first,) = both["results"]
    assert "-1sm90.sm120-" in first["output"]
    then = plain.json("slim", first["output"], "--gpu", "sm_90", "-o", f"{tmp_path}/one/")
    assert Path(then["results"][0]["output"]).read_bytes() == slim.read_bytes()
    words = ("slim", str(slim), "--gpu", "sm_80", "-o", f"{tmp_path}/none/", "--json")
    assert source.name in plain.run(*words).failed("not-slimmable", 85)["hint"]


def test_verdicts_are_as_good(source: Path, slim: Path, plain: Sartor) -> None:
    before, after = (
        plain.json("inspect", str(path), "--gpu", "sm_90", "--no-store") for path in (source, slim)
    )
    assert verdicts(before) == verdicts(after)


def verdicts(inspection: Document) -> dict[str, list[tuple[int, ...]]]:
    """For each library with device code, how many units are what."""
    return {
        one["path"].rpartition("/")[2]: [
            (v["units"], v["native"], v["jit"], v["missing"]) for v in one["verdicts"]
        ]
        for one in inspection["libraries"]
        if one["units"]
    }


@contextmanager
def served(folder: Path, asked: list[str]) -> Iterator[str]:
    """A folder on a plain web server, as `python -m http.server` gives it; what is ``asked``."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            asked.append(self.path)

    handler = partial(Quiet, directory=str(folder))
    with in_thread(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)) as server:
        yield f"http://127.0.0.1:{server.server_address[1]}"


@pytest.fixture(scope="module")
def index(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Indexes for two GPUs, of one wheel with device code and one without."""
    folder = tmp_path_factory.mktemp("index")
    command = [sys.executable, "-m", "sartor", "slim", "--index", str(folder)]
    gpus = ["--gpu", "sm_90", "--gpu", "rtx-5090"]
    for path in (source, wheel("six==1.17.0")):
        subprocess.run([*command, str(path), *gpus], check=True, capture_output=True)
    return folder


@pytest.mark.parametrize("program", ["pip", "uv"])
def test_installed_from_an_index(
    index: Path, source: Path, plain: Sartor, tmp_path: Path, program: str
) -> None:
    asked: list[str] = []
    with served(index, asked) as url:
        where = ("--index-url", f"{url}/sm_120/simple/")
        target = install(program, tmp_path / "site", *where, "--no-deps", PROJECT)
        install(program, tmp_path / "site", *where, "six==1.17.0")
    (path,) = (index / "sm_120" / "simple" / "bitsandbytes").glob("*.whl")
    wanted = {n: d for n, d in read_wheel(path).items() if not n.endswith("/RECORD")}
    found = {n: d for n, d in files_of(target).items() if n.startswith("bitsandbytes")}
    assert found == wanted
    assert (target / "six.py").is_file()
    assert [path for path in asked if path.endswith("any.whl.metadata")]
    before = plain.json("inspect", str(source), "--gpu", "sm_120", "--no-store")
    after = plain.json("inspect", str(target), "--gpu", "sm_120", "--no-store")
    assert verdicts(after) == verdicts(before)


def test_what_is_in_the_index_is_not_made_again(index: Path, source: Path, plain: Sartor) -> None:
    before = {path: path.stat().st_mtime_ns for path in index.rglob("*") if path.is_file()}
    words = ("slim", "--index", str(index), str(source), "--gpu", "sm_90", "--gpu", "sm_120")
    document = plain.json(*words)
    assert ["already" in str(one["why"]) for one in document["results"]] == [True, True]
    after = {path: path.stat().st_mtime_ns for path in index.rglob("*") if path.is_file()}
    assert before == after


def test_a_project_from_an_index_into_an_index(source: Path, plain: Sartor, tmp_path: Path) -> None:
    with serving([source]) as origin:
        asked = plain.having(
            PIP_INDEX_URL=f"{origin.url}", PIP_CONFIG_FILE=os.devnull, UV_NO_CONFIG="1"
        )
        words = (PROJECT, "--gpu", "sm_90", "--python", "3.12", "--platform", "linux/amd64")
        document = asked.json("slim", "--index", str(tmp_path / "index"), *words)
        again = asked.json("slim", "--index", str(tmp_path / "index"), *words)
    (made,), (kept,) = document["results"], again["results"]
    assert made["changed"]
    assert "already" in kept["why"]
    assert Path(made["output"]).is_file()


def test_a_page_of_someone_elses(source: Path, plain: Sartor, tmp_path: Path) -> None:
    page = tmp_path / "index" / "sm_90" / "simple" / "bitsandbytes" / "index.json"
    page.parent.mkdir(parents=True)
    page.write_text('{"files": 3}')
    words = ("slim", "--index", str(tmp_path / "index"), str(source), "--gpu", "sm_90", "--json")
    plain.run(*words).failed("others-file", 72)
    assert page.read_text() == '{"files": 3}'


def test_killed_at_any_moment(source: Path, slim: Path, plain: Sartor, tmp_path: Path) -> None:
    """Input and output are whole, or the output is not there."""
    output, before = tmp_path / "out" / slim.name, source.stat()
    began = time.monotonic()
    plain.run("slim", str(source), "--gpu", "sm_90", "-o", f"{output.parent}/").succeeded()
    whole = time.monotonic() - began
    moments = random.Random(26)  # noqa: S311 - moments
    for _ in range(12):
        output.unlink(missing_ok=True)
        words = ("slim", str(source), "--gpu", "sm_90", "-o", f"{output.parent}/")
        with plain.start(*words) as running:
            time.sleep(moments.uniform(0, whole))
            running.end(signal.SIGKILL)
        seen = [path.name for path in output.parent.iterdir() if not path.name.startswith(".")]
        assert seen in ([], [slim.name])
        if seen:
            assert output.read_bytes() == slim.read_bytes()
    plain.run("slim", str(source), "--gpu", "sm_90", "-o", f"{output.parent}/").succeeded()
    assert [path.name for path in output.parent.iterdir()] == [slim.name]
    after = source.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ended_in_the_middle(
    source: Path, plain: Sartor, tmp_path: Path, number: signal.Signals
) -> None:
    folder = tmp_path / "out"
    with plain.start("slim", str(source), "--gpu", "sm_90", "-o", f"{folder}/") as running:
        while running.process.poll() is None and not (folder.is_dir() and [*folder.iterdir()]):
            time.sleep(0.01)
        done = running.end(number)
    assert done.status in {0, 130}
    assert "Traceback" not in done.stderr
    assert [path.suffix for path in folder.iterdir()] == ([".whl"] if done.status == 0 else [])


def test_no_room(source: Path, plain: Sartor, tmp_path: Path) -> None:
    limit = ("bash", "-c", 'ulimit -f 2048; exec "$@"', "--")
    words = ("slim", str(source), "--gpu", "sm_90", "-o", f"{tmp_path}/out/", "--json")
    plain.run(*words, prefix=limit).failed("disk-full", 23)
    assert not [*(tmp_path / "out").iterdir()]


def test_what_may_not_be_changed(plain: Sartor, tmp_path: Path) -> None:
    from slim_wheels import contents

    path = write_wheel(
        tmp_path / "nvidia_units-1.0-py3-none-manylinux_2_17_x86_64.whl", contents("nvidia_units")
    )
    words = ("slim", str(path), "--gpu", "sm_90", "-o", f"{tmp_path}/out/", "--json")
    error = plain.run(*words).failed("not-slimmable", 85)
    assert "licence" in error["message"]
    plain.run("slim", "--index", str(tmp_path / "index"), str(path), "--gpu", "sm_90").succeeded()
    (taken,) = (tmp_path / "index").rglob("*.whl")
    assert taken.read_bytes() == path.read_bytes()


def test_a_small_wheel_by_the_standard_librarys_reader(plain: Sartor, tmp_path: Path) -> None:
    path = write_wheel(tmp_path / NAME)
    output = tmp_path / NAME.replace("1.0-", "1.0-7own-")
    document = plain.json("slim", str(path), "--gpu", "sm_90", "-o", str(output))
    assert document["results"][0]["output"] == str(output)
    with zipfile.ZipFile(output) as archive:
        assert archive.testzip() is None
