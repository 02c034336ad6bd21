"""The laws of grades, of features' proofs, and of two reports side by side."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from sartor.report.comparison import comparison_lines
from sartor.verify.compare import compare, said
from sartor.verify.features import proof_of
from sartor.verify.model import (
    GRADES,
    Failed,
    Grade,
    Measured,
    NotApplicable,
    NotChecked,
    Outcome,
    Passed,
    ProvedGpu,
    ProvedOn,
    Report,
    reached,
)
from sartor.verify.verifying import NOT_CHECKED, status_of

CHECKS = st.sampled_from([f"check {n}" for n in range(6)])
GRADE = st.sampled_from(GRADES)
DIGESTS = st.sampled_from([None, "0" * 64, "1" * 64])
MEASURED = st.builds(
    Measured,
    error=st.floats(0, 1),
    bound=st.just(1.0),
    unit=st.just("relative"),
    reference=st.just("float64"),
    digest=DIGESTS,
    repeats=st.sampled_from([None, False, True]),
)
COMMON = {"check": CHECKS, "grade": GRADE, "package": st.sampled_from([None, "torch", "six"])}
OUTCOMES: st.SearchStrategy[Outcome] = st.one_of(
    st.builds(Passed, **COMMON, detail=st.text(max_size=4), measured=st.none() | MEASURED),
    st.builds(Failed, **COMMON, detail=st.text(max_size=4), hint=st.none()),
    st.builds(NotChecked, **COMMON, why=st.text(max_size=4), hint=st.none()),
    st.builds(NotApplicable, **COMMON, why=st.text(max_size=4)),
)
MANY = st.lists(OUTCOMES, max_size=12)
RANK = {grade: number for number, grade in enumerate(GRADES)}


def report(outcomes: list[Outcome], asked: Grade = "golden") -> Report:
    """A report of these outcomes."""
    return Report(
        environment="/env",
        python="3.12.1",
        grade=reached(outcomes),
        asked=asked,
        outcomes=outcomes,
        machine=ProvedOn(cpu="cpu", architecture="x86_64", cores=2, memory_bytes=1),
        made_at="2026-11-21T00:00:00+00:00",
        sartor="0",
    )


def unique(outcomes: list[Outcome]) -> list[Outcome]:
    """One outcome for each check, as a report has."""
    return list({outcome.check: outcome for outcome in outcomes}.values())


@given(MANY)
def test_below_a_reached_grade_nothing_failed_or_was_left(outcomes: list[Outcome]) -> None:
    grade = reached(outcomes)
    if grade is None:
        return
    below = [o for o in outcomes if RANK[o.grade] <= RANK[grade]]
    assert not any(isinstance(o, Failed | NotChecked) for o in below)
    for each in GRADES[: RANK[grade] + 1]:
        assert any(isinstance(o, Passed) and o.grade == each for o in below)


@given(MANY, OUTCOMES)
def test_what_is_not_applicable_changes_no_grade(outcomes: list[Outcome], one: Outcome) -> None:
    more = NotApplicable(check="other", grade=one.grade, why="")
    assert reached([*outcomes, more]) == reached(outcomes)


@given(MANY, GRADE)
def test_what_was_not_checked_blocks_its_grade(outcomes: list[Outcome], grade: Grade) -> None:
    more = NotChecked(check="other", grade=grade, why="")
    found = reached([*outcomes, more])
    assert found is None or RANK[found] < RANK[more.grade]


@given(MANY, GRADE)
def test_the_status_is_0_only_where_the_asked_grade_is_reached(
    outcomes: list[Outcome], asked: Grade
) -> None:
    one = report(outcomes, asked)
    status = status_of(one)
    if any(isinstance(o, Failed) for o in outcomes):
        assert status == 1
    elif one.grade is not None and RANK[one.grade] >= RANK[one.asked]:
        assert status == 0
    else:
        assert status == NOT_CHECKED


@given(MANY)
def test_a_report_beside_itself_differs_in_nothing(outcomes: list[Outcome]) -> None:
    one = replace(report(unique(outcomes)), files={"a.so": "0" * 64}, packages={"torch": "2"})
    found = compare(one, one)
    assert not found.worse
    lists = (found.machine, found.packages, found.files, found.checks, found.features)
    assert [row for rows in lists for row in rows] == []
    assert found.same_checks == len(one.outcomes)
    assert found.same_files == 1
    assert all(pair.outputs != "different" for pair in found.measured)


@given(MANY, MANY)
def test_the_other_way_round_the_sides_change_places(a: list[Outcome], b: list[Outcome]) -> None:
    one, other = report(unique(a)), report(unique(b))
    there, back = compare(one, other), compare(other, one)
    assert there.same_checks == back.same_checks
    assert {(c.check, c.a, c.b) for c in there.checks} == {(c.check, c.b, c.a) for c in back.checks}
    assert {(m.check, m.outputs) for m in there.measured} == {
        (m.check, m.outputs) for m in back.measured
    }


@given(MANY, CHECKS)
def test_one_more_failure_is_worse(outcomes: list[Outcome], name: str) -> None:
    before = [o for o in unique(outcomes) if not (o.check == name and isinstance(o, Failed))]
    after = [o for o in before if o.check != name]
    failed = Failed(check=name, grade="resolves", detail="")
    assert compare(report(before), report([*after, failed])).worse


@given(MANY)
def test_fewer_grades_that_were_asked_for_are_not_worse(outcomes: list[Outcome]) -> None:
    whole = report(unique(outcomes))
    part = report([o for o in whole.outcomes if o.grade == "resolves"], asked="resolves")
    assert not compare(whole, part).worse


@given(MANY)
def test_a_feature_is_proved_no_further_than_its_package(outcomes: list[Outcome]) -> None:
    proof = proof_of("torch", "core", outcomes)
    own = [o for o in outcomes if o.package == "torch" and not o.features]
    for grade in GRADES[: 0 if proof.grade is None else RANK[proof.grade] + 1]:
        assert not any(isinstance(o, Failed | NotChecked) for o in own if o.grade == grade)


def test_a_feature_stands_on_the_checks_that_name_it() -> None:
    made: list[Outcome] = [
        Passed(check="files", grade="resolves", package="vllm", features=["a", "b"]),
        Passed(check="_C.so", grade="loads", package="vllm", features=["a"]),
        Failed(check="_moe.so", grade="loads", package="vllm", features=["b"], detail=""),
        Passed(check="torch's", grade="loads", package="torch"),
        Passed(check="op a", grade="launches", package="vllm", features=["a"]),
    ]
    assert proof_of("vllm", "a", made).grade == "launches"
    proof = proof_of("vllm", "b", made)
    assert (proof.grade, proof.because) == ("resolves", ["_moe.so"])


def test_digests_and_machines_are_compared() -> None:
    measured = Measured(error=0.1, bound=1, unit="ulp", reference="float64", digest="0" * 64)
    other = replace(measured, digest="1" * 64, error=0.2)
    machine = ProvedOn(
        cpu="cpu",
        architecture="x86_64",
        cores=2,
        memory_bytes=1,
        gpus=[ProvedGpu(name="NVIDIA H200", compute_capability="9.0")],
        driver="580.65",
    )
    a = report([Passed(check="op", grade="golden", measured=measured)])
    b = replace(report([Passed(check="op", grade="golden", measured=other)]), machine=machine)
    found = compare(a, b)
    assert [(m.error_a, m.error_b, m.outputs) for m in found.measured] == [(0.1, 0.2, "different")]
    assert {row.what for row in found.machine} == {"GPUs", "driver"}
    assert not found.worse


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        (True, True, "different"),
        (None, None, "different"),
        (True, False, "not repeated"),
        (False, None, "not repeated"),
    ],
)
def test_bits_that_differ_from_call_to_call_are_no_difference_of_two_stacks(
    first: bool | None, second: bool | None, told: str
) -> None:
    one = Measured(error=0, bound=1, unit="", reference="", digest="0" * 64, repeats=first)
    other = replace(one, digest="1" * 64, repeats=second)
    reports = [report([Passed(check="op", grade="golden", measured=m)]) for m in (one, other)]
    found = compare(*reports)
    assert [m.outputs for m in found.measured] == [told]
    words = "in one and the same stack they differ from call to call"
    assert (words in "\n".join(comparison_lines(found))) is (told == "not repeated")


def test_every_outcome_has_a_word() -> None:
    assert said(None) is None
    assert said(NotApplicable(check="x", grade="loads", why="")) == "not applicable"


def test_a_file_that_was_slimmed_is_said_to_be() -> None:
    before = replace(report([]), files={"a.so": "0" * 64, "b.so": "2" * 64})
    after = replace(before, files={"a.so": "1" * 64, "b.so": "3" * 64}, slimmed={"a.so": "sm_90"})
    rows = {row.what: row.why for row in compare(before, after).files}
    assert rows == {"a.so": "slimmed to sm_90 in B", "b.so": None}
