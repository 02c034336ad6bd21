"""The snapshot's tool on an index of small wheels: what it takes, resumes, leaves and says."""

from __future__ import annotations

import hashlib
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

import sartor.evidence.schema
from sartor.evidence.snapshot import open_snapshot
from snapshot_tool import tool

FATBIN = Path(__file__).parents[1] / "data/fatbin"


class Index:
    """A package index of files: small wheels, each with one library of device code."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, name: str) -> Path:
        project, version, *_ = name.split("-")
        info = f"{project}-{version}.dist-info"
        folder = self.folder / project
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / name
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(FATBIN / "library.so", f"{project}/_C.so")
            archive.writestr(f"{info}/METADATA", f"Name: {project}\nVersion: {version}\n")
            archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nTag: {name[-30:-4]}\n")
            archive.writestr(f"{info}/RECORD", f"{project}/_C.so,,\n")
        wheels = sorted(folder.glob("*.whl"))
        links = (f'<a href="{w.as_uri()}#sha256={sha256(w)}">{w.name}</a>' for w in wheels)
        (folder / "index.html").write_text("\n".join(links))
        return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    """The only index, with two releases of `one` and one of `two`."""
    for name in ("UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("UV_NO_CONFIG", "1")
    monkeypatch.setenv("UV_DEFAULT_INDEX", (tmp_path / "simple").as_uri())
    made = Index(tmp_path / "simple")
    for name in (
        "one-1.0-cp311-cp311-manylinux_2_28_x86_64.whl",
        "one-1.0-cp312-cp312-manylinux_2_28_x86_64.whl",
        "one-1.0-cp38-abi3-manylinux_2_28_aarch64.whl",
        "one-2.0-cp312-cp312-manylinux_2_28_x86_64.whl",
        "two-1.0-py3-none-any.whl",
    ):
        made.add(name)
    return made


LIST = """
[[wheel]]
project = "one"
versions = ["1.0"]

[[wheel]]
project = "two"
versions = ["1.0"]
machines = ["x86_64"]
"""


def releases(folder: Path, text: str = LIST) -> list[Any]:
    (folder / "list.toml").write_text(text)
    found: list[Any] = tool.releases(folder / "list.toml")
    return found


def names_in(path: Path) -> list[str]:
    snapshot = open_snapshot(path)
    assert snapshot is not None
    with snapshot:
        return sorted(row.name for row in snapshot.rows())


def test_of_each_machine_the_wheels_of_one_python_are_taken(index: Index, tmp_path: Path) -> None:
    lines = list(tool.make(releases(tmp_path), tmp_path / "out.sqlite"))
    assert [line.split(",")[0] for line in lines[:3]] == [
        "read    one-1.0-cp312-cp312-manylinux_2_28_x86_64.whl",
        "read    one-1.0-cp38-abi3-manylinux_2_28_aarch64.whl",
        "read    two-1.0-py3-none-any.whl",
    ]
    assert lines[3].startswith("3 wheels, ")
    assert names_in(tmp_path / "out.sqlite") == [
        "one-1.0-cp312-cp312-manylinux_2_28_x86_64.whl",
        "one-1.0-cp38-abi3-manylinux_2_28_aarch64.whl",
        "two-1.0-py3-none-any.whl",
    ]


def test_it_is_made_again_the_same(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, out = releases(tmp_path), tmp_path / "out.sqlite"
    list(tool.make(asked, out))
    first = out.read_bytes()
    monkeypatch.setattr(sartor.evidence.schema, "now", lambda: "2030-01-01T00:00:00Z")
    assert [line.split()[0] for line in tool.make(asked, out)] == ["known", "known", "known", "3"]
    assert out.read_bytes() == first
    assert sorted(p.name for p in tmp_path.iterdir()) == ["list.toml", "out.sqlite", "simple"]


def test_a_row_that_is_not_asked_for_any_more_goes(index: Index, tmp_path: Path) -> None:
    out = tmp_path / "out.sqlite"
    list(tool.make(releases(tmp_path), out))
    asked = releases(tmp_path, '[[wheel]]\nproject = "two"\nversions = ["1.0"]\n')
    list(tool.make(asked, out))
    assert names_in(out) == ["two-1.0-py3-none-any.whl"]


def test_other_bytes_under_a_name_are_read(index: Index, tmp_path: Path) -> None:
    asked, out = releases(tmp_path), tmp_path / "out.sqlite"
    list(tool.make(asked, out))
    path = index.add("two-1.0-py3-none-any.whl")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("two/more.py", "")
    (path.parent / "index.html").write_text(
        f'<a href="{path.as_uri()}#sha256={sha256(path)}">{path.name}</a>'
    )
    lines = list(tool.make(asked, out))
    assert [line.split()[0] for line in lines] == ["known", "known", "read", "4"]


def test_a_run_that_was_ended_goes_on_where_it_was(index: Index, tmp_path: Path) -> None:
    asked, out = releases(tmp_path), tmp_path / "out.sqlite"
    run = tool.make(asked, out, jobs=1)
    assert next(run).startswith("read    one-1.0-cp312")
    run.close()
    assert not out.exists()
    lines = list(tool.make(asked, out, jobs=1))
    assert lines[0] == "known   one-1.0-cp312-cp312-manylinux_2_28_x86_64.whl"
    assert lines[-1].startswith("3 wheels, ")


def test_what_fails_is_named_and_the_rest_is_written(
    index: Index,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = LIST + '[[wheel]]\nproject = "three"\nversions = ["1.0"]\nmachines = ["x86_64"]\n'
    (tmp_path / "list.toml").write_text(text)
    out = tmp_path / "out.sqlite"
    words = ["--list", str(tmp_path / "list.toml"), "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["make_snapshot.py", *words])
    assert tool.main() == 1
    shown = capsys.readouterr().out
    assert "failed  three 1.0 for x86_64: no package index has a project `three`" in shown
    assert len(names_in(out)) == 3
    index.add("three-1.0-py3-none-any.whl")
    assert tool.main() == 0
    assert len(names_in(out)) == 4
