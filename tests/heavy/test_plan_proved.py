"""Plans proved outside of the tool: what uv, pip and `packaging` take from their locks, what the
wheels at hand hold, and what stands in environments that were installed from them."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import sartor_cli
from plan_proved import (
    Asked,
    Document,
    by_packaging,
    by_the_resolver,
    by_uv,
    interpreters,
    pip_of,
    run,
    run_uv,
)
from sartor.index.network import as_configured
from sartor.line import find_host
from sartor.locking import read_locked
from sartor.paths import Places
from sartor.plan_lock import foretold
from sartor.reporter import Silent
from sartor_cli import Sartor, user_variables
from wheels import wheels_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Record = Callable[[str, object], None]

NEW, OLD = "driver=580.95.05", "driver=570.86.15"
ARM = "aarch64"
CASES = [
    Asked("5090", f"rtx-5090, {NEW}, cpu=zen5", "vllm==0.32.0"),
    Asked("5090-newest", f"rtx-5090, {NEW}, cpu=zen5", "vllm"),
    Asked("5090-driver-570", f"rtx-5090, {OLD}, cpu=zen5", "vllm"),
    Asked("5090-0.25.1", f"rtx-5090, {NEW}, cpu=zen5", "vllm==0.25.1"),
    Asked("5090-sglang", f"rtx-5090, {NEW}, cpu=zen5", "sglang"),
    Asked("v100", f"v100, {NEW}, cpu=skylake", "vllm"),
    Asked("v100-driver-535", "v100, driver=535.183.01, cpu=skylake", "vllm"),
    Asked("t4", f"t4, {NEW}, cpu=cascadelake", "vllm"),
    Asked("t4-python-3.10", f"t4, {OLD}, cpu=cascadelake", "vllm", python="3.10"),
    Asked("a100-0.32.0", f"a100, {NEW}, cpu=zen3", "vllm==0.32.0"),
    Asked("h100", f"8x h100, {NEW}, cpu=sapphirerapids", "vllm"),
    Asked("h100-glibc-2.31", f"h100, {NEW}, cpu=icelake", "vllm", glibc="2.31"),
    Asked("h100-sglang", f"h100, {NEW}, cpu=sapphirerapids", "sglang"),
    Asked("h100-python-3.14", f"h100, {NEW}, cpu=zen4", "vllm", python="3.14"),
    Asked("h200-may-2026", f"h200, {NEW}, cpu=zen4", "vllm", as_of="2026-05-31"),
    Asked("l4-august-2025", f"l4, {OLD}, cpu=zen4", "vllm", as_of="2025-08-31"),
    Asked("b200", f"b200, {NEW}, cpu=zen5", "vllm"),
    Asked("gh200", f"gh200, {NEW}", "vllm", architecture=ARM),
    Asked("gb10", f"gb10, {NEW}", "vllm", architecture=ARM),
    Asked("gb10-sglang", f"gb10, {NEW}", "sglang", architecture=ARM),
    Asked("cpu-vllm", "cpu=zen4", "vllm", python="3.11"),
    Asked("cpu-llama", "cpu=haswell", "llama.cpp"),
    Asked("cpu-llama-3.10", "cpu=zen3", "llama.cpp", python="3.10", glibc="2.31"),
    Asked("cpu-llama-arm", "cpu=neoverse_n1", "llama.cpp", python="3.14", architecture=ARM),
    Asked("cpu-llama-pin", "cpu=zen4", "llama.cpp", pins=("bitsandbytes==0.50.2",)),
]
INSTALLED = {
    "5090": ["import torch", "import vllm"],
    "cpu-vllm": ["import torch", "import vllm"],
    "cpu-llama": ["import xllamacpp"],
    "cpu-llama-pin": ["import torch", "import xllamacpp", "import bitsandbytes"],
}
"""What is imported of those that are installed here; none of it needs a GPU."""
MISSING = re.compile(r"(?<=requires ).*?(?=, and no such package)")
BY_NAME = {asked.name: asked for asked in CASES}


@pytest.fixture(scope="module")
def planner(tmp_path_factory: pytest.TempPathFactory) -> Sartor:
    """One home for all, so that what was asked of the index is asked once."""
    folder = tmp_path_factory.mktemp("planner")
    return Sartor(folder / "home", folder, user_variables())


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sartor_cli, "SECONDS", 900.0)


@pytest.fixture(scope="module")
def plans(planner: Sartor) -> dict[str, tuple[Document, Path]]:
    """Each case's plan and the folder of its lock, as they come up."""
    return {}


def locked(
    planner: Sartor, plans: dict[str, tuple[Document, Path]], asked: Asked
) -> tuple[Document, Path]:
    """The plan of a case and the folder of its lock."""
    if asked.name not in plans:
        plan = planner.json("plan", *asked.words)
        folder = planner.home.parent / asked.name
        done = planner.json("lock", *asked.words, "--output", str(folder))
        assert done["packages"] == len(plan["stack"]["packages"])
        plans[asked.name] = plan, folder
    return plans[asked.name]


@pytest.mark.parametrize("asked", CASES, ids=lambda asked: asked.name)
def test_others_would_install_exactly_the_plan(
    planner: Sartor,
    plans: dict[str, tuple[Document, Path]],
    asked: Asked,
    tmp_path: Path,
    record_property: Record,
) -> None:
    plan, folder = locked(planner, plans, asked)
    stack = plan["stack"]
    pylock = folder / "pylock.toml"
    files = {p["name"]: (p["filename"], p["sha256"]) for p in stack["packages"]}
    pins = {f"{p['name']}=={p['version']}" for p in stack["packages"]}
    assert by_packaging(asked, pylock) == files
    if not stack["leave_out"]:
        assert by_the_resolver(asked, stack["requirements"]) == pins
    record_property("stack", f"{stack['engine']} {stack['version']}, {len(pins)} packages")
    if asked.python not in interpreters():
        record_property("uv", f"did not judge the lock: Python {asked.python} is not here")
        return
    assert by_uv(asked, pylock, tmp_path / "target") == pins
    other = "x86_64" if asked.architecture == "aarch64" else "aarch64"
    by_uv(asked._replace(architecture=other), pylock, tmp_path / "target", status=2)


AT_HAND = ("vllm", "torch", "sglang-kernel", "bitsandbytes")
"""Packages of which facts name features."""


@pytest.mark.parametrize("asked", CASES, ids=lambda asked: asked.name)
def test_the_very_wheels_hold_what_was_promised(
    planner: Sartor,
    plans: dict[str, tuple[Document, Path]],
    asked: Asked,
    record_property: Record,
) -> None:
    """The wheels in the folder for wheels, read anew; those that are not there are not asked for.

    Which were read is in the log; that some are is held in the next test.
    """
    plan, _ = locked(planner, plans, asked)
    for name, file, sha256 in at_hand(asked, plan):
        host = asked.words[2]
        found = planner.json("inspect", str(file), "--host", host, "--no-store")
        assert found["sha256"] == sha256
        said = features(plan, name)
        assert said == features(found, name)
        assert said
        record_property("read anew", f"{file.name}, {len(said)} features")


def test_enough_wheels_are_at_hand(
    planner: Sartor, plans: dict[str, tuple[Document, Path]]
) -> None:
    read = {
        file.name.partition("-cp")[0]
        for asked in CASES
        for _, file, _ in at_hand(asked, locked(planner, plans, asked)[0])
    }
    assert {"vllm-0.32.0", "vllm-0.25.1", "torch-2.11.0"} <= read, read
    assert any(name.startswith("sglang_kernel") for name in read)


def at_hand(asked: Asked, plan: Document) -> Iterator[tuple[str, Path, str]]:
    """The packages of a plan whose very files are in the folder for wheels."""
    for one in plan["stack"]["packages"]:
        if one["name"] in AT_HAND and plan["features"]:
            there = wheels_folder() / one["filename"]
            if there.is_file():
                yield one["name"], there, one["sha256"]


def features(document: Document, package: str) -> set[tuple[str, str, str]]:
    """What is said of a package's features, or of its libraries, on each GPU."""
    rows = [f for f in document["features"] if f["package"] == package]
    return {(f["name"], f["verdict"], f["because"]) for f in rows}


@pytest.mark.parametrize("name", INSTALLED)
def test_what_is_installed_is_what_was_planned(
    planner: Sartor,
    plans: dict[str, tuple[Document, Path]],
    name: str,
    tmp_path: Path,
    record_property: Record,
) -> None:
    asked = BY_NAME[name]
    plan, folder = locked(planner, plans, asked)
    environment, cache = tmp_path / "environment", tmp_path / "cache"
    try:
        run_uv("venv", "--quiet", "--python", interpreters()[asked.python], str(environment))
        python = str(environment / "bin" / "python")
        pylock = str(folder / "pylock.toml")
        sync = ("pip", "sync", "--preview-features", "pylock", "--cache-dir", str(cache))
        run_uv(*sync, "--python", python, pylock)
        assert installed(python) == {p["name"]: p["version"] for p in plan["stack"]["packages"]}
        same_files(environment, plan)
        for statement in INSTALLED[name]:
            run(python, "-c", statement, cwd=tmp_path)
        torch = next((p for p in plan["stack"]["packages"] if p["name"] == "torch"), None)
        if torch is not None:
            code = "import torch; print(torch.__version__.partition('+')[0], torch.version.cuda)"
            said = run(python, "-W", "ignore", "-c", code, cwd=tmp_path).split()
            assert said == [torch["version"].partition("+")[0], str(torch["cuda"])]
        host = judged_for(asked, plan)
        found = planner.json("inspect", str(environment), "--host", host, "--no-store")
        record_property("compared", agree(planner, plan, folder, host, found))
    finally:
        shutil.rmtree(environment, ignore_errors=True)
        shutil.rmtree(cache, ignore_errors=True)


def installed(python: str) -> dict[str, str]:
    """Package → version, as Python itself finds them."""
    code = (
        "import importlib.metadata as m, json; "
        "print(json.dumps([(d.metadata['Name'], d.version) for d in m.distributions()]))"
    )
    rows = json.loads(run(python, "-I", "-c", code))
    return {canonicalize_name(name): version for name, version in rows}


def same_files(environment: Path, plan: Document) -> None:
    """The RECORD of what was installed is that of the very wheel, where that is at hand."""
    for one in plan["stack"]["packages"]:
        wheel = wheels_folder() / one["filename"]
        if not wheel.is_file():
            continue
        (record,) = environment.glob(
            f"lib/python*/site-packages/{one['filename'].partition('-')[0]}-*.dist-info/RECORD"
        )
        with zipfile.ZipFile(wheel) as archive:
            name = f"{record.parent.name}/RECORD"
            own = {line for line in archive.read(name).decode().splitlines() if "sha256=" in line}
        assert own
        assert own <= set(record.read_text("utf-8").splitlines())


def judged_for(asked: Asked, plan: Document) -> str:
    """The host to judge for; one without GPUs is none for `sartor inspect`, so it is given one."""
    gpu = "" if plan["stack"]["accelerator"] == "cuda" else f"h200, {NEW}, "
    return gpu + asked.words[2]


def agree(planner: Sartor, plan: Document, folder: Path, described: str, found: Document) -> str:
    """What was foretold of the wheels that were read is what stands there, word for word."""
    as_configured()
    lock = read_locked(folder)
    host = find_host(described, Places(planner.home))
    closure = foretold(lock, host, Places(planner.home), Silent())
    judged = {(f["package"], f["name"], f["verdict"], f["because"]) for f in found["features"]}
    packages = {package for package, *_ in judged}
    told = {(f.package, f.name, f.verdict, f.because) for f in closure.features}
    planned = {(f["package"], f["name"], f["verdict"], f["because"]) for f in plan["features"]}
    assert planned == (told if plan["stack"]["accelerator"] == "cuda" else set())
    read = {package for package, *_ in told}
    assert {row for row in told if row[0] in packages} == {row for row in judged if row[0] in read}
    there = {(f["code"], f.get("path"), f["text"]) for f in found["findings"]}
    foretold_too = {(f.code, f.path, f.text) for f in closure.findings}
    assert foretold_too - there == set()
    errors = [f for f in found["findings"] if f["severity"] == "error"]
    gone = plan["stack"]["leave_out"]
    on_purpose = [f for f in errors if f["code"] == "dependency-missing" and gone]
    lines = [line for f in on_purpose for line in MISSING.findall(f["text"])]
    named = {Requirement(r).name for line in lines for r in re.findall(r"`([^`]+)`", line)}
    assert named <= {*gone}
    assert errors == on_purpose
    return (
        f"{len(told)} features foretold, {len(judged)} found; {len(foretold_too)} findings "
        f"foretold, {len(there)} found"
    )


@pytest.mark.parametrize("name", ["cpu-llama", "cpu-llama-3.10"])
def test_pip_takes_the_very_files(
    planner: Sartor, plans: dict[str, tuple[Document, Path]], name: str, tmp_path: Path
) -> None:
    """pip fetches whole wheels, and takes a lock for the machine that it runs on alone."""
    asked = BY_NAME[name]
    plan, folder = locked(planner, plans, asked)
    report = tmp_path / "report.json"
    run(
        *(interpreters()[asked.python], pip_of(planner.home.parent / "pip"), "install"),
        *("--dry-run", "--no-deps", "--ignore-installed", "--report", str(report)),
        *("--target", str(tmp_path / "target"), "--requirement", str(folder / "pylock.toml")),
    )
    rows: list[Any] = json.loads(report.read_text("utf-8"))["install"]
    found = {
        (canonicalize_name(r["metadata"]["name"]), r["download_info"]["url"].rpartition("/")[2])
        for r in rows
    }
    hashes = {r["download_info"]["archive_info"]["hashes"]["sha256"] for r in rows}
    assert found == {(p["name"], p["filename"]) for p in plan["stack"]["packages"]}
    assert hashes == {p["sha256"] for p in plan["stack"]["packages"]}
