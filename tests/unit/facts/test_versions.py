"""Bounds of facts mean what `packaging.specifiers` says of the same text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from sartor.facts.packages import normalized, package_facts
from sartor.facts.versions import within_versions

RELEASE = st.lists(st.integers(0, 12), min_size=1, max_size=4).map(
    lambda numbers: ".".join(map(str, numbers))
)
SUFFIX = st.sampled_from(["", "rc1", "a2", ".dev3", ".post1", "+cu130", ".post1+x"])
VERSION = st.builds("{}{}".format, RELEASE, SUFFIX)
BOUND = st.builds("{}{}".format, st.sampled_from([">=", "<"]), RELEASE) | st.builds(
    ">={}.post{}".format, RELEASE, st.integers(0, 3)
)
BOUNDS = st.lists(BOUND, max_size=3).map(",".join)


@given(BOUNDS, VERSION)
def test_bounds_are_what_packaging_says(bounds: str, version: str) -> None:
    judged = SpecifierSet(bounds).contains(version, prereleases=True)
    assert within_versions(bounds, version) is judged


@pytest.mark.parametrize("version", ["", "x", "1..2", "9" * 5000])
def test_what_is_no_version_is_within_nothing(version: str) -> None:
    assert not within_versions("", version)


@pytest.mark.parametrize("bounds", ["==1.0", "~=1.0", "1.0", ">=1.0;<2", ">=x", "<2rc1"])
def test_other_bounds_are_refused(bounds: str) -> None:
    with pytest.raises(ValueError, match="no bound"):
        within_versions(bounds, "1.0")


def test_the_bounds_of_all_facts_can_be_judged() -> None:
    for about in package_facts():
        for rows in (about.feature, about.dispatch, about.compiler, about.alternatives):
            for row in rows:
                within_versions(row.versions, "1.0")


@given(st.from_regex(r"[A-Za-z0-9._-]{1,12}", fullmatch=True))
def test_names_are_normalized_as_by_packaging(name: str) -> None:
    assert normalized(name) == canonicalize_name(name)
