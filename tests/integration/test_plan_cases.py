"""Each planning case against the other tools that it rests on, and `sartor plan` against each."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import msgspec
import pytest

from plan_cases import Case, Resolve, cases, proofs
from plan_judge import differences
from plan_models import model_path
from plan_proofs import resolved
from plan_proven import faults
from sartor.catalog.catalog import Catalog
from sartor.cli import parser
from sartor.cli.plan import model_of, request_of
from sartor.host.describe import parse_host
from sartor.paths import Places
from sartor.planning import make_plan
from sartor.reporter import Silent
from sartor_cli import Document, Sartor, documents

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROJECTS = {"vllm": "vllm", "sglang": "sglang", "llama.cpp": "xllamacpp"}
AT_ONCE = 6
ALL = cases()
LIGHT = [name for name, proof in proofs().items() if not proof.heavy]
CHOSEN = [case for case in ALL if case.expect.versions]


@pytest.fixture(scope="module")
def asked(request: pytest.FixtureRequest) -> None:
    """uv asked what the chosen tests want to know, several questions at once: it mostly waits."""
    wanted: dict[Resolve, None] = {}
    for item in request.session.items:
        params: dict[str, object] = getattr(getattr(item, "callspec", None), "params", {})
        proof = proofs().get(str(params.get("name")))
        if proof is not None and proof.resolve is not None:
            wanted[proof.resolve] = None
        case = params.get("case")
        if (
            isinstance(case, Case)
            and case in CHOSEN
            and "asked" in getattr(item, "fixturenames", ())
        ):
            wanted |= dict.fromkeys(questions(case))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(resolved, wanted))


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize("name", LIGHT)
def test_another_tool_says_so(name: str) -> None:
    assert faults(proofs()[name]) == []


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize("case", CHOSEN, ids=lambda c: c.name)
def test_the_resolver_comes_to_the_expected_versions(case: Case) -> None:
    for question in questions(case):
        status, text = resolved(question)
        assert status == 0, f"{question.require}: {text}"
        lines = set(text.splitlines())
        wanted = {f"{name}=={version}" for name, version in case.expect.versions.items()}
        assert wanted - lines == set(), f"{question.require}: {text}"
        found = {line.partition("==")[0] for line in lines}
        assert found & set(case.expect.without) == set()


def questions(case: Case) -> list[Resolve]:
    """The expected release asked for by its version, and, where it is the newest, by none."""
    expect = case.expect
    project = PROJECTS[expect.engine or ""]
    extras = f"[{','.join(expect.extras)}]" if expect.extras else ""
    found = [case.question(f"{project}{extras}=={expect.versions[project]}")]
    return [*found, case.question(f"{project}{extras}")] if expect.newest else found


Answer = Callable[[list[str]], Document]


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answer]:
    """Plans as the command does, in one process: what was asked of the index is asked once."""
    with Catalog(Places(tmp_path_factory.mktemp("planner")), Silent()) as catalog:

        def plan(arguments: list[str]) -> Document:
            options = parser("plan").parse_args(["plan", *arguments])
            host = parse_host(options.host)
            model = model_of(options.model, Places(tmp_path_factory.getbasetemp()), Silent())
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
