"""Relations between the facts of indexes, images, recipes, remedies and formats."""

from __future__ import annotations

import datetime
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from packaging.version import Version

from sartor import facts
from sartor.evidence.snapshot import open_snapshot
from sartor.facts import offers, quantisation, remedies
from sartor.facts.packages import normalized
from sartor.facts.versions import within_versions

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

INDEXES = {row.id: row for row in facts.indexes()}
ARCHS = {row.compute_capability for row in facts.archs()} | {"5.0", "5.2"}
CUDAS = {row.version for row in facts.toolkits()}
TABLES: dict[str, Sequence[facts.Fact]] = {
    "images": offers.images(),
    "torch_builds": offers.torch_builds(),
    "torch_releases": offers.torch_releases(),
    "recipes": offers.recipes(),
    "compiles": offers.compiles(),
    "arch_forms": offers.arch_forms(),
    "env": offers.env_facts(),
    "reach": offers.reaches(),
    "quantisation": quantisation.quantisations(),
    "dtypes": quantisation.dtypes(),
    "forward_bases": remedies.forward_bases(),
    "jetpacks": remedies.jetpacks(),
    "glibcs": remedies.glibcs(),
}


def none_of(violations: Iterable[str]) -> None:
    found = list(violations)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("table", TABLES)
def test_every_row_has_a_source_and_a_day(table: str) -> None:
    rows = TABLES[table]
    assert rows
    none_of(f"{row}: no source" for row in rows if len(row.source) < 15)
    none_of(f"{row}" for row in rows if not row.checked_on < datetime.date(2100, 1, 1))


def test_indexes_have_ids_of_their_own_and_known_cuda_versions() -> None:
    counts = Counter(row.id for row in facts.indexes())
    none_of(f"{name}: {n} times" for name, n in counts.items() if n > 1)
    rows = facts.indexes()
    none_of(f"{r.id}: CUDA {r.cuda}" for r in rows if r.cuda and r.cuda not in CUDAS)
    none_of(f"{r.id}: {p}" for r in rows for p in r.projects if normalized(p) != p)
    none_of(f"{r.id}: no project" for r in rows if not r.projects)


def test_an_address_has_a_place_for_what_its_layout_says() -> None:
    places: dict[str, set[str]] = {
        "simple": set(),
        "per-version": {"version"},
        "per-commit": {"commit"},
    }
    for row in facts.indexes():
        has = {name for name in ("version", "commit") if f"{{{name}}}" in row.url}
        assert has == places[row.layout], row.id
        assert row.url.startswith("https://"), row.id


def test_every_bound_of_versions_can_be_read() -> None:
    bounds = [row.toolkit for row in offers.compiles()]
    bounds += [row.versions for row in offers.compiles()]
    bounds += [row.versions for row in offers.images()]
    bounds += [row.versions for row in offers.torch_builds()]
    bounds += [row.versions for row in offers.recipes()]
    bounds += [row.versions for row in facts.indexes()]
    bounds += [row.versions for row in quantisation.quantisations()]
    for text in bounds:
        assert within_versions(text, "0.1") in {True, False}


def test_pytorchs_builds_are_of_known_indexes_and_archs() -> None:
    rows = offers.torch_builds()
    none_of(f"{r.index}" for r in rows if r.index != "default" and r.index not in INDEXES)
    none_of(f"{r.index} {r.cuda}" for r in rows if r.cuda not in CUDAS)
    none_of(f"{r.index}: {c}" for r in rows for c in r.native if c not in ARCHS)
    for row in rows:
        if row.index != "default":
            assert INDEXES[row.index].cuda == row.cuda


def test_what_is_said_to_be_read_is_what_the_machine_code_says() -> None:
    """The judge is the evidence that is shipped: images of libtorch_cuda.so."""
    snapshot = open_snapshot()
    assert snapshot is not None
    checked = 0
    with snapshot:
        for row in snapshot.rows():
            if row.project != "torch" or "cp312" not in row.name:
                continue
            machine = "aarch64" if "aarch64" in row.name else "x86_64"
            found = _plain(row.evidence())
            facts_say = [
                set(build.native)
                for build in offers.torch_builds()
                if build.grade == "read"
                and build.architecture == machine
                and within_versions(build.versions, row.version or "")
            ]
            assert facts_say == ([found] if found else []), row.name
            checked += 1
    assert checked > len(offers.torch_releases())


def _plain(evidence: object) -> set[str]:
    """The compute capabilities of which the library has the usual number of plain images."""
    libraries = getattr(evidence, "libraries", [])
    core = [lib for lib in libraries if lib.path.endswith("libtorch_cuda.so")]
    counts: Counter[str] = Counter()
    for image in (image for lib in core for image in lib.images):
        if image.kind == "cubin" and image.arch[-1].isdigit():
            counts[f"{image.arch[3:-1]}.{image.arch[-1]}"] += image.count
    usual = max(counts.values(), default=0)
    return {capability for capability, n in counts.items() if n > usual / 2}


def test_releases_of_pytorch_are_in_order() -> None:
    rows = offers.torch_releases()
    assert [r.version for r in rows] == sorted((r.version for r in rows), key=Version)
    assert [r.built for r in rows] == sorted(r.built for r in rows)


def test_steps_of_recipes_name_nothing_that_is_not_filled_in() -> None:
    names = ("version", "torch", "index", "archs", "cmake_archs", "jobs", "python", "env")
    values = dict.fromkeys(names, "x")
    for row in offers.recipes():
        for text in [*row.steps, *row.env.values(), row.tag]:
            assert "{" not in text.format(**values)
        assert row.memory_gb_per_job > 0
        assert row.core_hours == sorted(row.core_hours)


def test_one_recipe_for_a_release() -> None:
    for version in ("0.6.6", "0.8.5", "0.19.1", "0.20.0", "0.30.0", "0.31.0", "0.32.0", "0.33.0"):
        rows = [
            row
            for row in offers.recipes()
            if row.engine == "vllm" and within_versions(row.versions, version)
        ]
        assert len(rows) == 1, version


def test_images_say_what_they_are_for() -> None:
    for row in offers.images():
        assert "{image}" in row.run, row.id
        assert row.architectures, row.id
        assert "{" not in row.tag.format(version="1")


def test_one_row_for_a_format_of_a_release() -> None:
    """No method and algorithm of one release has two least compute capabilities."""
    for engine, versions in (
        ("vllm", ["0.8.5", "0.9.0", "0.14.0", "0.19.1", "0.27.0", "0.28.0", "0.33.0"]),
        ("sglang", ["0.5.2", "0.5.9", "0.5.13", "0.5.23"]),
    ):
        for version in versions:
            rows = quantisation.formats_of(engine, version)
            keys = Counter((m, row.algorithm) for row in rows for m in row.methods)
            none_of(f"{engine} {version}: {key}" for key, n in keys.items() if n > 1)


def test_branches_that_forward_compatibility_names_are_known() -> None:
    known = {row.branch for row in facts.driver_branches()}
    none_of(
        f"{row.cuda}: {branch}"
        for row in remedies.forward_bases()
        for branch in row.branches
        if branch not in known
    )


def test_every_architecture_has_its_kernel_modules() -> None:
    none_of(
        row.architecture for row in facts.archs() if remedies.modules_for(row.architecture) is None
    )
