"""Conflicts on the configured index as it is today, and on loopback indexes; uv is the judge.

What is held against uv is made from the printed conflict alone: each package on a chain requires
what the chains say and nothing else, every other package what it declares.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packaging.requirements import Requirement

from projects import isolate, publishing, simple, wheel
from sartor.catalog.catalog import Catalog
from sartor.catalog.conflicts import conflicts
from sartor.paths import Places
from sartor.plan.known import (
    Assumed,
    Known,
    Machine,
    Resolution,
    ResolveQuestion,
    Unsolvable,
    Wanted,
)
from sartor.reporter import Reporter
from uvoracle import UvOracle
from worlds import Premises

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from sartor.plan.outcome import Conflict, Found

X86 = Machine("x86_64", "2.35", "3.12")
CASES: dict[str, tuple[ResolveQuestion, set[frozenset[str]]]] = {
    "two engines": (
        ResolveQuestion(("vllm==0.33.0", "sglang==0.5.23"), X86),
        {
            frozenset({"torch==2.14.0", "torch==2.14.1"}),
            frozenset({"xgrammar==0.2.7", "xgrammar==0.2.8"}),
        },
    ),
    "an impossible pin": (
        ResolveQuestion(("vllm==0.32.0", "torch==2.9.0"), X86),
        {frozenset({"torch==2.9.0", "torch==2.13.0"})},
    ),
    "a version that there is not": (
        ResolveQuestion(("vllm==0.99.0",), X86),
        {frozenset({"vllm==0.99.0"})},
    ),
    "a Python without wheels": (
        ResolveQuestion(("vllm==0.10.1.1",), Machine("x86_64", "2.35", "3.14")),
        {frozenset({"torch==2.7.1"}), frozenset({"numba==0.61.2"})},
    ),
    "a source distribution alone": (
        ResolveQuestion(("omegaconf==2.3.0",), X86),
        {frozenset({"antlr4-python3-runtime==4.9.*"})},
    ),
    "a time before all releases": (
        ResolveQuestion(("vllm==0.32.0",), X86, as_of="2015-01-01T00:00:00Z"),
        {frozenset({"vllm==0.32.0"})},
    ),
    "two steps without a pin": (
        ResolveQuestion(("tensorflow>=2.16,<2.17", "numpy>=2"), X86),
        {frozenset({"tensorflow<2.17,>=2.16", "numpy>=2"})},
    ),
    "an extra": (
        ResolveQuestion(("uvicorn[standard]==0.30.0", "websockets<10"), X86),
        {frozenset({"websockets<10", "websockets>=10.4"})},
    ),
    "another processor": (
        ResolveQuestion(("decord==0.6.0",), Machine("aarch64", "2.35", "3.12")),
        {frozenset({"decord==0.6.0"})},
    ),
    "what was yanked": (
        ResolveQuestion(("attrs>=21.1.0,<21.2",), X86),
        {frozenset({"attrs<21.2,>=21.1.0"})},
    ),
    "a pre-release below its release": (
        ResolveQuestion(("numpy>=2.3.0rc1,<2.3.0",), X86),
        {frozenset({"numpy<2.3.0,>=2.3.0rc1"})},
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("conflicts")


def found_of(question: ResolveQuestion, folder: Path) -> Found:
    with Catalog(Places(folder / "sartor"), Reporter()) as catalog:
        return conflicts(question, catalog, seconds=300)


@pytest.mark.parametrize("case", CASES)
def test_conflicts_of_the_index(case: str, folder: Path) -> None:
    question, expected = CASES[case]
    found = found_of(question, folder)
    assert found.complete, found.not_looked_at
    told = {frozenset(p.requirement for p in c.premises) for c in found.conflicts}
    assert expected <= told
    judge = UvOracle(folder / f"judge-{case}".replace(" ", "-"))
    for conflict in found.conflicts:
        assert conflict.checked_by == "uv"
        hold_against_uv(conflict, question, judge)


def test_what_the_index_has_is_no_conflict(folder: Path) -> None:
    found = found_of(ResolveQuestion(("requests==2.32.3", "urllib3>=2"), X86), folder)
    assert found.complete
    assert not found.conflicts


def hold_against_uv(
    conflict: Conflict,
    question: ResolveQuestion,
    judge: UvOracle,
    fixed: Iterable[tuple[str, str]] = (),
) -> None:
    """All together have no solution; without any one step of any chain they have one.

    ``fixed`` are versions beside the chains that require nothing, as the question fixes them.
    """
    chains = [premise.chain for premise in conflict.premises]
    holders = dict.fromkeys([*fixed, *(pinned(s) for chain in chains for s in chain[:-1])])
    whole = only(chains, holders, question)
    assert isinstance(judge.resolve(whole), Unsolvable), conflict
    for step in {step for chain in chains for step in chain}:
        cut = [chain[: chain.index(step)] if step in chain else chain for chain in chains]
        fewer = only(cut, holders, question)
        assert not fewer.requirements or isinstance(judge.resolve(fewer), Resolution), (
            conflict,
            step,
        )


def pinned(step: str) -> tuple[str, str]:
    """The version that a step of a chain fixes; without a pin the one of `VERSIONS` that it may."""
    requirement = Requirement(step)
    if step.count("==") == 1 and len(requirement.specifier) == 1:
        return requirement.name, step.partition("==")[2]
    (only_one,) = requirement.specifier.filter(VERSIONS)
    return requirement.name, only_one


def only(
    chains: Iterable[list[str]], holders: Iterable[tuple[str, str]], question: ResolveQuestion
) -> ResolveQuestion:
    """The question with these chains, whose packages require nothing else."""
    chains = [chain for chain in chains if chain]
    requires: dict[tuple[str, str], list[str]] = {holder: [] for holder in holders}
    for chain in chains:
        for one, following in pairwise(chain):
            requires[pinned(one)].append(following)
    return msgspec.structs.replace(
        question,
        requirements=tuple(dict.fromkeys(chain[0] for chain in chains)),
        assumed=tuple(Assumed(n, v, tuple(lines)) for (n, v), lines in requires.items()),
    )


VERSIONS = ("1", "2", "3")
"""Of each project that is made here."""
PROJECTS = ("aa", "bb", "cc", "dd")
BOUNDS = ("==1", "==2", ">=2", "<2", ">=3", "<3", "!=2")
LINES = st.builds("".join, st.tuples(st.sampled_from(PROJECTS), st.sampled_from(BOUNDS)))


def versions_of(project: str) -> st.SearchStrategy[dict[str, list[str]]]:
    lines = st.lists(LINES, max_size=2, unique=True)
    others = lines.map(lambda some: [line for line in some if not line.startswith(project)])
    return st.fixed_dictionaries(dict.fromkeys(VERSIONS, others))


WORLDS = st.fixed_dictionaries({project: versions_of(project) for project in PROJECTS})


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(world=WORLDS, request=st.lists(LINES, min_size=2, max_size=4, unique=True))
def test_conflicts_of_wheels_made_here(
    world: dict[str, dict[str, list[str]]],
    request: list[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("world")
    files = [wheel(p, v, lines) for p, versions in world.items() for v, lines in versions.items()]
    question = ResolveQuestion(tuple(request), X86)
    with pytest.MonkeyPatch.context() as patch, publishing(*files) as server:
        isolate(patch, str(folder), {"UV_DEFAULT_INDEX": simple(server)})
        found = found_of(question, folder)
        judge = UvOracle(folder / "judge")
        assert found.complete, found.not_looked_at
        solvable = isinstance(judge.resolve(question), Resolution)
        assert solvable == (not found.conflicts)
        fixed = Premises(world, request).fixed.values()
        for conflict in found.conflicts:
            hold_against_uv(conflict, question, judge, fixed)


def test_addresses_and_bounds_of_wheels_made_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [wheel("aa", "1"), wheel("aa", "2"), wheel("bb", "1", ["aa>=2"])]
    with publishing(*files) as server:
        isolate(monkeypatch, str(tmp_path), {"UV_DEFAULT_INDEX": simple(server)})
        address = f"{server.address}/files/aa-1-py3-none-any.whl"
        question = ResolveQuestion((f"aa @ {address}", "bb==1"), X86)
        found = found_of(question, tmp_path)
        (conflict,) = found.conflicts
        assert {p.requirement for p in conflict.premises} == {f"aa @ {address}", "aa>=2"}
        assert conflict.checked_by == "uv"


def test_the_catalog_answers_planning_with_conflicts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [wheel("aa", "1", ["cc==1"]), wheel("bb", "1", ["cc==2"]), wheel("cc", "1")]
    with publishing(*files, wheel("cc", "2")) as server:
        isolate(monkeypatch, str(tmp_path), {"UV_DEFAULT_INDEX": simple(server)})
        question = ResolveQuestion(("aa==1", "bb==1"), X86)
        with Catalog(Places(tmp_path / "sartor"), Reporter()) as catalog:
            known = catalog.answer(Wanted(conflicts=(question,)), Known())
        (conflict,) = known.conflicts[question].conflicts
        assert conflict.because[-1] == "No version of cc is both."
        assert conflict.checked_by == "uv"
