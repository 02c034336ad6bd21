"""`sartor fit` as it is typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sartor.cli import run
from sartor.schemas import schemas

if TYPE_CHECKING:
    from sartor.schemas import SchemaDocument

SHAPES = Path(__file__).parents[2] / "data" / "shapes"
QWQ = str(SHAPES / "qwq-32b-awq.json")


def test_the_answer_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fit", QWQ, "--host", "rtx-4090", "--context", "32768"]) == 0
    out = capsys.readouterr().out
    assert "does not fit" in out
    assert "change first" in out
    assert "[computed]" in out


def test_the_document_has_its_schema(capsys: pytest.CaptureFixture[str]) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    assert run(["fit", QWQ, "--host", "2x rtx-4090", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "sartor.fit/1"
    assert document["chosen"]["tensor"] == 2 or document["chosen"]["shares"]
    found: SchemaDocument = schemas("fit")
    jsonschema.validate(document, found.schemas["sartor.fit/1"])


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--shape", "7B prams"], "usage"),
        ([QWQ, "--shape", "7B params"], "usage"),
        ([QWQ, "--context", "0"], "usage"),
        ([QWQ, "--fraction", "2"], "usage"),
        ([QWQ, "--engine", "nobody"], "unknown-engine"),
        ([QWQ, "--engine", "llama.cpp"], "usage"),
        (["./no-such-model.gguf"], "model-not-found"),
    ],
)
def test_errors_have_a_way_out(
    words: list[str], code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["fit", *words, "--host", "rtx-4090", "--json"]) != 0
    document = json.loads(capsys.readouterr().out)
    assert document["code"] == code
    assert document["hint"]


def test_a_folder_with_a_configuration_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.json").write_text(Path(QWQ).read_text())
    assert run(["fit", str(tmp_path), "--host", "rtx-5090", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "fits"
    (tmp_path / "config.json").write_text("{}")
    assert run(["fit", str(tmp_path), "--host", "rtx-5090", "--json"]) != 0
    assert json.loads(capsys.readouterr().out)["code"] == "model-invalid"
