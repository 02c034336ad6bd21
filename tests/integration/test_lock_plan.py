"""`sartor lock` and `sartor plan --locked` as a user runs them, with the configured index."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import pytest
from packaging.pylock import Pylock

from locks import machine, machine_tags
from plan_proved import interpreters, pip_of, run, run_uv
from sartor_cli import Sartor, closed_port, user_variables, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from sartor_cli import Document

NAMES = ("pylock.toml", "sartor.lock")
ADDRESS = re.compile(r"\b(?:url|path) = \"[^\"]*\"")
H100 = "h100, driver=580.95.05, cpu=zen4, arch=x86_64, glibc=2.39"
VLLM = ("vllm==0.25.1", "--python", "3.12")


@pytest.fixture(scope="module")
def planner(tmp_path_factory: pytest.TempPathFactory) -> Sartor:
    """`sartor` with a home of its own, in which nothing was asked yet."""
    folder = tmp_path_factory.mktemp("planner")
    return Sartor(folder / "home", folder, user_variables())


@pytest.fixture(scope="module")
def locked(planner: Sartor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the lock of the demo request on this machine."""
    folder = tmp_path_factory.mktemp("locked")
    planner.run("lock", "--output", str(folder)).succeeded()
    return folder


@pytest.fixture(scope="module")
def for_h100(planner: Sartor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the lock of vLLM for a described machine."""
    folder = tmp_path_factory.mktemp("h100")
    planner.run("lock", *VLLM, "--host", H100, "--output", str(folder)).succeeded()
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in NAMES}


def without_addresses(folder: Path) -> dict[str, str]:
    """The lock's texts; of a file that two of the user's indexes have the resolver names either."""
    return {name: ADDRESS.sub("", data.decode()) for name, data in content(folder).items()}


def pins(folder: Path) -> set[str]:
    rows = tomllib.loads((folder / "pylock.toml").read_text("utf-8"))["packages"]
    return {f"{row['name']}=={row['version']}" for row in rows}


def test_the_lock_is_the_plan(planner: Sartor, locked: Path) -> None:
    stack = planner.json("plan")["stack"]
    assert pins(locked) == {f"{p['name']}=={p['version']}" for p in stack["packages"]}
    own = tomllib.loads((locked / "sartor.lock").read_text("utf-8"))
    assert own["roots"] == stack["requirements"]
    assert own["host"]["architecture"] == stack["architecture"]
    assert [p["sha256"] for p in own["package"]] == [p["sha256"] for p in stack["packages"]]
    decisions = [json.loads(row)["decisions"] for row in own["trace"]]
    assert [d for d in decisions[0] if d["outcome"] == "rejected"] == []
    assert {d["outcome"] for row in decisions[1:] for d in row} == {"rejected"}
    text = (locked / "sartor.lock").read_text("utf-8")
    assert str(planner.home) not in text
    assert stack["python"]["path"] not in text


def test_uv_and_pip_install_exactly_that(locked: Path, tmp_path: Path) -> None:
    lock = tomllib.loads((locked / "pylock.toml").read_text("utf-8"))
    python = lock["requires-python"].removeprefix("==").removesuffix(".*")
    environment = tmp_path / "environment"
    run_uv("venv", "--quiet", "--python", interpreters()[python], str(environment))
    own = str(environment / "bin" / "python")
    pylock = str(locked / "pylock.toml")
    said = run_uv(
        *("pip", "sync", "--dry-run", "--preview-features", "pylock", "--python", own, pylock)
    )
    would = {line.removeprefix(" + ") for line in said.splitlines() if line.startswith(" + ")}
    assert would == pins(locked)
    chosen = Pylock.from_dict(lock).select(environment=machine(python), tags=machine_tags(python))
    assert {f"{p.name}=={p.version}" for p, _ in chosen} == pins(locked)
    pip = pip_of(tmp_path / "pip")
    report = tmp_path / "report.json"
    run(
        *(own, pip, "install", "--dry-run", "--no-deps", "--report", str(report)),
        *("--requirement", pylock),
    )
    rows = json.loads(report.read_text("utf-8"))["install"]
    hashes = {r["download_info"]["archive_info"]["hashes"]["sha256"] for r in rows}
    assert hashes == {p["wheels"][0]["hashes"]["sha256"] for p in lock["packages"]}


def test_twice_the_same_bytes_from_another_folder_and_home(
    planner: Sartor, locked: Path, for_h100: Path, tmp_path: Path
) -> None:
    elsewhere = planner.having(SARTOR_HOME=str(tmp_path / "other home"))
    here, there = tmp_path / "a", tmp_path / "b" / "c"
    elsewhere.run("lock", "--output", str(here)).succeeded()
    assert without_addresses(here) == without_addresses(locked)
    elsewhere.run("lock", *VLLM, "--host", H100, "--output", str(there)).succeeded()
    assert without_addresses(there) == without_addresses(for_h100)


def test_a_check_writes_nothing(planner: Sartor, locked: Path, tmp_path: Path) -> None:
    same = planner.json("lock", "--check", "--output", str(locked))
    assert (same["up_to_date"], {f["state"] for f in same["files"]}) == (True, {"same"})
    done = planner.run("lock", "--check", "--json", "--output", str(tmp_path))
    assert (done.status, done.document["up_to_date"]) == (1, False)
    assert [*tmp_path.glob("*.lock"), *tmp_path.glob("*.toml")] == []


def test_another_driver_changes_what_is_locked(
    planner: Sartor, for_h100: Path, tmp_path: Path
) -> None:
    """vLLM 0.25.1 is for CUDA 13, which a driver of CUDA 12.4 does not start."""
    older = H100.replace("580.95.05", "550.54.14")
    done = planner.run("lock", *VLLM, "--host", older, "--output", str(tmp_path), "--json")
    error = done.document
    assert (done.status, error["schema"]) == (13, "sartor.error/1")
    assert "driver" in json.dumps(error)
    planner.run("lock", "vllm", "--python", "3.12", "--host", older, "--output", str(tmp_path))
    other = tomllib.loads((tmp_path / "sartor.lock").read_text("utf-8"))
    was = tomllib.loads((for_h100 / "sartor.lock").read_text("utf-8"))
    assert other["host"]["driver"] == "550.54.14"
    assert {**other["host"], "driver": "", "cuda": ""} == {**was["host"], "driver": "", "cuda": ""}
    versions = {p["name"]: p["version"] for p in other["package"]}
    assert versions["vllm"] != "0.25.1"
    assert pins(tmp_path) != pins(for_h100)


def changes(planner: Sartor, folder: Path, host: str, status: int) -> Document:
    done = planner.run("plan", "--locked", str(folder), "--host", host, "--json")
    assert done.status == status, done.stderr
    return done.document


def test_what_has_changed_since(planner: Sartor, locked: Path, tmp_path: Path) -> None:
    done = planner.run("plan", "--locked", str(locked), "--json").succeeded().document
    assert (done["consequence"], done["not_checked"]) == ("still holds", [])
    assert [c for c in done["changes"] if c["group"] != "package"] == []
    said = planner.run("plan", "--locked", str(locked)).succeeded().stdout
    assert said.startswith("the lock still holds")
    other = "rtx-5090, driver=580.95.05, arch=aarch64, glibc=2.31"
    found = changes(planner, locked, other, 1)
    assert found["consequence"] == "must be planned again"
    grave = {c["what"] for c in found["changes"] if c["consequence"] != "still holds"}
    assert {"architecture", "GPUs of compute capability 12.0"} <= grave


def test_a_withdrawn_file_and_other_facts(planner: Sartor, locked: Path, tmp_path: Path) -> None:
    """A lock that says otherwise than the index and the facts do now."""
    shutil.copytree(locked, tmp_path, dirs_exist_ok=True)
    own = (tmp_path / "sartor.lock").read_text("utf-8")
    pylock = (tmp_path / "pylock.toml").read_text("utf-8")
    facts = tomllib.loads(own)["facts"]["gpus.toml"]
    sha256 = tomllib.loads(own)["package"][0]["sha256"]
    changed = own.replace(facts, "0" * 64).replace(sha256, "1" * 64)
    (tmp_path / "sartor.lock").write_text(changed, "utf-8")
    digest = hashlib.sha256(changed.encode()).hexdigest()
    stated = tomllib.loads(pylock)["tool"]["sartor"]["sha256"]
    text = pylock.replace(stated, digest).replace(sha256, "1" * 64)
    (tmp_path / "pylock.toml").write_text(text, "utf-8")
    done = planner.run("plan", "--locked", str(tmp_path), "--json")
    assert done.status == 1
    by_what = {c["what"]: c for c in done.document["changes"]}
    assert by_what["gpus.toml"]["group"] == "facts"
    (alarm,) = [c for c in done.document["changes"] if c["alarm"]]
    assert (alarm["was"], alarm["now"]) == ("1" * 64, sha256)


def test_into_a_project(planner: Sartor, tmp_path: Path) -> None:
    project = tmp_path / "pyproject.toml"
    project.write_text('[project]\nname = "mine"\nversion = "1"\nrequires-python = ">=3.10"\n')
    pixi = tmp_path / "pixi.toml"
    pixi.write_text(
        '[workspace]\nname = "mine"\nchannels = ["conda-forge"]\nplatforms = ["linux-64"]\n'
    )
    words = ("lock", "--output", str(tmp_path), "--into", str(project), "--into", str(pixi))
    planner.run(*words).succeeded()
    assert planner.json(*words, "--check")["up_to_date"]
    run_uv("lock", "--quiet", "--project", str(tmp_path), "--python", sys.executable)
    rows = tomllib.loads((tmp_path / "uv.lock").read_text("utf-8"))["package"]
    assert pins(tmp_path) <= {f"{r['name']}=={r.get('version')}" for r in rows}
    assert "inference" in tomllib.loads(pixi.read_text("utf-8"))["feature"]


def test_nothing_fits(planner: Sartor, tmp_path: Path) -> None:
    words = ("vllm==0.32.0", "--host", "gtx-1080-ti, driver=580.95.05, arch=x86_64, glibc=2.39")
    done = planner.run("lock", *words, "--output", str(tmp_path), "--json")
    assert done.status != 0
    assert done.document["schema"] == "sartor.error/1"
    assert "device-code" in json.dumps(done.document["found"])
    assert [p for name in NAMES for p in tmp_path.glob(name)] == []


@pytest.mark.parametrize("words", [("lock", "--locked"), ("plan", "--locked")], ids="-".join)
def test_a_folder_without_a_lock(planner: Sartor, tmp_path: Path, words: tuple[str, ...]) -> None:
    folder = ("--output", str(tmp_path)) if words[0] == "lock" else (str(tmp_path),)
    error = planner.run(*words, *folder, "--json").document
    assert error["schema"] == "sartor.error/1"
    assert "sartor lock" in error["hint"]


def test_without_a_network(planner: Sartor, locked: Path, tmp_path: Path) -> None:
    """What was kept of the index holds no longer than it was said to; nothing is half written."""
    nowhere = f"http://127.0.0.1:{closed_port()}/simple"
    cut = planner.having(
        SARTOR_HOME=str(tmp_path / "home"),
        UV_DEFAULT_INDEX=nowhere,
        PIP_INDEX_URL=nowhere,
        UV_CACHE_DIR=str(tmp_path / "cache"),
    )
    done = cut.run("lock", "llama.cpp", "--output", str(tmp_path / "out"), "--json")
    assert done.status != 0
    assert "127.0.0.1" in json.dumps(done.document)
    assert not (tmp_path / "out").exists()
    found = cut.run("plan", "--locked", str(locked), "--json")
    assert found.status == 0
    unknown = {row["what"] for row in found.document["not_checked"]}
    assert {pin.partition("==")[0] for pin in pins(locked)} <= unknown


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_in_the_middle_nothing_is_written(
    planner: Sartor, tmp_path: Path, number: signal.Signals
) -> None:
    fresh = planner.having(SARTOR_HOME=str(tmp_path / "home"))
    with fresh.start("lock", *VLLM, "--host", H100, "--output", str(tmp_path / "out")) as running:
        wait_until((tmp_path / "home").exists)
        done = running.end(number)
    assert done.status in {130, 143}, done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.needs_root
def test_a_full_disk(planner: Sartor, locked: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", "size=64k", "none", str(disk))
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("DID NOT RUN: this machine mounts nothing")
    try:
        (disk / "ballast").write_bytes(bytes(shutil.disk_usage(disk).free))
        done = planner.run("lock", "--output", str(disk), "--json")
        assert done.document["code"] == "disk-full"
        assert "--output" in done.document["hint"]
        assert [p.name for p in disk.iterdir()] == ["ballast"]
    finally:
        subprocess.run(["umount", str(disk)], check=True)
