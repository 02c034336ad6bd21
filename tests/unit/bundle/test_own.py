"""Sartor's own wheel: the same bytes each time, and the same from what was installed of it."""

from __future__ import annotations

import csv
import io
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.utils import parse_wheel_filename

import sartor
from sartor.bundle import own
from sartor.bundle.own import own_wheel, pins, refuse_python
from sartor.errors import NotBundlableError

ROOT = Path(__file__).resolve().parents[3]


def unpack(data: bytes, site: Path) -> None:
    """As an installer does: the files, and some of its own."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        archive.extractall(site)
        (record,) = (n for n in archive.namelist() if n.endswith("RECORD"))
    info = (site / record).parent
    added = ["INSTALLER", "REQUESTED", "direct_url.json"]
    for name in added:
        (info / name).write_text("x")
    with (site / record).open("a") as file:
        file.writelines(f"{info.name}/{name},,\n" for name in added)
        file.write("../../bin/sartor,,\nsartor/__pycache__/x.cpython-311.pyc,,\n")


def test_it_is_a_wheel_of_the_tree_that_runs() -> None:
    name, data = own_wheel()
    assert parse_wheel_filename(name)[0] == "sartor"
    assert own_wheel() == (name, data)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        assert archive.testzip() is None
        source = (ROOT / "src/sartor/errors.py").read_bytes()
        assert archive.read("sartor/errors.py") == source
        assert archive.read("sartor/requirements.txt").decode() == pins()
        (record,) = (n for n in names if n.endswith("RECORD"))
        rows = [row[0] for row in csv.reader(io.StringIO(archive.read(record).decode()))]
    assert sorted(rows) == sorted(names)
    assert not [n for n in names if "__pycache__" in n or "direct_url" in n]


def test_made_again_from_what_was_installed_it_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = own_wheel()
    unpack(made[1], tmp_path)
    (installed,) = metadata.distributions(path=[str(tmp_path)])
    monkeypatch.setattr(metadata, "distribution", lambda _: installed)
    monkeypatch.setattr(sartor, "__file__", str(tmp_path / "sartor" / "__init__.py"))
    assert own_wheel() == made
    (tmp_path / "sartor" / "errors.py").write_text("changed")
    with pytest.raises(NotBundlableError, match="not as it was installed"):
        own_wheel()


def test_the_pins_are_those_of_the_project() -> None:
    assert pins() == (ROOT / "requirements" / "run.txt").read_text()
    assert own.NAME == "sartor"


def test_a_python_that_sartor_does_not_run_on_is_refused() -> None:
    refuse_python("3.11")
    with pytest.raises(NotBundlableError, match=r"3\.10"):
        refuse_python("3.10")
