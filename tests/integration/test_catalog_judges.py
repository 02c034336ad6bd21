"""The wheels of real projects that a machine gets: as uv installs them, as pip chooses them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from packaging.utils import parse_wheel_filename

from sartor.catalog.catalog import Catalog
from sartor.catalog.choice import of_version
from sartor.index.uv import run_uv
from sartor.paths import Places
from sartor.plan.known import (
    DEFAULT,
    Known,
    ListingQuestion,
    Machine,
    Resolution,
    ResolveQuestion,
    Wanted,
)
from sartor.plan.offers.tags import best_wheel, platform_tags
from sartor.reporter import Silent

if TYPE_CHECKING:
    from pathlib import Path

    from sartor.index.wheels import IndexFile
    from sartor.plan.known import Locked

PROJECTS = [
    *("markupsafe", "pyyaml", "msgspec", "lz4", "zstandard", "psutil", "cffi", "regex", "yarl"),
    *("frozenlist", "multidict", "propcache", "charset-normalizer", "rpds-py", "tornado"),
    *("wrapt", "ujson", "orjson", "xxhash", "msgpack", "kiwisolver", "idna"),
]
MACHINES = [
    Machine("x86_64", "2.35", "3.12"),
    Machine("x86_64", "2.17", "3.10"),
    Machine("aarch64", "2.39", "3.13"),
]
PIP = """
import json, sys
from pip._internal.index.package_finder import CandidateEvaluator
from pip._internal.models.candidate import InstallationCandidate
from pip._internal.models.link import Link
from pip._internal.models.target_python import TargetPython
from pip._internal.models.wheel import Wheel
asked = json.load(sys.stdin)
target = TargetPython(platforms=asked["platforms"], py_version_info=tuple(asked["python"]))
for name, (version, files) in asked["projects"].items():
    evaluator = CandidateEvaluator.create(name, target_python=target)
    links = [Link("https://files.example/" + file) for file in files]
    candidates = [
        InstallationCandidate(name, version, link)
        for link in links
        if Wheel(link.filename).supported(evaluator._supported_tags)
    ]
    print(evaluator.sort_best_candidate(candidates).link.filename)
"""
"""Which of the files pip takes: its own code, with no network."""


@pytest.fixture(scope="module", params=MACHINES, ids=str)
def chosen(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Machine, dict[str, Locked], dict[str, list[IndexFile]]]:
    """A machine, its resolution of all projects by name, and the wheels of these versions."""
    machine: Machine = request.param
    questions = tuple(ListingQuestion(DEFAULT, name) for name in PROJECTS)
    asked = ResolveQuestion(tuple(PROJECTS), machine)
    with Catalog(Places(tmp_path_factory.mktemp("home")), Silent()) as catalog:
        known = catalog.answer(Wanted(listings=questions, resolutions=(asked,)), Known())
    resolved = known.resolutions[asked]
    assert isinstance(resolved, Resolution), resolved
    locked = {package.name: package for package in resolved.packages}
    listed = {
        question.project: of_version(
            known.listings[question].files, question.project, locked[question.project].version
        )
        for question in questions
    }
    return machine, locked, listed


Chosen = tuple[Machine, "dict[str, Locked]", "dict[str, list[IndexFile]]"]


def test_the_lock_has_the_best_of_all_that_the_index_lists(chosen: Chosen) -> None:
    machine, locked, listed = chosen
    best = {name: best_wheel(files, machine) for name, files in listed.items()}
    assert {n: f.name for n, f in best.items() if f} == {n: locked[n].file.name for n in PROJECTS}


@pytest.fixture(scope="module")
def pip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds pip; the one that comes with Python is left out by distributions."""
    folder = tmp_path_factory.mktemp("pip")
    arguments = ["pip", "install", "--quiet", "--target", str(folder), "pip"]
    run_uv([*arguments, "--python", sys.executable], folder / "log", Silent(), what="pip")
    return folder


def test_pip_chooses_the_same(chosen: Chosen, pip: Path) -> None:
    machine, locked, listed = chosen
    asked = {
        "platforms": [*platform_tags(machine)],
        "python": [int(part) for part in machine.python.split(".")],
        "projects": {n: (locked[n].version, [f.name for f in listed[n]]) for n in PROJECTS},
    }
    said = subprocess.run(
        [sys.executable, "-c", PIP],
        input=json.dumps(asked),
        env={**os.environ, "PYTHONPATH": str(pip), "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    assert said.stdout.split() == [locked[name].file.name for name in PROJECTS]


def test_uv_installs_the_same(chosen: Chosen, tmp_path: Path) -> None:
    machine, locked, _ = chosen
    pinned = [f"{name}=={locked[name].version}" for name in PROJECTS]
    glibc = (machine.glibc or "").replace(".", "_")
    arguments = ["pip", "install", "--target", str(tmp_path / "there"), "--no-deps", *pinned]
    arguments += ["--python-platform", f"{machine.architecture}-manylinux_{glibc}"]
    arguments += [
        "--python-version",
        machine.python,
        "--only-binary",
        ":all:",
        "--link-mode",
        "copy",
    ]
    run_uv([*arguments, "--python", sys.executable], tmp_path / "log", Silent(), what="installing")
    installed = {
        path.parent.name.removesuffix(".dist-info"): tags_in(path)
        for path in (tmp_path / "there").glob("*.dist-info/WHEEL")
    }
    assert len(installed) == len(PROJECTS)
    for name in PROJECTS:
        file = locked[name].file.name
        own, version, _, tags = parse_wheel_filename(file)
        found = next(t for stem, t in installed.items() if canonical(stem) == f"{own} {version}")
        assert found & {str(tag) for tag in tags}, file


def tags_in(path: Path) -> set[str]:
    """The tags in a WHEEL, each expanded by the wheel that wrote it."""
    from packaging.tags import parse_tag

    lines = path.read_text("utf-8").splitlines()
    words = [line.partition(": ")[2] for line in lines if line.startswith("Tag: ")]
    return {str(tag) for word in words for tag in parse_tag(word)}


def canonical(stem: str) -> str:
    """``name version`` of a ``.dist-info``."""
    name, _, version = stem.partition("-")
    return f"{name.replace('_', '-').lower()} {version}"
