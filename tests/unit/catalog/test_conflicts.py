"""Conflicts of small worlds, against all their minimal sets found by trying."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sartor.catalog.conflicts import conflicts
from sartor.errors import UsageError
from sartor.index.wheels import IndexFile
from sartor.plan.known import Assumed, IndexPin, Listing, Machine, ResolveQuestion, Unread
from sartor.plan.outcome import Conflict, Found
from worlds import MACHINE, Premises, World, WorldOracle


def asked(world: World, *request: str, **more: object) -> Found:
    question = ResolveQuestion(request, MACHINE)
    question = msgspec.structs.replace(question, **more)
    return conflicts(question, WorldOracle(world), seconds=60)


def ends(conflict: Conflict) -> set[str]:
    return {premise.requirement for premise in conflict.premises}


ENGINES: World = {
    "vllm": {"1": ["torch==2.14.0", "xgrammar==0.2.8"]},
    "sglang": {"1": ["kernel==4", "xgrammar==0.2.7"]},
    "kernel": {"4": ["torch==2.14.1"]},
    "torch": {"2.14.0": ["triton==3.8"], "2.14.1": ["triton==3.9"]},
    "triton": {"3.8": [], "3.9": []},
    "xgrammar": {"0.2.7": [], "0.2.8": []},
}


KERNEL = (
    "sglang 1 requires kernel==4, and kernel 4 requires torch==2.14.1 (kernel-4-py3-none-any.whl)."
)


def test_two_engines_conflict_on_two_projects_and_each_has_its_chain() -> None:
    found = asked(ENGINES, "vllm==1", "sglang==1")
    assert found.complete
    assert {c.about for c in found.conflicts} == {"torch", "xgrammar"}
    torch = next(c for c in found.conflicts if c.about == "torch")
    assert [p.chain for p in torch.premises] == [
        ["vllm==1", "torch==2.14.0"],
        ["sglang==1", "kernel==4", "torch==2.14.1"],
    ]
    assert torch.because == [
        "vllm 1 requires torch==2.14.0 (vllm-1-py3-none-any.whl).",
        KERNEL,
        "No version of torch is both.",
    ]


def test_what_only_follows_from_a_conflict_is_none_of_its_own() -> None:
    found = asked(ENGINES, "vllm==1", "sglang==1")
    assert "triton" not in {c.about for c in found.conflicts}


def test_every_conflict_was_put_to_the_resolver() -> None:
    found = asked(ENGINES, "vllm==1", "sglang==1")
    assert [c.checked_by for c in found.conflicts] == ["uv", "uv"]
    assert found.calls > 0


def test_a_solution_is_no_conflict() -> None:
    assert asked(ENGINES, "vllm==1") == Found([], True, [], 1)


def test_one_requirement_against_what_is_published() -> None:
    world: World = {"a": {"1": ["certifi>=20"]}, "certifi": {"18": [], "17": []}}
    (conflict,) = asked(world, "a==1").conflicts
    assert ends(conflict) == {"certifi>=20"}
    assert conflict.because[-1] == "The newest certifi on the indexes that were asked is 18."


def test_a_version_that_there_is_not_has_neighbours() -> None:
    (conflict,) = asked({"a": {"1.2.2": [], "1.2.4": [], "3": []}}, "a==1.2.3").conflicts
    assert conflict.because == [
        "The request asks for a==1.2.3.",
        "There is no a 1.2.3 on the indexes that were asked; the nearest are 1.2.2, 1.2.4, 3.",
    ]


def test_a_project_that_there_is_not() -> None:
    (conflict,) = asked({}, "nowhere").conflicts
    assert conflict.because[-1] == "There is no nowhere on the indexes that were asked."


def test_all_versions_of_one_project_exclude_another() -> None:
    world: World = {
        "a": {"1": ["x>=2"]},
        "b": {"1": ["y>=1"]},
        "x": {"1": [], "2.0": ["y<1"], "2.1": ["y<1"]},
        "y": {"0.5": [], "1.0": [], "1.1": []},
    }
    found = asked(world, "a==1", "b==1")
    (conflict,) = found.conflicts
    assert found.complete
    assert ends(conflict) == {"x>=2", "y>=1"}
    assert conflict.about is None
    assert "x 2.0 and x 2.1 require y<1." in conflict.because or (
        "x 2.0 and 2.1 require y<1." in conflict.because
    )


def test_extras_bring_in_their_lines_and_no_others() -> None:
    world: World = {
        "a": {"1": ["b==1; extra == 'x'", "c==2; extra == 'y'", "a[x]; extra == 'all'"]},
        "b": {"1": [], "2": []},
        "c": {"1": [], "2": []},
    }
    assert asked(world, "a==1", "b==2").conflicts == []
    assert asked(world, "a[y]==1", "b==2").conflicts == []
    for extra in ("x", "all"):
        (conflict,) = asked(world, f"a[{extra}]==1", "b==2").conflicts
        assert ends(conflict) == {"b==1", "b==2"}
        assert conflict.premises[1].chain[0] == f"a[{extra}]==1"


def test_markers_are_those_of_the_machine() -> None:
    line = "b==1; platform_machine == 'aarch64' and python_version >= '3.12'"
    world: World = {"a": {"1": [line]}, "b": {"1": [], "2": []}}
    assert asked(world, "a==1", "b==2").conflicts == []
    arm = Machine("aarch64", "2.35", "3.12")
    (conflict,) = asked(world, "a==1", "b==2", machine=arm).conflicts
    assert ends(conflict) == {"b==1", "b==2"}


def of_files(*files: IndexFile, request: str = "a==1", **more: object) -> Found:
    question = msgspec.structs.replace(ResolveQuestion((request,), MACHINE), **more)
    oracle = WorldOracle({"a": {"1": []}}, {"a": list(files)})
    return conflicts(question, oracle, seconds=60)


@pytest.mark.parametrize(
    ("file", "why"),
    [
        (IndexFile("a-1.tar.gz", ""), "a 1 is a source distribution, which would have to be built"),
        (IndexFile("a-1-cp311-cp311-any.whl", ""), "a 1 is for cp311-cp311"),
        (IndexFile("a-1-py3-none-win_amd64.whl", ""), "a 1 is for win_amd64"),
        (
            IndexFile("a-1-py3-none-manylinux_2_39_x86_64.whl", ""),
            "a 1 is for manylinux_2_39_x86_64",
        ),
        (
            IndexFile("a-1-py3-none-any.whl", "", requires_python=">=3.13"),
            "a 1 requires Python >=3.13",
        ),
    ],
)
def test_why_the_file_that_is_there_does_not_serve(file: IndexFile, why: str) -> None:
    (conflict,) = of_files(file).conflicts
    assert why in conflict.because[-1]


def test_upper_bounds_on_python_do_not_count_as_for_uv() -> None:
    assert not of_files(IndexFile("a-1-py3-none-any.whl", "", requires_python="<3.10")).conflicts


def test_what_was_uploaded_later_does_not_count() -> None:
    file = IndexFile("a-1-py3-none-any.whl", "", uploaded="2026-05-02T10:00:00Z")
    (conflict,) = of_files(file, as_of="2026-05-02T09:59:59Z").conflicts
    assert "was uploaded on 2026-05-02T10:00:00Z" in conflict.because[-1]
    assert not of_files(file, as_of="2026-05-02T10:00:00Z").conflicts
    assert not of_files(file, as_of="2026-05-02").conflicts


def test_a_yanked_version_counts_where_the_request_pins_it() -> None:
    file = IndexFile("a-1-py3-none-any.whl", "", yanked="broken")
    assert not of_files(file).conflicts
    (conflict,) = of_files(file, request="a>=1").conflicts
    assert "was yanked (broken)" in conflict.because[-1]


def test_left_out_projects_conflict_with_nothing() -> None:
    found = asked(ENGINES, "vllm==1", "sglang==1", leave_out=("xgrammar",))
    assert {c.about for c in found.conflicts} == {"torch"}


def test_two_addresses_of_one_project() -> None:
    one, other = "https://x.org/a-1-py3-none-any.whl", "https://y.org/a-1-py3-none-any.whl"
    question = ResolveQuestion((f"a @ {one}", "a>=2"), MACHINE)
    (conflict,) = conflicts(question, Mute({"a": {"2": []}}), seconds=60).conflicts
    assert ends(conflict) == {f"a @ {one}", "a>=2"}
    both = ResolveQuestion((f"a @ {one}", f"a @ {other}"), MACHINE)
    (conflict,) = conflicts(both, Mute({"a": {"2": []}}), seconds=60).conflicts
    assert len(conflict.premises) == 2


class Mute(WorldOracle):
    """Whose resolver does not answer."""

    def resolve(self, question: ResolveQuestion) -> Unread:
        return Unread("the index is not reached")


def test_without_the_resolver_nothing_is_proved() -> None:
    found = conflicts(ResolveQuestion(("vllm==1", "sglang==1"), MACHINE), Mute(ENGINES), seconds=60)
    assert {c.about for c in found.conflicts} == {"torch", "xgrammar"}
    assert not found.complete
    assert {c.checked_by for c in found.conflicts} == {None}
    assert "the index is not reached" in found.not_looked_at[0]


class Unlisted(WorldOracle):
    """Whose indexes are not reached."""

    def listing(self, project: str) -> Listing:
        return Listing("", project, "not reached", why="no network")


def test_an_index_that_is_not_reached_lacks_nothing() -> None:
    found = conflicts(ResolveQuestion(("nowhere==1",), MACHINE), Unlisted({}), seconds=60)
    assert not found.complete
    assert any("no network" in each for each in found.not_looked_at)
    assert not any("There is no" in line for c in found.conflicts for line in c.because)


def test_pins_disagree_whatever_an_index_of_its_own_has() -> None:
    pins = (IndexPin("https://x.org/simple", ("torch",)),)
    found = asked(ENGINES, "vllm==1", "torch==2.14.1", indexes=pins)
    (conflict,) = found.conflicts
    assert ends(conflict) == {"torch==2.14.0", "torch==2.14.1"}
    assert not found.complete


def test_without_time_it_says_what_it_did_not_look_at() -> None:
    question = ResolveQuestion(("vllm==1", "sglang==1"), MACHINE)
    found = conflicts(question, WorldOracle(ENGINES), seconds=0)
    assert not found.complete
    assert found.not_looked_at


def test_each_is_told_at_once() -> None:
    told: list[Conflict] = []
    question = ResolveQuestion(("vllm==1", "sglang==1"), MACHINE)
    found = conflicts(question, WorldOracle(ENGINES), seconds=60, found=told.append)
    assert [ends(c) for c in told] == [ends(c) for c in found.conflicts] or (
        {*map(frozenset, map(ends, told))} == {*map(frozenset, map(ends, found.conflicts))}
    )


def test_what_is_assumed_holds_for_conflicts_too() -> None:
    assumed = (Assumed("kernel", "4", ()),)
    found = asked(ENGINES, "vllm==1", "sglang==1", assumed=assumed)
    assert {c.about for c in found.conflicts} == {"xgrammar"}


def test_a_requirement_that_is_none() -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        asked({}, "a ==== 1")


PROJECTS = ("a", "b", "c", "d")
VERSIONS = ("1", "2", "3")
BOUNDS = ("==1", "==2", "==3", ">=2", "<2", ">=3", "<3", "!=2")
LINES = st.builds("".join, st.tuples(st.sampled_from(PROJECTS), st.sampled_from(BOUNDS)))


@st.composite
def worlds(draw: st.DrawFn, full: bool) -> World:
    """``full``: of each project are all versions there, so that most conflicts are deep."""
    world: dict[str, dict[str, list[str]]] = {}
    for project in PROJECTS:
        some = st.lists(st.sampled_from(VERSIONS), min_size=1, unique=True)
        versions = VERSIONS if full else draw(some)
        world[project] = {
            version: [
                line
                for line in draw(st.lists(LINES, max_size=3, unique=True))
                if not line.startswith(project)
            ]
            for version in versions
        }
    return world


REQUESTS = st.lists(LINES, min_size=1, max_size=4, unique=True)


@settings(max_examples=200)
@given(world=worlds(full=False), request=REQUESTS)
def test_all_minimal_conflicts_are_found_and_no_others(world: World, request: list[str]) -> None:
    hold_against_trying(world, request)


@settings(max_examples=200)
@given(world=worlds(full=True), request=REQUESTS)
def test_so_are_those_of_several_projects(world: World, request: list[str]) -> None:
    hold_against_trying(world, request)


def hold_against_trying(world: World, request: list[str]) -> None:
    premises = Premises(world, request)
    assume(len(premises.all) <= 11)
    found = asked(world, *request)
    assert found.complete, found.not_looked_at
    minimal = premises.minimal()
    for conflict in found.conflicts:
        lines = frozenset(step for premise in conflict.premises for step in premise.chain)
        assert lines in minimal
    told = [frozenset(ends(conflict)) for conflict in found.conflicts]
    assert len({*told}) == len(told)
    assert {*told} == {premises.ends(lines) for lines in minimal}
