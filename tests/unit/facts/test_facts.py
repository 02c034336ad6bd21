"""Relations between the rows of the facts. A failing test prints every violation, not the first."""

from __future__ import annotations

import datetime
import re
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from sartor import facts
from sartor.catalog.choice import platforms
from sartor.engines.facts import LineFact, engine, engines
from sartor.engines.launch import launcher
from sartor.errors import UnknownEngineError
from sartor.facts import run
from sartor.facts.linking import compilers, libc_sonames, system_sonames
from sartor.facts.packages import facts_about, normalized
from sartor.facts.versions import numbers
from sartor.host.names import gpu_fact, slug, spellings, why_unknown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ARCHS = {row.compute_capability: row for row in facts.archs()}
TOOLKITS = {row.version: row for row in facts.toolkits()}
LINES: list[LineFact] = [line for e in engines() for line in e.line]
IDS = [f"{e.name}-{line.id}" for e in engines() for line in e.line]
INDEXES = {"default", *(row.id for row in facts.indexes())}
TABLES: dict[str, Sequence[facts.Fact]] = {
    "gpus": facts.gpus(),
    "archs": facts.archs(),
    "toolkits": facts.toolkits(),
    "driver_branches": facts.driver_branches(),
    "libraries": facts.libraries(),
    "indexes": facts.indexes(),
    "resolver": platforms(),
    "compiler_defects": facts.compiler_defects(),
    "distributions": facts.distributions(),
    "lines": LINES,
    "essentials": run.essentials(),
    "driver_compiles": [run.driver_compiles()],
    "variables": run.variables(),
}


def none_of(violations: Iterable[str]) -> None:
    found = list(violations)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("table", TABLES)
def test_every_row_has_a_source_and_a_day_that_has_come(table: str) -> None:
    rows = TABLES[table]
    assert rows
    none_of(f"{row}: no source" for row in rows if len(row.source) < 10)
    latest = datetime.date(2100, 1, 1)
    none_of(f"{row}: {row.checked_on}" for row in rows if not row.checked_on < latest)


def test_gpu_names_are_slugs_and_each_means_one_product() -> None:
    words = [word for row in facts.gpus() for word in (row.id, *row.aliases)]
    none_of(f"{word} is said {count} times" for word, count in Counter(words).items() if count > 1)
    none_of(f"{word} is not a slug" for word in words if slug(word) != word)


def test_gpu_rows_that_share_a_name_share_a_compute_capability() -> None:
    seen: dict[str, str] = {}
    none_of(
        f"{row.id}: {row.name} is {seen[row.name]} elsewhere"
        for row in facts.gpus()
        if seen.setdefault(row.name, row.compute_capability) != row.compute_capability
    )


def test_every_gpu_is_of_a_known_architecture() -> None:
    none_of(
        f"{row.id}: {row.compute_capability} is not in archs.toml"
        for row in facts.gpus()
        if row.compute_capability not in ARCHS
    )
    none_of(
        f"{row.id}: {row.architecture}, {row.compute_capability}"
        for row in facts.gpus()
        if row.architecture.split()[0] != ARCHS[row.compute_capability].architecture.split()[0]
    )


@pytest.mark.parametrize(
    ("name", "capability", "gigabytes"),
    [
        ("rtx-5090", "12.0", 32),
        ("rtx-4090", "8.9", 24),
        ("rtx-3090", "8.6", 24),
        ("NVIDIA GeForce GTX 1080 Ti", "6.1", 11),
        ("NVIDIA H200", "9.0", 141),
        ("h100", "9.0", 80),
        ("l40s", "8.9", 48),
        ("t4", "7.5", 16),
        ("b200", "10.0", 180),
        ("b300", "10.3", 288),
        ("gb10", "12.1", 128),
        ("NVIDIA Thor", "11.0", 128),
        ("Tesla P100-PCIE-16GB", "6.0", 16),
    ],
)
def test_gpus_that_people_ask_about(name: str, capability: str, gigabytes: float) -> None:
    row = gpu_fact(name)
    assert row is not None
    assert (row.compute_capability, row.memory_gb) == (capability, gigabytes)


def test_every_class_from_pascal_to_blackwell_ultra_is_there() -> None:
    found = {row.architecture.split()[0] for row in facts.gpus()}
    assert {"Pascal", "Volta", "Turing", "Ampere", "Ada", "Hopper", "Blackwell"} <= found
    classes = {row.klass for row in facts.gpus()}
    assert {"data-center", "workstation", "consumer", "embedded"} <= classes


def test_numbers_are_positive() -> None:
    none_of(
        f"{row.id}: {row.memory_gb} GB, {row.memory_bandwidth_gbs} GB/s"
        for row in facts.gpus()
        if row.memory_gb <= 0 or (row.memory_bandwidth_gbs or 1) <= 0
    )


def test_toolkits_and_their_ptx_only_go_up() -> None:
    rows = facts.toolkits()
    assert [Version(r.version) for r in rows] == sorted(Version(r.version) for r in rows)
    assert [Version(r.ptx_isa) for r in rows] == sorted(Version(r.ptx_isa) for r in rows)


def test_driver_branches_only_go_up() -> None:
    rows = facts.driver_branches()
    assert [r.branch for r in rows] == sorted({r.branch for r in rows})
    assert [Version(r.cuda_max) for r in rows] == sorted(Version(r.cuda_max) for r in rows)
    oldest = Version(facts.toolkits()[0].version)
    none_of(
        f"{row.branch}: no CUDA {row.cuda_max}"
        for row in rows
        if Version(row.cuda_max) >= oldest and row.cuda_max not in TOOLKITS
    )


def test_a_toolkits_own_driver_supports_it() -> None:
    for row in facts.toolkits():
        if row.driver_linux_min and row.public:
            supported = facts.cuda_of_driver(row.driver_linux_min)
            assert supported is not None
            assert Version(supported) >= Version(row.version), row


def test_measured_ptx_versions() -> None:
    """As read from packages and tried on a driver: 8.7, 8.8, 9.0 came with 12.8, 12.9, 13.0."""
    assert [TOOLKITS[v].ptx_isa for v in ("12.8", "12.9", "13.0")] == ["8.7", "8.8", "9.0"]


def test_architectures_name_toolkits_that_exist() -> None:
    for row in facts.archs():
        if row.max_toolkit:
            assert Version(row.min_toolkit) <= Version(row.max_toolkit), row
            assert row.max_toolkit in TOOLKITS, row


@pytest.mark.parametrize("line", LINES, ids=IDS)
def test_lines_hold_together(line: LineFact) -> None:
    assert normalized(line.distribution) == line.distribution
    assert {line.index, *(pin.index for pin in line.pins)} <= INDEXES
    assert set(line.libraries) <= {row.soname for row in facts.libraries()}
    assert not line.versions or SpecifierSet(line.versions)
    assert all(SpecifierSet(extra.versions) and extra.extra for extra in line.extras)
    assert line.launcher is None or "import" in launcher(line.launcher).sees_gpu
    projects = [*line.device_code, *line.leave_out, *(p for pin in line.pins for p in pin.projects)]
    assert projects == [normalized(name) for name in projects]
    assert line.torch_local is None or re.fullmatch(r"\+[a-z0-9]+", line.torch_local)


@pytest.mark.parametrize("line", LINES, ids=IDS)
def test_a_line_of_wheels_lists_its_releases_and_a_source_package_is_named(line: LineFact) -> None:
    """No release of wheels is in the facts: the index lists them."""
    named = [line.version, line.requirement, line.source_project, line.source_sha256]
    if line.how == "wheel":
        assert named == [None] * 4
        assert not line.cmake_args
        assert not line.compilers
        return
    assert all(named)
    assert Requirement(line.requirement or "").specifier == SpecifierSet(f"=={line.version}")
    assert re.fullmatch(r"[0-9a-f]{64}", line.source_sha256 or "")
    assert line.architectures
    assert line.cpu_native_option
    assert ("nvcc" in line.compilers) == (line.accelerator == "cuda")


@pytest.mark.parametrize("line", LINES, ids=IDS)
def test_how_it_is_known_what_a_line_for_gpus_holds(line: LineFact) -> None:
    """Of wheels for GPUs either the machine code is read, or its makers' word is in the facts."""
    ways = [bool(line.device_code), line.declared is not None]
    assert sum(ways) == (line.accelerator == "cuda" and line.how == "wheel")
    if line.declared is not None:
        assert {*line.declared.native, *line.declared.ptx} - {"5.0"} <= set(ARCHS)
        assert line.declared.cuda in TOOLKITS
        assert bool(line.declared.ptx) == (line.declared.driver_cuda_for_ptx is not None)


def test_lines_of_an_engine_have_names_of_their_own() -> None:
    for e in engines():
        assert len({line.id for line in e.line}) == len(e.line)
        assert {line.accelerator for line in e.line} <= set(e.rank) == set(e.sequences)
        assert Version(e.usual_python).release[0] == 3


def test_a_version_that_wants_an_extra() -> None:
    (line,) = engine("sglang").line
    assert line.extra_for("0.5.2") == "srt"
    assert line.extra_for("0.5.23") is None


def test_engines_are_known_by_name_and_alias() -> None:
    for facts_of in engines():
        names = (facts_of.name, *facts_of.aliases, facts_of.name.upper())
        assert all(engine(name) is facts_of for name in names)
        assert sorted(facts_of.rank) == ["cpu", "cuda"]
    with pytest.raises(UnknownEngineError) as raised:
        engine("vlm")
    assert "`vllm`" in str(raised.value.hint)


def test_no_known_gpu_is_taken_for_a_stranger() -> None:
    names = [spelling for row in facts.gpus() for spelling in spellings(row)]
    assert [name for name in names if why_unknown(name)] == []


def test_the_drivers_of_a_compute_capability() -> None:
    blackwell = facts.driver_range("12.0")
    assert blackwell is not None
    assert (blackwell.first_cuda, blackwell.first_branch, blackwell.last_branch) == (
        "12.8",
        570,
        None,
    )
    volta = facts.driver_range("7.0")
    assert volta is not None
    assert volta.last_branch == 580
    assert facts.driver_range("8.7") is None  # a Tegra part: its driver comes with the board
    assert facts.driver_range("99.0") is facts.driver_range(None) is None


@pytest.mark.parametrize(
    ("version", "key"),
    [("2.34", (2, 34)), ("3.13.0rc1", (3, 13, 0)), ("", ()), ("x", ()), ("9" * 30, (999999999,))],
)
def test_versions_as_numbers(version: str, key: tuple[int, ...]) -> None:
    assert numbers(version) == key


def test_variables_speak_of_compilers_that_are_known() -> None:
    known = {row.name for row in compilers()}
    none_of(
        f"{row.name}: {name} is no compiler of linking.toml"
        for row in run.variables()
        for name in (*row.without, *row.available)
        if name not in known
    )


def test_variables_look_for_files_that_a_compiler_row_reads() -> None:
    """Only the globs of those rows are looked for when a wheel is read."""
    none_of(
        f"{row.name}: {name} has no row with {glob}"
        for row in run.variables()
        for glob in row.files
        for name in row.distributions
        if (about := facts_about(name)) is not None
        and about.distributions == [name]
        and not any(glob in compiler.files for compiler in about.compiler)
    )


def test_what_glibc_brings_is_part_of_what_every_system_has() -> None:
    assert libc_sonames() <= system_sonames()


def test_a_driver_takes_some_time_to_compile() -> None:
    row = run.driver_compiles()
    assert 0 < row.least_seconds_per_mb < row.most_seconds_per_mb
