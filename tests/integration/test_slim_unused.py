"""Wheels without what nobody can use: installed by pip and uv, verified, from an index."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from record_judge import record_faults
from serving import in_thread
from slim_wheels import contents, read_wheel, write_wheel
from venvs import make, run_uv, site, verified, wrong_by_hand
from wheels import pip, run_unconfigured

if TYPE_CHECKING:
    from sartor_cli import Document, Sartor

NAME = "units-1.0-cp310-abi3-manylinux_2_17_x86_64.whl"
LEAN = NAME.replace("-cp310", "-1sm90.lean-cp310")
HERE = f"{sys.version_info.major}{sys.version_info.minor}"
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
END = "x86_64-linux-gnu.so"
OWN, OTHER = f"units/_c.cpython-{HERE}-{END}", f"units/_c.cpython-399-{END}"
OLD, NEEDED = f"units/_c.cpython-39-{END}", f"units/_n.cpython-39-{END}"
USER, ARCHIVE = "units/libuser.so", "units/libunits.a"
TESTS = "units/tests/test_units.py"
NOBODYS = {OLD, ARCHIVE}
GPU = ("--gpu", "sm_90")

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="`cc` is not installed")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel with modules for several Pythons, one of which a library is linked with."""
    folder = tmp_path_factory.mktemp("made")

    def cc(name: str, text: str, *more: str) -> bytes:
        code, out = folder / "code.c", folder / Path(name).name
        code.write_text(text)
        shared = ["cc", "-shared", "-fPIC", f"-Wl,-soname,{out.name}", "-o", str(out), str(code)]
        subprocess.run([*shared, *more], check=True, cwd=folder)
        return out.read_bytes()

    made = {name: cc(name, "int PyInit__c(void) { return 0; }") for name in (OWN, OTHER, OLD)}
    made[NEEDED] = cc(NEEDED, "int needed(void) { return 41; }")
    text = "int needed(void); int user(void) { return needed() + 1; }"
    made[USER] = cc(USER, text, f"-l:{Path(NEEDED).name}", "-L.", "-Wl,-rpath,$ORIGIN")
    subprocess.run(["cc", "-c", "-o", "code.o", "code.c"], check=True, cwd=folder)
    subprocess.run(["ar", "rc", "libunits.a", "code.o"], check=True, cwd=folder)
    made[ARCHIVE] = (folder / "libunits.a").read_bytes()
    made[TESTS] = b"assert True\n"
    files = contents(extra=made)
    info = "units-1.0.dist-info/WHEEL"
    files[info] = files[info].replace(b"py3-none-", b"cp310-abi3-")
    return write_wheel(folder / NAME, files)


@pytest.fixture(scope="module")
def lean(source: Path) -> Path:
    folder = source.parent / "lean"
    words = [sys.executable, "-m", "sartor", "slim", str(source), *GPU, "--remove-unused"]
    subprocess.run([*words, "-o", f"{folder}/"], check=True, capture_output=True)
    (path,) = folder.iterdir()
    return path


def needs(data: bytes, folder: Path) -> str:
    """The dynamic section by readelf."""
    path = folder / "read.so"
    path.write_bytes(data)
    return subprocess.run(
        ["readelf", "-d", path], check=True, capture_output=True, text=True
    ).stdout


def test_what_is_said_and_what_goes(
    source: Path, lean: Path, plain: Sartor, tmp_path: Path
) -> None:
    (told,) = plain.json("slim", str(source), *GPU, "--dry-run")["results"]
    rows = {(one["kind"], one["named_by"]): one for one in told["unused"]}
    assert {key: (one["removable"], one["removed"]) for key, one in rows.items()} == {
        ("other-interpreter", None): (True, False),
        ("other-interpreter", USER): (False, False),
        ("archives", None): (True, False),
        ("one-interpreter", None): (False, False),
        ("tests", None): (False, False),
    }
    before, after = read_wheel(source), read_wheel(lean)
    sizes = {key: one["bytes"] for key, one in rows.items()}
    assert sizes["other-interpreter", None] == len(before[OLD])
    assert sizes["archives", None] == len(before[ARCHIVE])
    assert lean.name == LEAN
    assert {*before} - {*after} == NOBODYS
    assert record_faults(lean) == []
    assert f"[{Path(NEEDED).name}]" in needs(after[USER], tmp_path)
    (would,) = plain.json("slim", str(source), *GPU, "--dry-run", "--remove-unused")["results"]
    assert would["bytes_after"] == lean.stat().st_size
    assert sum(one["files"] for one in would["unused"] if one["removed"]) == len(NOBODYS)


def test_in_words(source: Path, plain: Sartor) -> None:
    text = plain.run("slim", str(source), *GPU, "--dry-run").succeeded().stdout
    flat = " ".join(text.split())
    assert "of no use, " in flat
    assert "of use to one Python alone, " in flat
    assert f"`{USER}` names them: they stay" in flat
    assert "`--python VERSION --remove-unused` removes" in flat
    words = ("--dry-run", "--remove-unused", "--python", VERSION)
    text = plain.run("slim", str(source), *GPU, *words).succeeded().stdout
    assert "would be removed, " in text


def installed(program: str, target: Path, *words: str) -> Path:
    """Install into a new virtual environment, from what is named alone."""
    make(target)
    python = str(target / "bin" / "python")
    if program == "uv":
        run_uv("pip", "install", "--no-cache", "--python", python, "--no-deps", *words)
        return target
    command = [*pip(), "--python", python, "install", "--no-cache-dir", "--no-deps", *words]
    run_unconfigured(command)
    return target


@pytest.mark.parametrize("program", ["pip", "uv"])
def test_installed_nothing_is_missing(
    source: Path, lean: Path, plain: Sartor, tmp_path: Path, program: str
) -> None:
    env = installed(program, tmp_path / "env", "--no-index", str(lean))
    assert wrong_by_hand(env) == set()
    there = {str(path.relative_to(site(env))) for path in site(env).rglob("*") if path.is_file()}
    assert {*read_wheel(lean)} <= there
    assert not NOBODYS & there
    assert ctypes.CDLL(str(site(env) / USER)).user() == 42
    report = verified(plain, env, 0)
    (outcome,) = [o for o in report["outcomes"] if o["check"] == "files of units are as recorded"]
    assert outcome["outcome"] == "passed"
    assert "2 files of no use left out" in str(report)
    before, after = (
        verdicts(plain.json("inspect", str(path), "--gpu", "sm_90", "--no-store"))
        for path in (source, env)
    )
    assert after == before


def verdicts(inspection: Document) -> list[tuple[str, object]]:
    return sorted(
        (one["path"].rpartition("/")[2], str(one["verdicts"]))
        for one in inspection["libraries"]
        if one["units"]
    )


def test_slimmed_in_place_after_that(lean: Path, plain: Sartor, tmp_path: Path) -> None:
    """Both ways decide alike: what the wheel kept for a library, an environment keeps too."""
    env = installed("uv", tmp_path / "env", "--no-index", str(lean))
    plain.run("slim", str(env), *GPU, "--in-place", "--remove-unused").succeeded()
    assert not (site(env) / OTHER).exists()
    assert (site(env) / NEEDED).exists()
    assert ctypes.CDLL(str(site(env) / USER)).user() == 42
    assert wrong_by_hand(env) == set()


@pytest.mark.parametrize("program", ["pip", "uv"])
def test_from_an_index(
    source: Path, lean: Path, plain: Sartor, tmp_path: Path, program: str
) -> None:
    folder = tmp_path / "index"
    words = ("slim", "--index", str(folder), str(source), *GPU)
    (whole,) = plain.json(*words)["results"]
    assert "lean" not in whole["output"]
    assert not any(one["removed"] for one in whole["unused"])
    shutil.rmtree(folder)
    (made,) = plain.json(*words, "--remove-unused")["results"]
    (again,) = plain.json(*words, "--remove-unused")["results"]
    assert (made["changed"], again["changed"]) == (True, False)
    assert Path(made["output"]).read_bytes() == lean.read_bytes()
    (other,) = plain.json(*words, "--remove-unused", "--python", VERSION)["results"]
    assert f".lean.cp{HERE}-" in other["output"]
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with in_thread(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as server:
        url = f"http://127.0.0.1:{server.server_address[1]}/sm_90/simple/"
        env = installed(program, tmp_path / "env", "--index-url", url, "units==1.0")
    there = {path.name for path in (site(env) / "units").iterdir()}
    assert Path(OWN).name in there
    assert Path(OTHER).name not in there


def test_what_it_is_not_for(source: Path, plain: Sartor, tmp_path: Path) -> None:
    library = tmp_path / "units.so"
    library.write_bytes(read_wheel(source)["units/units.so"])
    words = (*GPU, "--remove-unused", "--dry-run", "--json")
    assert "one file" in plain.run("slim", str(library), *words).failed("usage", 2)["message"]
    make(tmp_path / "env")
    error = plain.run("slim", str(tmp_path / "env"), *words).failed("usage", 2)
    assert "--in-place" in error["hint"]
    words = (*GPU, "--dry-run", "--json", "--python")
    plain.run("slim", str(source), *words, "3.9").failed("not-slimmable", 85)
    plain.run("slim", str(source), *words, "three").failed("usage", 2)
