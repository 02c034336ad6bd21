"""The planning cases are well formed, and their judge sees every difference."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from plan_cases import Asked, Case, Expect, Proof, RejectedAs, Resolve, cases, files, proofs
from plan_judge import differences
from plan_models import is_model
from plan_proven import faults_of
from sartor.host.describe import parse_host

LEAST = 60


def test_there_are_enough_cases() -> None:
    assert len(cases()) >= LEAST


def test_every_case_has_a_name_of_its_own() -> None:
    names = [case.name for case in cases()]
    assert sorted(set(names)) == sorted(names)


def test_every_proof_is_there_and_used() -> None:
    used = {name for case in cases() for name in case.proof}
    assert used == set(proofs())


def test_every_case_rests_on_another_tool() -> None:
    bare = [c.name for c in cases() if not c.proof and not c.expect.versions]
    assert bare == []


def test_no_file_is_empty() -> None:
    assert [stem for stem, file in files().items() if not file.case and not file.proof] == []


@pytest.mark.parametrize("case", cases(), ids=lambda c: c.name)
def test_a_case_is_a_question_that_can_be_asked(case: Case) -> None:
    host = parse_host(case.host)
    assert host.gpus or "cpu-only" in case.host
    assert case.request.model is None or is_model(case.request.model)
    if case.expect.versions:
        assert case.expect.engine
        assert "ready" in case.expect.statuses


CASE = Case(
    name="made-up",
    why="It is there for the judge's own test.",
    host="rtx-5090",
    as_of="2026-11-20",
    proof=(),
    request=Asked(),
    expect=Expect(
        status="ready",
        engine="vllm",
        strategy="release",
        version="1.0",
        python="3.12",
        versions={"torch": "2.0"},
        without=("triton",),
        cuda="13.0",
        rejected=(RejectedAs(engine="vllm", version="2.0", rule="driver"),),
        lost=("a",),
        compiled=("b",),
        native=("c",),
        served=("RTX 5090",),
        unserved=("GTX 1080 Ti",),
        remedies=("driver",),
        alternatives=("source",),
        system_packages=("libnuma.so.1",),
        mentions=("float16",),
    ),
)


def plan() -> dict[str, Any]:
    return {
        "schema": "sartor.plan/1",
        "status": "ready",
        "stack": {
            "engine": "vllm",
            "strategy": "release",
            "version": "1.0",
            "python": "3.12.3",
            "packages": [{"name": "torch", "version": "2.0", "cuda": "13.0"}],
            "system_packages": [{"soname": "libnuma.so.1"}],
        },
        "features": [
            {"name": "a", "verdict": "missing"},
            {"name": "b", "verdict": "jit"},
            {"name": "c", "verdict": "native"},
        ],
        "rejected": [
            {
                "candidate": {"engine": "vllm", "version": "2.0"},
                "decisions": [{"rule": "driver", "outcome": "rejected"}],
            }
        ],
        "shares": [
            {"gpus": ["NVIDIA GeForce RTX 5090"], "served": True},
            {"gpus": ["NVIDIA GeForce GTX 1080 Ti"], "served": False},
        ],
        "remedies": [{"kind": "driver"}],
        "alternatives": [{"strategy": "source"}],
        "warnings": ["it runs in FLOAT16"],
    }


def test_the_judge_is_content_with_what_is_expected() -> None:
    assert differences(CASE, plan()) == []


WRONG: list[tuple[list[str | int], Any]] = [
    (["status"], "impossible"),
    (["stack", "engine"], "sglang"),
    (["stack", "strategy"], "source"),
    (["stack", "version"], "1.1"),
    (["stack", "python"], "3.1"),
    (["stack", "packages"], []),
    (["stack", "packages", 0, "version"], "2.1"),
    (["stack", "packages", 0, "name"], "triton"),
    (["stack", "packages", 0, "cuda"], "12.8"),
    (["stack", "system_packages"], []),
    (["features"], []),
    (["features", 0, "verdict"], "native"),
    (["features", 1, "verdict"], "native"),
    (["features", 2, "verdict"], "jit"),
    (["rejected"], []),
    (["rejected", 0, "candidate", "version"], "2.1"),
    (["rejected", 0, "decisions", 0, "rule"], "glibc"),
    (["rejected", 0, "decisions", 0, "outcome"], "accepted"),
    (["shares", 0, "served"], False),
    (["shares", 1, "served"], True),
    (["remedies"], []),
    (["alternatives"], []),
    (["warnings"], []),
]


@pytest.mark.parametrize(("path", "value"), WRONG, ids=["-".join(map(str, p)) for p, _ in WRONG])
def test_the_judge_sees_every_difference(path: list[str | int], value: Any) -> None:
    wrong = plan()
    place: Any = wrong
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert differences(CASE, wrong) != []


QUESTION = Resolve(require=("a",), as_of="2026-11-20")
PROOF = Proof(
    says="It is there for the judge's own test.",
    resolve=QUESTION,
    lines=("a==1",),
    expect=("b",),
    regex=("^c[0-9]",),
    absent=("d",),
)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("a==1\nb\nc2", True),
        ("a==1.0\nb\nc2", False),
        ("a==1\nc2", False),
        ("a==1\nb\nxc2", False),
        ("a==1\nb\nc2\nd", False),
    ],
)
def test_a_proof_holds_where_all_of_it_does(text: str, holds: bool) -> None:
    assert (faults_of(PROOF, text) == []) is holds


@pytest.mark.parametrize(
    "table",
    [
        {"resolve": {"require": ["a"], "as_of": "2026-11-20"}},
        {"expect": ["x"]},
        {"expect": ["x"], "member": "a.so"},
        {"expect": ["x"], "member": "a.so", "wheel": {"release": "a==1"}, "command": "readelf"},
        {"expect": ["x"], "metadata": {"release": "a==1"}, "command": "cat {file}"},
        {"expect": ["x"], "metadata": {"release": "a==1"}, "misspelt": True},
    ],
)
def test_a_proof_that_proves_nothing_is_refused(table: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"says": "It is there for a test.", **table}, Proof)
