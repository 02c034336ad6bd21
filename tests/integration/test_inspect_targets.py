"""`sartor inspect` on everything else that a user may name, and ended or cut short in between."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from sartor.host.signs import nvidia_here
from sartor_cli import Sartor, isolated_variables, kept_besides_evidence, wait_until
from wheels import wheel

if TYPE_CHECKING:
    from collections.abc import Iterator

REAL = Path(__file__).resolve().parents[1] / "data" / "fatbin"
H200 = ("--gpu", "h200", "--driver", "580.95")
LARGE = "vllm==0.25.1"
UNREADABLE, NOT_THERE, UNKNOWN_GPU, USAGE, DISK_FULL = 14, 15, 11, 2, 23
NOBODY = 65534


@pytest.fixture
def quiet(tmp_path: Path) -> Iterator[Sartor]:
    """`sartor` with a home that is never made and a temporary folder that stays empty."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    variables = {**isolated_variables(tmp_path), "TMPDIR": str(temporary)}
    sartor = Sartor(tmp_path / "home", tmp_path, variables)
    yield sartor
    assert kept_besides_evidence(sartor.home) == []
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "kind", "image", "grade"),
    [
        ("lone.cubin", "cubin", ("cubin", "sm_100f"), "missing"),
        ("plain.fatbin", "fatbin", ("cubin", "sm_80"), "jit"),
        ("lone.ptx", "ptx", ("ptx", "compute_90a"), "jit"),
        ("library.so", "library", ("cubin", "sm_90"), "native"),
        ("relocatable.o", "library", ("cubin", "sm_90"), "unknown"),
    ],
)
def test_a_file_of_device_code(
    name: str, kind: str, image: tuple[str, str], grade: str, quiet: Sartor
) -> None:
    document = quiet.json("inspect", str(REAL / name), *H200)
    (library,) = document["libraries"]
    (verdict,) = library["verdicts"]
    assert (document["kind"], verdict[grade], verdict["units"]) == (kind, 1, 1)
    assert image in [(held["kind"], held["arch"]) for held in library["images"]]


def test_an_object_that_nvcc_makes_here(quiet: Sartor, tmp_path: Path) -> None:
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        pytest.skip("there is no nvcc on this machine: an object of its making was not read")
    code = ["-gencode", "arch=compute_90,code=[sm_90,compute_90]"]
    made = tmp_path / "one.o"
    subprocess.run([nvcc, "-c", *code, str(REAL / "one.cu"), "-o", str(made)], check=True)
    shutil.rmtree(tmp_path / "temporary")  # what nvcc may have left
    (tmp_path / "temporary").mkdir()
    (library,) = quiet.json("inspect", str(made), *H200, "--kernels")["libraries"]
    assert {image["arch"] for image in library["images"]} == {"sm_90", "compute_90"}
    assert library["verdicts"][0]["native"] == 1
    assert [name for unit in library["units"] for name in unit["kernels"]] == ["fill"]


@pytest.mark.parametrize(("requirement", "libraries"), [("six==1.17.0", 0), ("msgspec==0.19.0", 1)])
def test_a_wheel_without_cuda(requirement: str, libraries: int, quiet: Sartor) -> None:
    document = quiet.json("inspect", str(wheel(requirement)), *H200)
    assert (document["kind"], len(document["libraries"])) == ("wheel", libraries)
    assert document["packages"][0]["name"] == requirement.partition("=")[0]
    assert all(not lib["images"] and not lib["verdicts"] for lib in document["libraries"])
    text = quiet.run("inspect", str(wheel(requirement)), *H200).succeeded().stdout
    assert "without device code" in text if libraries else "no shared library" in text


@pytest.mark.skipif(nvidia_here(), reason="this machine shows a sign of a GPU")
def test_without_a_gpu_the_evidence_alone(quiet: Sartor) -> None:
    done = quiet.run("inspect", str(REAL / "library.so"), "--json").succeeded()
    assert done.document["gpus"] == []
    assert done.document["libraries"][0]["images"]
    assert done.document["libraries"][0]["verdicts"] == []
    assert "no NVIDIA GPU here" in done.stderr
    assert "--gpu rtx-5090" in done.stderr


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("text.txt", b"neither here nor there\n", "nothing that device code is read from"),
        ("empty", b"", "the file is empty"),
        ("pkg-1.0-py3-none-any.whl", b"<html>404</html>", "no ZIP archive"),
        ("pkg-1.0.tar.gz", b"\x1f\x8b\x08\x00" + bytes(20), "compressed as a whole"),
    ],
)
def test_a_file_that_is_no_target(
    name: str, content: bytes, words: str, quiet: Sartor, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    error = quiet.run("inspect", str(tmp_path / name), "--json").failed(
        "artifact-unreadable", UNREADABLE
    )
    assert words in error["message"]
    assert name in error["message"]
    assert error["hint"]


def test_a_pipe_is_not_waited_for(quiet: Sartor, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.so")
    error = quiet.run("inspect", str(tmp_path / "pipe.so"), "--json").failed(
        "artifact-unreadable", UNREADABLE
    )
    assert "not a regular file" in error["message"]


def test_a_path_that_is_not_there(quiet: Sartor, tmp_path: Path) -> None:
    (tmp_path / "kernel.so").write_bytes((REAL / "library.so").read_bytes())
    error = quiet.run("inspect", str(tmp_path / "kernal.so"), "--json").failed(
        "no-such-target", NOT_THERE
    )
    assert "`kernel.so`" in error["hint"]
    error = quiet.run("inspect", "", "--json").failed("no-such-target", NOT_THERE)
    assert "empty word" in error["message"]


def test_a_folder_without_libraries(quiet: Sartor, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "code.py").write_text("print()\n", "utf-8")
    done = quiet.run("inspect", str(folder), *H200).succeeded()
    assert "no shared library" in done.stdout
    document = quiet.json("inspect", str(folder), *H200)
    assert (document["kind"], document["libraries"]) == ("environment", [])


def test_a_folder_that_may_not_be_read(quiet: Sartor) -> None:
    """As an ordinary user: permissions do not bind root. The store may not be read either."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "closed").mkdir(mode=0o700)
        shutil.copy(REAL / "library.so", folder / "open.so")
        prefix: tuple[str, ...] = ()
        if os.geteuid() == 0:
            prefix = ("setpriv", f"--reuid={NOBODY}", "--clear-groups")
        else:
            (folder / "closed").chmod(0)
        done = quiet.run("inspect", str(folder / "closed"), "--json", prefix=prefix, cwd=folder)
        assert "Permission denied" in done.failed("artifact-unreadable", UNREADABLE)["message"]
        whole = quiet.run("inspect", name, "--json", prefix=prefix, cwd=folder).succeeded()
        assert [lib["path"] for lib in whole.document["libraries"]] == ["open.so"]
        (fault,) = whole.document["not_checked"]
        assert (fault["path"], fault["why"]) == ("closed", "Permission denied")
        (folder / "closed").chmod(0o700)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_end_in_the_middle(number: signal.Signals, quiet: Sartor) -> None:
    file = wheel(LARGE)
    with quiet.start("inspect", str(file), *H200, "--kernels", "--json") as running:
        process = psutil.Process(running.process.pid)
        wait_until(lambda: str(file) in {opened.path for opened in process.open_files()})
        done = running.end(number)
    assert done.status == 130
    assert done.document["code"] == "interrupted"
    assert "Traceback" not in done.stderr


def test_nobody_reads_the_output(quiet: Sartor) -> None:
    command = [sys.executable, "-m", "sartor", "inspect", str(REAL / "library.so"), *H200]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=quiet.variables
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_a_disk_without_room_for_the_output(quiet: Sartor) -> None:
    command = [sys.executable, "-m", "sartor", "inspect", str(REAL / "library.so"), *H200]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, env=quiet.variables, check=False
        )
    assert done.returncode == DISK_FULL
    assert b"no room left" in done.stderr
    assert b"Traceback" not in done.stderr


def test_no_home_is_needed(quiet: Sartor) -> None:
    kept = {"PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    command = [sys.executable, "-m", "sartor", "inspect", str(REAL / "library.so"), *H200]
    done = subprocess.run(command, capture_output=True, env=kept, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode() == quiet.run(*command[3:]).succeeded().stdout


@pytest.mark.parametrize(
    ("words", "code", "status", "told"),
    [
        (("--gpu", "rtx-509"), "unknown-gpu", UNKNOWN_GPU, "`rtx-5090`"),
        (("--sm", "12"), "usage", USAGE, "`12.0`"),
        (("--gpu", "h200", "--driver", "new"), "usage", USAGE, "`575.57`"),
        (("--gpu", "nope", "--sm", "x"), "usage", USAGE, "nope"),
    ],
)
def test_gpus_that_are_not_well_stated(
    words: tuple[str, ...], code: str, status: int, told: str, quiet: Sartor
) -> None:
    error = quiet.run("inspect", str(REAL / "library.so"), *words, "--json").failed(code, status)
    assert told in " ".join(error["found"])
