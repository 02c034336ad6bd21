"""The command line, from words to an exit status."""

from __future__ import annotations

import importlib
import json
import pkgutil
from typing import TYPE_CHECKING, Any

import jsonschema
import msgspec
import pytest

import sartor
from market import MARKET
from sartor.catalog.catalog import Cost
from sartor.catalog.kept_plans import Validity
from sartor.cli import COMMANDS, parser, run
from sartor.errors import (
    SartorError,
    UsageError,
    all_errors,
    closest,
    did_you_mean,
)
from sartor.schemas import DOCUMENTS, document_name, schemas

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SARTOR_HOME", str(tmp_path / "home"))


def printed(capsysbinary: pytest.CaptureFixture[bytes]) -> Any:
    """The one document on stdout, held against its schema."""
    document = json.loads(capsysbinary.readouterr().out)
    schema = schemas(document["schema"]).schemas[document["schema"]]
    jsonschema.Draft202012Validator(schema).validate(document)
    return document


@pytest.mark.parametrize(
    "words",
    [
        ["up", "--nonsense"],
        ["up", "--port", "eight"],
        ["up", "--det"],
        ["up", "one", "two"],
        ["nothing"],
        ["logs", "--stage", "x"],
        ["up", "--context", "0"],
        ["up", "--listen", "x"],
        ["up", "--dry-run", "--listen", "x"],
        ["up", "--dry-run", "--port", "0"],
        ["up", "--dry-run", "--python", "banana"],
        ["up", "--python", "3"],
        ["up", "--host", "h100", "--api-key-file", "/nowhere/key"],
        ["detect", "--host", "h100", "--capture", "f"],
        ["logs", "--stage", "up", "nosuch"],
        ["schema", "x"],
    ],
    ids=" ".join,
)
def test_usage_errors(words: list[str], capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run([*words, "--json"]) == 2
    document = printed(capsysbinary)
    assert (document["code"], document["exit_code"]) == ("usage", 2)
    assert run(words) == 2
    output = capsysbinary.readouterr()
    assert output.out == b""
    assert output.err.startswith(b"error: ")


def test_json_before_and_after_the_command(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    for words in (["--json", "status"], ["status", "--json"]):
        assert run(words) == 0
        assert printed(capsysbinary)["runs"] == []


class OfflineCatalog:
    """The catalog of the offline market, in place of the one that asks indexes."""

    cost = Cost(0, 0, 0.0, 0)
    said = ()

    def __init__(self, *_: object, **__: object) -> None:
        self.answer = MARKET.answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def validity(self, *_: object) -> Validity:
        """It is over at once."""
        return Validity(0.0, {})


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sartor.catalog.catalog.Catalog", OfflineCatalog)


@pytest.mark.usefixtures("offline")
def test_a_plan_for_a_described_host(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run(["up", "--json", "--host", "rtx-5090, driver=575.57"]) == 0
    assert printed(capsysbinary)["stack"]["version"] == "0.19.1"
    assert run(["detect", "--json", "--host", "gb10"]) == 0
    assert printed(capsysbinary)["gpus"][0]["compute_capability"] == "12.1"


@pytest.mark.usefixtures("offline")
def test_sartor_plan(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run(["plan", "vllm", "--json", "--host", "v100, driver=580.95"]) == 0
    document = printed(capsysbinary)
    assert document["status"] == "ready"
    assert document["stack"]["version"] == "0.19.1"
    assert {d["rule"] for t in document["rejected"] for d in t["decisions"]} >= {"device-code"}
    assert run(["plan", "vllm==9.9", "--json", "--host", "v100, driver=580.95"]) != 0


@pytest.mark.usefixtures("offline")
def test_the_plan_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["up", "--dry-run", "--explain", "--host", "rtx-5090, driver=575.57"]) == 0
    output = capsys.readouterr()
    assert "vLLM 0.19.1" in output.out
    assert "no   driver: wanted driver 580" in output.out
    assert "device-code: wanted code of vllm, torch for sm_120" in output.out
    assert "?    glibc" in output.out
    assert "detect" in output.err


def test_version(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run(["--version", "--json"]) == 0
    assert printed(capsysbinary)["version"]


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help(command: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        parser().parse_args(["--help"] if command is None else [command, "--help"])
    assert raised.value.code == 0
    assert "usage: sartor" in capsys.readouterr().out


def test_targets_may_stand_on_both_sides_of_an_option(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    script = tmp_path / "kernel.ptx"
    script.write_text(".version 8.7\n.target sm_90\n.address_size 64\n")
    assert run(["inspect", str(script), "--sm", "12.0", str(tmp_path), "--json"]) == 0
    assert [d["kind"] for d in printed(capsysbinary)["inspections"]] == ["ptx", "environment"]
    assert run(["detect", "somewhere", "--json"]) == UsageError.exit_code
    assert "somewhere" in printed(capsysbinary)["message"]


def test_every_document_has_a_schema() -> None:
    found = schemas().schemas
    assert set(found) == {document_name(d) for d in DOCUMENTS}
    for schema in found.values():
        jsonschema.Draft202012Validator.check_schema(schema)
    assert list(schemas("plan").schemas) == ["sartor.plan/1"]
    with pytest.raises(UsageError) as raised:
        schemas("sartor.hots/1")
    assert "sartor.host/1" in str(raised.value.hint)


ROOMS_SPEAK = ("model", ".error_root", ".schemas", ".slimmed", ".provenance")
"""Where documents are; a schema elsewhere is of a file that a room keeps for itself."""


def test_every_struct_with_a_schema_is_published() -> None:
    for module in pkgutil.walk_packages(sartor.__path__, "sartor."):
        if module.name.endswith(ROOMS_SPEAK):
            importlib.import_module(module.name)
    tagged, waiting = set(), [msgspec.Struct]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if kind.__struct_config__.tag_field == "schema" and kind.__module__.endswith(ROOMS_SPEAK):
            tagged.add(kind)
    assert tagged == set(DOCUMENTS)


def test_errors_have_codes_of_their_own() -> None:
    errors = all_errors()
    assert len({e.code for e in errors}) == len(errors)
    assert len({e.exit_code for e in errors}) == len(errors)
    assert all(e.summary != SartorError.summary for e in errors)
    assert all(0 < e.exit_code < 256 for e in errors)


def test_near_names() -> None:
    assert closest("VLM", ["vllm", "llama.cpp"]) == ["vllm"]
    assert did_you_mean("vlm", ["vllm"]) == "did you mean `vllm`?"
    assert did_you_mean("zzz", ["vllm"]) is None
