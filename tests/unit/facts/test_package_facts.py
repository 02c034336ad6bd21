"""What the makers' sources say about libraries: relations between rows, and real kernel names.

A failing test prints every violation, not the first.
"""

from __future__ import annotations

import datetime
import re
import tomllib
from collections import Counter
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from sartor import facts
from sartor.facts.packages import (
    CompilerFact,
    DispatchFact,
    FeatureFact,
    PackageFacts,
    facts_about,
    package_facts,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Row = FeatureFact | DispatchFact | CompilerFact
CAPABILITIES = {row.compute_capability for row in facts.archs()}
COMPILERS = {"nvcc", "nvrtc", "ptxas", "cc", "c++", "ninja", "triton", "cutlass-dsl"}
ARCHITECTURE = re.compile(r"(sm|compute|lto)_\d+[af]?")
GLOB = re.compile(r"[\w./+*?-]+")
LIBRARY = re.compile(r"\.so|\.cubin$")
KERNELS = tomllib.loads(Path(__file__).with_name("kernels.toml").read_text("utf-8"))["kernel"]


def none_of(violations: Iterable[str]) -> None:
    found = list(violations)
    assert not found, "\n".join(found)


def rows(of: PackageFacts) -> Iterator[Row]:
    yield from of.feature
    yield from of.dispatch
    yield from of.compiler


def said(row: Row) -> str:
    """The row, by the words that tell it from others."""
    match row:
        case FeatureFact():
            return f"feature {row.name!r}"
        case DispatchFact():
            return f"dispatch {row.because!r}"
        case CompilerFact():
            return f"compiler {row.when!r}"


EVERY = [(of, row) for of in package_facts() for row in rows(of)]
SERVING = [row for _, row in EVERY if isinstance(row, FeatureFact | DispatchFact)]


def known(served: str) -> bool:
    """``9.0`` is a compute capability of the facts; ``10.*`` is a major that one of them has."""
    if served.endswith(".*"):
        return any(c.split(".")[0] == served[:-2] for c in CAPABILITIES)
    return served in CAPABILITIES


def compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


def specifies(versions: str) -> bool:
    try:
        SpecifierSet(versions)
    except InvalidSpecifier:
        return False
    return True


def test_every_source_is_a_url_and_every_day_has_come() -> None:
    assert EVERY
    none_of(f"{said(row)}: {row.source}" for _, row in EVERY if "https://" not in row.source)
    latest = datetime.date(2100, 1, 1)
    none_of(f"{said(row)}: {row.checked_on}" for _, row in EVERY if not row.checked_on < latest)


def test_every_source_that_is_named_is_used() -> None:
    used = {row.source for _, row in EVERY}
    none_of(
        f"{of.distributions[0]}: {name}"
        for of in package_facts()
        for name, text in of.sources.items()
        if text not in used
    )


def test_each_distribution_has_one_file_and_a_normalised_name() -> None:
    names = [name for of in package_facts() for name in of.distributions]
    none_of(f"{n} stands in {count} files" for n, count in Counter(names).items() if count > 1)
    none_of(f"{n} is not normalised" for n in names if canonicalize_name(n) != n)
    assert all(facts_about(name) for name in names)
    assert facts_about("no-such-distribution") is None


def test_each_feature_has_one_row() -> None:
    for of in package_facts():
        names = Counter(row.name for row in of.feature)
        none_of(f"{of.distributions[0]}: {n} x {count}" for n, count in names.items() if count > 1)


def test_globs_regular_expressions_and_versions_are_well_formed() -> None:
    none_of(
        f"{said(row)}: {glob}"
        for row in SERVING
        for glob in row.libraries
        if not GLOB.fullmatch(glob) or not LIBRARY.search(glob)
    )
    none_of(f"{said(row)}: no library" for row in SERVING if not row.libraries)
    none_of(f"{said(row)}" for row in SERVING if row.kernels and not compiles(row.kernels))
    none_of(f"{said(row)}: {row.versions}" for _, row in EVERY if not specifies(row.versions))


def test_no_regular_expression_matches_just_any_kernel() -> None:
    names = ("", "_Z1av", "_ZN3cub11EmptyKernelIvEEvv", "main")
    none_of(
        f"{said(row)} matches {name!r}"
        for row in SERVING
        for name in names
        if row.kernels is not None and re.search(row.kernels, name)
    )


def test_serves_are_known_and_said_once() -> None:
    none_of(f"{said(row)}: {s}" for row in SERVING for s in row.serves if not known(s))
    none_of(
        f"{said(row)}: {s} is within {s.split('.')[0]}.*"
        for row in SERVING
        for s in row.serves
        if not s.endswith(".*") and s.split(".")[0] + ".*" in row.serves
    )
    none_of(said(row) for row in SERVING if len(set(row.serves)) < len(row.serves))


def test_a_dispatch_fact_leaves_a_gpu_out_and_one_in() -> None:
    every = {c.split(".")[0] + ".*" for c in CAPABILITIES}
    dispatch = [row for row in SERVING if isinstance(row, DispatchFact)]
    none_of(f"{said(row)} serves none" for row in dispatch if not row.serves)
    none_of(f"{said(row)} serves all" for row in dispatch if every <= set(row.serves))
    none_of(
        f"{said(row)}: {image}"
        for row in dispatch
        for image in row.images or []
        if not ARCHITECTURE.fullmatch(image)
    )


def test_dispatch_facts_end_with_the_versions_that_were_read() -> None:
    dispatch = [row for row in SERVING if isinstance(row, DispatchFact)]
    none_of(f"{said(row)}: {row.versions}" for row in dispatch if "<" not in row.versions)


def test_compilers_have_known_names_and_are_wanted_somewhere() -> None:
    compiler = [(of, row) for of, row in EVERY if isinstance(row, CompilerFact)]
    assert compiler
    none_of(
        f"{said(row)}: {name}"
        for _, row in compiler
        for name in (*row.compilers, *row.any_of)
        if name not in COMPILERS
    )
    none_of(said(row) for _, row in compiler if not row.compilers and not row.any_of)
    none_of(
        f"{said(row)}: {name} is brought and not wanted"
        for _, row in compiler
        for name in row.brings
        if name not in (*row.compilers, *row.any_of)
    )
    none_of(
        f"{said(row)}: {name} is not the file's"
        for of, row in compiler
        for name in row.distributions
        if name not in of.distributions
    )


def left(kernel: dict[str, str | list[str]]) -> list[list[str]]:
    """What each dispatch fact that is about a kernel, alone in its unit, says it serves."""
    about = facts_about(str(kernel["distribution"]))
    assert about is not None
    return [
        row.serves
        for row in about.dispatch
        if any(fnmatchcase(str(kernel["library"]), glob) for glob in row.libraries)
        and SpecifierSet(row.versions).contains(str(kernel["version"]))
        and row.images is None
        and (row.kernels is None or re.search(row.kernels, str(kernel["name"])))
    ]


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: f"{k['version']}-{k['name'][:40]}")
def test_real_kernels_are_left_to_the_gpus_that_their_dispatch_serves(
    kernel: dict[str, str | list[str]],
) -> None:
    found = left(kernel)
    if "serves" in kernel:
        assert kernel["serves"] in found
    else:
        assert not found
