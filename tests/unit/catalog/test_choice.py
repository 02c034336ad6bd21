"""Which wheel a machine gets, held against `packaging`, which says it of its own machine."""

from __future__ import annotations

import packaging._manylinux
import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.tags import Tag

from sartor.catalog.choice import (
    described,
    of_version,
    resolver_glibc,
)
from sartor.catalog.request import platform_of
from sartor.index.wheels import Fits, IndexFile, why_not
from sartor.plan.known import Machine
from sartor.plan.offers.tags import best_wheel, platform_tags, tag_order


def file(name: str) -> IndexFile:
    return IndexFile(name, f"https://files.example/{name}")


@pytest.mark.parametrize("glibc", [(2, 5), (2, 16), (2, 17), (2, 28), (2, 35), (2, 43)])
@pytest.mark.parametrize("processor", ["x86_64", "aarch64"])
def test_platforms_are_those_that_packaging_finds(
    monkeypatch: pytest.MonkeyPatch, processor: str, glibc: tuple[int, int]
) -> None:
    monkeypatch.setattr(packaging._manylinux, "_get_glibc_version", lambda: glibc)
    monkeypatch.setattr(packaging._manylinux, "_have_compatible_abi", lambda *_: True)
    theirs = [*packaging._manylinux.platform_tags([processor])]
    machine = Machine(processor, "{}.{}".format(*glibc), "3.12")
    assert [*platform_tags(machine)] == [*theirs, f"linux_{processor}"]


def test_tags_are_those_of_this_very_interpreter() -> None:
    """Of the machine that the test runs on, packaging knows all of them without being told.

    It has a plain ``linux`` tag first of its interpreter's, and uv, which installs, has it last.
    """
    import platform
    import sys

    from packaging.tags import sys_tags

    glibc = platform.libc_ver()[1]
    python = "{}.{}".format(*sys.version_info)
    if not glibc or platform.machine() not in {"x86_64", "aarch64"}:
        pytest.skip("not a machine with glibc")
    ours = tag_order(Machine(platform.machine(), glibc, python))
    order = sorted(ours, key=lambda tag: ours[tag])
    theirs = [*dict.fromkeys(sys_tags())]
    assert set(order) == set(theirs)
    assert [t for t in order if not _is_plain(t)] == [t for t in theirs if not _is_plain(t)]
    for plain in (n for n, tag in enumerate(order) if _is_plain(tag)):
        assert order[plain - 1].platform.startswith("manylinux")
        assert str(order[plain - 1]).split("-")[:2] == str(order[plain]).split("-")[:2]
        assert str(order[plain + 1]).split("-")[:2] != str(order[plain]).split("-")[:2]


def _is_plain(tag: Tag) -> bool:
    return tag.platform.startswith("linux_")


def test_the_best_tag_counts_and_then_the_build() -> None:
    machine = Machine("x86_64", "2.35", "3.12")
    names = [
        "a-1.0-py3-none-any.whl",
        "a-1.0-cp312-cp312-manylinux_2_28_x86_64.whl",
        "a-1.0-2-cp312-cp312-manylinux_2_34_x86_64.whl",
        "a-1.0-10-cp312-cp312-manylinux_2_34_x86_64.whl",
        "a-1.0-99-cp312-cp312-manylinux_2_36_x86_64.whl",
        "a-1.0-cp312-cp312-manylinux_2_35_aarch64.whl",
        "a-1.0.tar.gz",
        "no name.whl",
    ]
    best = best_wheel(map(file, names), machine)
    assert best is not None
    assert best.name == "a-1.0-10-cp312-cp312-manylinux_2_34_x86_64.whl"
    assert best_wheel([file(names[5])], machine) is None


@given(
    st.sampled_from(["cp312-cp312", "cp38-abi3", "py3-none", "cp313-cp313t"]),
    st.sampled_from(["manylinux_2_17_x86_64.manylinux2014_x86_64", "manylinux_2_31_x86_64", "any"]),
    st.sampled_from(["2.17", "2.28", "2.31", "2.40"]),
    st.sampled_from(["3.12", "3.13"]),
)
def test_a_wheel_is_taken_where_it_fits(tag: str, platform: str, glibc: str, python: str) -> None:
    """The rule by which files of a project are said not to fit is the same one."""
    if platform == "any":
        tag = "py3-none"
    wheel = file(f"a-1.0-{tag}-{platform}.whl")
    fits = Fits("x86_64", glibc, python)
    taken = best_wheel([wheel], Machine("x86_64", glibc, python))
    assert (taken is not None) == (why_not(wheel, fits) is None)


@pytest.mark.parametrize(
    ("glibc", "asked"),
    [
        ("2.17", "2.17"),
        ("2.27", "2.17"),
        ("2.30", "2.28"),
        ("2.35", "2.35"),
        ("2.99", "2.40"),
        (None, "2.40"),
        ("2.12", None),
    ],
)
def test_glibc_is_never_raised(glibc: str | None, asked: str | None) -> None:
    machine = Machine("x86_64", glibc, "3.12")
    assert resolver_glibc(machine) == asked
    named = None if asked is None else f"x86_64-manylinux_{asked.replace('.', '_')}"
    assert platform_of(machine) == named
    assert platform_of(Machine("riscv64", glibc, "3.12")) is None


def test_files_of_one_version() -> None:
    names = ["a_b-1.0-py3-none-any.whl", "a_b-1.0.post1-py3-none-any.whl", "a_b-1.0.tar.gz"]
    found = of_version(map(file, names), "a-b", "1")
    assert [one.name for one in found] == names[:1]
    assert of_version(map(file, names), "a-b", "nothing") == []


def test_what_the_index_says_is_of_the_same_bytes_or_of_no_use() -> None:
    locked = IndexFile("a-1-py3-none-any.whl", "https://x/a", sha256="1" * 64)
    listed = IndexFile(
        "a-1-py3-none-any.whl", "https://x/a", 7, "1" * 64, uploaded="2026-01-01T00:00:00Z"
    )
    assert described(locked, listed) == listed
    assert described(locked, IndexFile("a", "https://x/a", 7, "2" * 64)) == locked
    assert described(locked, None) == locked


def test_tags_have_one_rank_each() -> None:
    order = tag_order(Machine("x86_64", "2.35", "3.12"))
    assert order[Tag("cp312", "cp312", "manylinux_2_35_x86_64")] == 0
    assert len({*order.values()}) == len(order)
