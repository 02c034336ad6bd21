"""Each planning case against the other tools that it rests on, and `sartor plan` against each."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
import pytest

from plan_cases import Case, cases, proofs
from plan_judge import differences
from plan_models import model_path
from plan_proofs import resolved
from plan_proven import faults
from sartor.catalog.catalog import Catalog
from sartor.cli import parser
from sartor.cli.plan import request_of
from sartor.host.describe import parse_host
from sartor.line import look_up
from sartor.paths import Places
from sartor.planning import make_plan
from sartor.reporter import Silent
from sartor_cli import Document, Sartor, documents

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROJECTS = {"vllm": "vllm", "sglang": "sglang", "llama.cpp": "xllamacpp"}
ALL = cases()
LIGHT = [name for name, proof in proofs().items() if not proof.heavy]
CHOSEN = [case for case in ALL if case.expect.versions]


@pytest.mark.parametrize("name", LIGHT)
def test_another_tool_says_so(name: str) -> None:
    assert faults(proofs()[name]) == []


@pytest.mark.parametrize("case", CHOSEN, ids=lambda c: c.name)
def test_the_resolver_comes_to_the_expected_versions(case: Case) -> None:
    expect = case.expect
    project = PROJECTS[expect.engine or ""]
    extras = f"[{','.join(expect.extras)}]" if expect.extras else ""
    asked = [f"{project}{extras}=={expect.versions[project]}"]
    asked += [f"{project}{extras}"] if expect.newest else []
    for requirement in asked:
        status, text = resolved(case.question(requirement))
        assert status == 0, f"{requirement}: {text}"
        lines = set(text.splitlines())
        wanted = {f"{name}=={version}" for name, version in expect.versions.items()}
        assert wanted - lines == set(), f"{requirement}: {text}"
        found = {line.partition("==")[0] for line in lines}
        assert found & set(expect.without) == set()


Answer = Callable[[list[str]], Document]


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answer]:
    """Plans as the command does, in one process: what was asked of the index is asked once."""
    with Catalog(Places(tmp_path_factory.mktemp("planner")), Silent()) as catalog:

        def plan(arguments: list[str]) -> Document:
            options = parser("plan").parse_args(["plan", *arguments])
            host = parse_host(options.host)
            model = look_up(options.model, Places(tmp_path_factory.getbasetemp()), Silent())
            planned, _ = make_plan(host, request_of(options), model, catalog)
            return msgspec.json.decode(msgspec.json.encode(planned.plan), type=dict)

        yield plan


@pytest.mark.parametrize("case", ALL, ids=lambda c: c.name)
def test_the_planner_answers_as_expected(answer: Answer, case: Case, tmp_path: Path) -> None:
    assert differences(case, answer(arguments(case, tmp_path))) == []


def test_the_command_says_the_same(sartor: Sartor, answer: Answer, tmp_path: Path) -> None:
    case = next(case for case in ALL if case.expect.status == "ready")
    (document,) = documents(sartor.run("plan", *arguments(case, tmp_path)).stdout)
    assert document["stack"] == answer(arguments(case, tmp_path))["stack"]


def arguments(case: Case, folder: Path) -> list[str]:
    """The command line of a case."""
    asked = case.request
    found = [*asked.engines, "--host", case.host, "--as-of", case.as_of, "--json"]
    if asked.model is not None:
        found += ["--model", str(model_path(asked.model, folder))]
    if asked.python is not None:
        found += ["--python", asked.python]
    if asked.objective is not None:
        found += ["--objective", asked.objective]
    for pin in asked.pins:
        found += ["--pin", pin]
    for word in asked.allow:
        found += ["--allow", word]
    return found
