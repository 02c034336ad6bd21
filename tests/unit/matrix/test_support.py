"""The map as a value: it says what `sartor inspect` says, and adds nothing that was not read."""

from __future__ import annotations

import random
from functools import cache
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

import evidences
from sartor import facts
from sartor.evidence.row import row_of
from sartor.evidence.snapshot import open_snapshot
from sartor.facts.packages import package_facts
from sartor.matrix.model import HAS_CODE, Part
from sartor.matrix.parts import score, together
from sartor.matrix.shown import no_machine, shown
from sartor.matrix.support import machine_of, map_wheels, newest_of, support_map
from sartor.verdict.inspection import judge
from sartor.verdict.targets import Asked, resolve

if TYPE_CHECKING:
    from sartor.artifact.model import Evidence
    from sartor.evidence.row import Row
    from sartor.verdict.model import FeatureGrade, InspectedLibrary, Target

GPUS = [gpu.gpu for gpu in facts.map_choice().gpu]
SEED = 20261121


@cache
def rows() -> list[Row]:
    snapshot = open_snapshot()
    assert snapshot is not None
    with snapshot:
        return list(snapshot.rows())


def targets(*gpus: str, driver: str | None = None) -> list[Target]:
    return resolve(Asked(gpus=list(gpus), driver=driver), no_machine).gpus


def part(verdict: FeatureGrade, *, core: bool = False) -> Part:
    return Part(name="a part", verdict=verdict, core=core)


def test_every_part_is_what_inspect_says() -> None:
    """Of random wheels on every GPU with a random driver: features as they are, libraries by
    the counts of their units."""
    chance = random.Random(SEED)  # noqa: S311
    drivers = [None, *(str(row.branch) for row in shown().branches)]
    for row in chance.sample(rows(), 8):
        asked = targets(*GPUS, driver=chance.choice(drivers))
        (wheel,) = support_map([row], asked).wheels
        inspected = judge(row.evidence(), asked)
        for verdict in wheel.verdicts:
            features = [f for f in inspected.features if f.target == verdict.target]
            found = [(p.name, p.verdict, p.reasons, p.needs_driver_cuda) for p in verdict.parts]
            if not verdict.parts:
                assert verdict.verdict in {"not-applicable", "no-device-code"}
            elif wheel.parts_are == "features":
                assert found == [
                    (f.name, f.verdict, f.reasons, f.needs_driver_cuda) for f in features
                ]
            else:
                assert not features
                check_libraries(inspected.libraries, verdict.target, verdict.parts)


def check_libraries(libraries: list[InspectedLibrary], target: int, parts: list[Part]) -> None:
    by_path = {library.path: library for library in libraries}
    for one in parts:
        (verdict,) = [v for v in by_path[one.name].verdicts if v.target == target]
        counts = dict.fromkeys(("native", "jit", "missing", "not-applicable", "unknown"), 0)
        for reason in one.reasons:
            counts[reason.grade] += reason.count
        assert (counts["native"], counts["jit"], counts["missing"]) == (
            verdict.native,
            verdict.jit,
            verdict.missing,
        )
        assert one.needs_driver_cuda == verdict.needs_driver_cuda
        if one.verdict == "native":
            assert not verdict.jit + verdict.missing + verdict.unknown


def test_the_newer_driver_is_the_one_that_it_takes() -> None:
    """With the driver that a wheel is said to take it has no less than with any driver."""
    for row in random.Random(SEED).sample(rows(), 6):  # noqa: S311
        (stated,) = support_map([row], targets(*GPUS)).wheels
        able = [v for v in stated.verdicts if v.verdict in HAS_CODE and v.needs_driver]
        with_driver = [
            target
            for verdict in able
            for target in targets(GPUS[verdict.target], driver=str(verdict.needs_driver))
        ]
        (driven,) = support_map([row], with_driver).wheels
        for verdict, again in zip(able, driven.verdicts, strict=True):
            grades = [one.verdict for one in again.parts]
            assert grades == [one.verdict for one in verdict.parts], (row.name, verdict.target)


def test_a_wheel_for_another_processor_is_not_native() -> None:
    row = next(r for r in rows() if r.project == "vllm" and r.name.endswith("x86_64.whl"))
    found = support_map([row], targets("gb10", "gh200", "h200"))
    verdicts = found.wheels[0].verdicts
    assert [v.verdict for v in verdicts[:2]] == ["not-applicable", "not-applicable"]
    assert "stands beside aarch64 alone" in verdicts[0].because
    assert verdicts[2].verdict in HAS_CODE


def test_machines_come_from_tags() -> None:
    package = evidences.evidence().packages[0]
    for tag, machine in {
        "py3-none-any": None,
        "cp38-abi3-manylinux_2_28_x86_64": "x86_64",
        "cp38-abi3-manylinux2014_aarch64": "aarch64",
        "cp312-cp312-linux_x86_64": "x86_64",
        "cp312-cp312-win_amd64": None,
    }.items():
        assert machine_of(replace(package, file_tags=[tag])) == machine


def made(version: str, number: int, requires: list[str] | None = None) -> Row:
    evidence: Evidence = evidences.evidence(number)
    package = replace(evidence.packages[0], version=version, requires=requires or [])
    return row_of(replace(evidence, packages=[package]), "none")


def test_the_newest_and_what_it_requires() -> None:
    wanted = ["one==1.9", "one>=1; extra == 'x'", "two==3", "one>1"]
    three = [made("1.9", 1), made("1.10", 2, wanted), made("1.10rc1", 3)]
    found = list(map_wheels(three, support_map([], targets("h200")).gpus))
    assert [wheel.version for wheel in found] == ["1.10", "1.10rc1", "1.9"]
    assert [wheel.is_newest for wheel in found] == [True, False, False]
    assert newest_of(found) == {found[0].sha256}
    (companion,) = found[0].requires
    assert (companion.requirement, companion.sha256) == ("one==1.9", found[2].sha256)


@pytest.mark.parametrize(
    ("parts", "grade"),
    [
        ([], "no-device-code"),
        ([part("native"), part("not-applicable")], "native"),
        ([part("native"), part("jit")], "jit"),
        ([part("native", core=True), part("missing")], "partial"),
        ([part("native", core=True), part("unknown")], "partial"),
        ([part("missing", core=True), part("native")], "missing"),
        ([part("unknown", core=True), part("native")], "unknown"),
        ([part("missing"), part("missing")], "missing"),
        ([part("missing"), part("unknown")], "unknown"),
        ([part("unknown")], "unknown"),
        ([part("not-applicable")], "not-applicable"),
    ],
)
def test_what_parts_add_up_to(parts: list[Part], grade: str) -> None:
    assert together(parts) == grade


def test_unknown_is_never_taken_for_working() -> None:
    """Another part that was not checked never makes a wheel native, nor ranks it higher."""
    for rest in ([part("native")], [part("jit")], [part("native", core=True), part("missing")]):
        with_unknown = [*rest, part("unknown")]
        assert together(with_unknown) not in {"native", "jit"}
        assert score(together(with_unknown), with_unknown) <= score(together(rest), rest)


def test_core_features_are_marked() -> None:
    """Where a distribution has core operators, its map depends on them."""
    for about in package_facts():
        for fact in about.feature:
            assert fact.core == (fact.name in {"core operators", "KV cache operators"}), fact.name
