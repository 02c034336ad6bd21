"""`sartor slim`, from words to an exit status: a small library that nvcc made."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from sartor.cli import run
from sartor.schemas import schemas
from slim_maker import DATA

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SARTOR_HOME", str(tmp_path / "home"))
    return shutil.copyfile(DATA / "units.so", tmp_path / "units.so")


def printed(capsysbinary: pytest.CaptureFixture[bytes]) -> Any:
    """The one document on stdout, held against its schema."""
    document = json.loads(capsysbinary.readouterr().out)
    schema = schemas(document["schema"]).schemas[document["schema"]]
    jsonschema.Draft202012Validator(schema).validate(document)
    return document


def test_a_library(library: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    output = library.parent / "out" / "units.so"
    words = ["slim", str(library), "--gpu", "h200", "--gpu", "sm_90", "-o", str(output)]
    assert run([*words, "--json"]) == 0
    document = printed(capsysbinary)
    [result] = document["results"]
    assert [gpu["gpu"] for gpu in document["gpus"]] == ["sm_90"]
    assert (result["kind"], result["output"]) == ("library", str(output))
    assert result["bytes_after"] == output.stat().st_size < library.stat().st_size


def test_nothing_is_written_in_a_dry_run(library: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["slim", str(library), "--gpu", "sm_90", "--dry-run"]) == 0
    assert "nothing is written" in capsys.readouterr().out
    assert [path.name for path in library.parent.iterdir()] == ["units.so"]


def test_what_is_no_target(library: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    text = library.with_name("README.md")
    text.write_text("# words")
    wanted = {
        "": "no-such-target",
        str(library.with_name("none.so")): "no-such-target",
        str(text): "artifact-unreadable",
    }
    for target, code in wanted.items():
        assert run(["slim", target, "--gpu", "sm_90", "--dry-run", "--json"]) != 0
        assert printed(capsysbinary)["code"] == code


def test_gpus_and_outputs_that_are_not_said(
    library: Path, capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(["slim", str(library), "--gpu", "sm_90", "--json"]) == 2
    assert "-o" in printed(capsysbinary)["hint"]
    assert run(["slim", str(library), "--gpu", "rtx-9999", "--json"]) == 11
    assert printed(capsysbinary)["code"] == "unknown-gpu"
    assert run(["slim", str(library), "--gpu", "sm_90a", "--dry-run", "--json"]) == 2
    assert "suffixes" in printed(capsysbinary)["found"][0]
