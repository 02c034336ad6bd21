"""Who provides what libraries need: relations between the rows, and names as they occur."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from sartor.facts import linking
from sartor.facts.packages import package_facts


def test_policies_only_ever_promise_more() -> None:
    rows = linking.policies()
    for older, newer in pairwise(rows):
        for field in ("glibc", "glibcxx", "cxxabi"):
            assert Version(getattr(older, field)) <= Version(getattr(newer, field)), newer.tag
        assert older.glibc != newer.glibc
    assert all(row.tag == f"manylinux_{row.glibc.replace('.', '_')}" for row in rows)
    assert {name for row in rows for name in row.legacy} == {
        "manylinux1",
        "manylinux2010",
        "manylinux2014",
    }


def test_a_stem_has_one_provider() -> None:
    counts = Counter(stem for row in linking.providers() for stem in row.stems)
    assert [stem for stem, count in counts.items() if count > 1] == []


def test_what_the_system_and_the_driver_bring_no_package_does() -> None:
    brought = linking.system_sonames() | linking.driver_sonames()
    assert [name for name in sorted(brought) if linking.provider_of(name)] == []
    assert not linking.system_sonames() & linking.driver_sonames()


def test_distributions_are_normalised() -> None:
    names = {name for row in linking.providers() for name in (*row.distributions, *row.through)}
    names |= {name for row in linking.compilers() for name in (*row.distributions, *row.through)}
    assert [name for name in sorted(names) if name != canonicalize_name(name)] == []


def test_every_compiler_that_packages_name_has_a_source_and_wants_end() -> None:
    rows = {row.name: row for row in linking.compilers()}
    named = {
        name
        for about in package_facts()
        for row in about.compiler
        for name in (*row.compilers, *row.any_of)
    }
    assert named - set(rows) == set()
    for row in rows.values():
        assert row.distributions or row.host, row.name
        assert all(not rows[want].wants for want in row.wants), row.name


@pytest.mark.parametrize(
    ("soname", "stem", "number"),
    [
        ("libcudart.so.13", "cudart", 13),
        ("libcudart.41118559.so.12", "cudart", 12),
        ("libcudart-d0da41ae.so.11.0", "cudart", 11),
        ("libtorch_cpu.so", "torch_cpu", None),
        ("libnvrtc-builtins.so.13.0", "nvrtc-builtins", 13),
        ("libnvrtc-builtins.alt.so.13.0", None, None),
        ("libstdc++.so.6", "stdc++", 6),
        ("ld-linux-x86-64.so.2", None, None),
        ("lib.so", None, None),
        (f"libcudart.so.{'9' * 5000}", None, None),
    ],
)
def test_sonames_are_taken_apart(soname: str, stem: str | None, number: int | None) -> None:
    assert linking.parse_soname(soname) == ((stem, number) if stem else None)


@pytest.mark.parametrize(
    ("soname", "major"),
    [
        ("libcudart.so.13", 13),
        ("libcublasLt.so.12", 12),
        ("libcusparse.so.12", None),
        ("libcufft.so.11", None),
        ("libnuma.so.1", None),
        ("libcuda.so.1", None),
    ],
)
def test_some_sonames_have_cudas_major(soname: str, major: int | None) -> None:
    assert linking.cuda_major(soname) == major


def test_a_distribution_has_forms_by_cuda_major() -> None:
    assert linking.is_form_of("nvidia-cublas-cu12", "nvidia-cublas")
    assert linking.is_form_of("nvidia-cublas", "nvidia-cublas")
    assert not linking.is_form_of("nvidia-cublasmp-cu12", "nvidia-cublas")
