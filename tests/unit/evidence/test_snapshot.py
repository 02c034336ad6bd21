"""The snapshot's tool: which wheels it takes, and that the same wheels give the same file."""

from __future__ import annotations

import runpy
import zipfile
from pathlib import Path
from typing import Any

import pytest

import sartor.evidence.schema
from sartor.evidence.snapshot import open_snapshot

TOOL = Path(__file__).parents[3] / "tools/make_snapshot.py"
FATBIN = Path(__file__).parents[2] / "data/fatbin"


@pytest.fixture
def tool() -> dict[str, Any]:
    return runpy.run_path(str(TOOL))


def small_wheel(folder: Path, name: str) -> Path:
    """A wheel with one library of device code."""
    path = folder / name
    project, version, *_ = name.split("-")
    info = f"{project}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(FATBIN / "library.so", f"{project}/_C.so")
        archive.writestr(f"{info}/METADATA", f"Name: {project}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: cp312-cp312-linux_x86_64\n")
        archive.writestr(f"{info}/RECORD", f"{project}/_C.so,,\n")
    return path


def test_the_best_wheel_is_found(tool: dict[str, Any], tmp_path: Path) -> None:
    for name in (
        "one-1.0-cp311-cp311-manylinux_2_28_x86_64.whl",
        "one-1.0-cp312-cp312-manylinux_2_17_x86_64.whl",
        "one-1.0-cp312-cp312-manylinux_2_28_x86_64.whl",
        "one-1.0-cp38-abi3-manylinux_2_28_aarch64.whl",
        "one-2.0-cp312-cp312-manylinux_2_28_x86_64.whl",
        "nothing.whl",
    ):
        (tmp_path / name).touch()
    wanted = tool["Wanted"]("one==1.0", "3.12", ("x86_64", "aarch64"))
    found = [tool["find"](wanted, machine, [tmp_path]) for machine in wanted.machines]
    assert [path.name for path in found] == [
        "one-1.0-cp312-cp312-manylinux_2_28_x86_64.whl",
        "one-1.0-cp38-abi3-manylinux_2_28_aarch64.whl",
    ]
    assert tool["find"](tool["Wanted"]("one==3.0"), "x86_64", [tmp_path]) is None


def test_it_is_made_again_the_same(
    tool: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheels = [
        small_wheel(tmp_path, f"{name}-1.0-cp312-cp312-linux_x86_64.whl") for name in ("a", "b")
    ]
    out = tmp_path / "snapshot.sqlite"
    assert tool["make"](wheels, out)[-1] == "2 added"
    first = out.read_bytes()
    monkeypatch.setattr(sartor.evidence.schema, "now", lambda: "2030-01-01T00:00:00Z")
    assert tool["make"](wheels, out)[-1] == "2 known"
    assert out.read_bytes() == first
    assert tool["make"](wheels[:1], out)[-1] == "1 known"
    snapshot = open_snapshot(out)
    assert snapshot is not None
    with snapshot:
        assert [row.project for row in snapshot.rows()] == ["a"]
        assert all(row.is_current for row in snapshot.rows())
    assert open_snapshot(tmp_path / "none") is None
