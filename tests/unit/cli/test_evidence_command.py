"""`sartor evidence`, from words to documents and exit statuses."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import zstandard

from sartor.cli import all_options, run
from sartor.evidence import actions
from sartor.facts import map_choice
from sartor.schemas import schemas

if TYPE_CHECKING:
    from collections.abc import Callable

    Told = Callable[..., tuple[int, Any]]

LIBRARY = Path(__file__).parents[2] / "data/fatbin/zstd.fatbin"


@pytest.fixture
def told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> Told:
    """Run one command with ``--json``: its status, and its document, held against the schema."""
    monkeypatch.setenv("SARTOR_HOME", str(tmp_path / "home"))

    def tell(*words: object) -> tuple[int, Any]:
        status = run(["evidence", *map(str, words), "--json"])
        document = json.loads(capsysbinary.readouterr().out)
        schema = schemas(document["schema"]).schemas[document["schema"]]
        jsonschema.Draft202012Validator(schema).validate(document)
        return status, document

    return tell


def outcomes(document: Any) -> list[str]:
    return [row["outcome"] for row in document["rows"]]


def test_a_round(told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "e.jsonl.zst"
    status, document = told("show")
    assert (status, {row["where"] for row in document["rows"]}) == (0, {"snapshot"})
    status, document = told("scan", LIBRARY)
    assert (status, outcomes(document)) == (0, ["added"])
    status, document = told("show", LIBRARY)
    assert document["rows"][0]["evidence"]["target"] == LIBRARY.name
    status, document = told("export", file)
    assert (status, document["rows"]) == (0, 1)
    monkeypatch.setenv("SARTOR_HOME", str(tmp_path / "other"))
    status, document = told("import", file)
    assert (status, outcomes(document)) == (0, ["added"])
    status, document = told("verify", LIBRARY)
    assert (status, outcomes(document)) == (0, ["same"])
    assert [r["origin"] for r in told("show")[1]["rows"] if r["where"] == "store"] == ["imported"]


def test_what_goes_wrong(told: Told, tmp_path: Path) -> None:
    junk = tmp_path / "junk"
    junk.write_bytes(b"junk" * 100)
    assert told("import", junk)[1]["code"] == "evidence-file"
    assert told("import", tmp_path / "gone")[1]["code"] == "no-such-target"
    assert told("show", "nothing==1")[1]["code"] == "no-such-evidence"
    assert told("scan", tmp_path)[1]["code"] == "no-such-target"
    status, document = told("scan", junk)
    assert (status, outcomes(document)) == (1, ["failed"])
    assert told("nonsense")[1]["code"] == "usage"
    store = tmp_path / "home/evidence/store.sqlite"
    store.write_bytes(b"junk" * 4000)
    for word in (["show"], ["scan", LIBRARY], ["verify"]):
        status, document = told(*word)
        assert (status, document["code"]) == (60, "evidence-store")


def test_nothing_that_a_terminal_obeys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SARTOR_HOME", str(tmp_path / "home"))
    file = tmp_path / "e"
    header = b'{"schema":"sartor.evidence-export/1"}\n'
    for line in (b'{"\x1b[2J":1}', b'{"sha256":"\\u001b[2J"}', "{\x9b2J".encode()):
        file.write_bytes(zstandard.compress(header + line + b"\n"))
        assert run(["evidence", "import", str(file)]) == 61
    assert run(["evidence", "scan", str(LIBRARY)]) == 0
    with sqlite3.connect(tmp_path / "home/evidence/store.sqlite") as other:
        other.execute("UPDATE evidence SET origin = ?", ("\x1b[2J",))
    other.close()
    assert run(["evidence", "show"]) == 60
    output = capsys.readouterr()
    assert "\x1b" not in output.out + output.err
    assert "\x9b" not in output.out + output.err


def test_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SARTOR_HOME", str(tmp_path / "home"))
    for words, expected in (
        (["show"], " in the snapshot\n"),
        (["scan", str(LIBRARY)], "1 added"),
        (["show"], " in the snapshot, 1 in the store\n"),
        (["show", "torch==2.8.0"], "torch-2.8.0-cp312-cp312-manylinux_2_28_x86_64.whl"),
        (["show", "zstd.fatbin"], "sha256 "),
        (["export", str(tmp_path / "e")], "1 files' evidence"),
        (["import", str(tmp_path / "e")], "1 same"),
        (["verify", str(LIBRARY)], "1 same"),
    ):
        assert run(["evidence", *words]) == 0
        assert expected in capsys.readouterr().out


def test_where_nothing_is_kept_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SARTOR_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(actions, "open_snapshot", lambda: None)
    assert run(["evidence", "show"]) == 0
    assert "nothing is kept yet" in capsys.readouterr().out


def test_inspect_keeps_and_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.setenv("SARTOR_HOME", str(tmp_path / "home"))
    words = ["inspect", str(LIBRARY), "--sm", "9.0", "--json"]
    printed = []
    for more in (["--no-store"], [], []):
        assert run([*words, *more]) == 0
        printed.append(capsysbinary.readouterr().out)
        assert (tmp_path / "home/evidence").exists() == (not more)
    assert printed[0] == printed[1] == printed[2]


def test_options_of_its_words_are_known() -> None:
    assert "--again" in all_options()


def test_the_map(told: Told) -> None:
    """Of a release in the snapshot, and with that a GPU that the published map does not show."""
    status, document = told("map", "vllm==0.25.1", "--gpu", "rtx-5090", "--driver", "570")
    assert (status, document["schema"]) == (0, "sartor.map/1")
    assert {wheel["machine"] for wheel in document["wheels"]} == {"x86_64", "aarch64"}
    for wheel in document["wheels"]:
        (verdict,) = wheel["verdicts"]
        assert (verdict["verdict"], verdict["needs_driver"]) == ("missing", 580)
        assert "CUDA 13" in verdict["because"]
    status, document = told("map", "torch==2.11.0", "--gpu", "rtx-5070", "--gpu", "gb10")
    assert [gpu["machine"] for gpu in document["gpus"]] == [None, "aarch64"]
    assert told("map", "nothing==1")[1]["code"] == "no-such-evidence"
    assert told("map", "--gpu", "rtx-9999")[1]["code"] == "unknown-gpu"
    assert told("map", "--driver", "new")[1]["code"] == "usage"
    status, document = told("map", "torch==2.11.0")
    assert len(document["gpus"]) == len(map_choice().gpu)


def test_the_map_in_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SARTOR_HOME", str(tmp_path))
    run(["evidence", "map", "vllm==0.19.1", "--gpu", "gb10", "--driver", "590"])
    one = capsys.readouterr().out
    assert one.startswith("GB10 (sm_121), driver 590 (13.1)\n1 of 1 wheels have code that it runs;")
    assert "\njit       FlashAttention 2: compute_80 PTX (ISA 8.8) is compiled at first use" in one
    assert "\nn/a       CUTLASS MLA: the engine offers it on 10.* alone\n" in one
    run(["evidence", "map", "vllm==0.19.1", "--gpu", "gb10", "--gpu", "t4"])
    several = capsys.readouterr().out
    assert re.search(r"vllm 0\.19\.1 x86_64 +n/a +partial 525\n", several)
    for line in (*one.splitlines(), *several.splitlines()):
        assert len(line) <= 100
        assert line.isascii()
