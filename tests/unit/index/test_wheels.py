"""Which wheels are meant, out of what an index lists."""

from __future__ import annotations

import pytest

from sartor.errors import NoSuchTargetError, UsageError
from sartor.index.wheels import Fits, IndexFile, choose, parse_requirement, platform_fits


def listed(
    *names: str, requires_python: str | None = None, yanked: str | None = None
) -> list[IndexFile]:
    return [
        IndexFile(n, f"https://x.example/{n}", requires_python=requires_python, yanked=yanked)
        for n in names
    ]


def chosen(text: str, files: list[IndexFile], fits: Fits | None = None) -> list[str]:
    requirement = parse_requirement(text)
    assert requirement is not None
    return [file.name for file in choose(requirement, files, fits or Fits()).wheels]


TWO = listed(
    "a_b-1.0-cp312-cp312-manylinux_2_28_x86_64.whl",
    "a_b-1.0-cp313-cp313-manylinux_2_28_x86_64.whl",
    "a_b-1.0-cp312-cp312-manylinux2014_aarch64.whl",
    "a_b-1.0-cp312-cp312-win_amd64.whl",
    "a_b-0.9-py3-none-any.whl",
    "a_b-2.0rc1-py3-none-any.whl",
    "a_b-1.0.tar.gz",
    "a_b_other-3.0-py3-none-any.whl",
    "no wheel.whl",
)


def test_the_newest_version_and_every_wheel_of_it_for_linux() -> None:
    assert [n.partition("-1.0-")[2] for n in chosen("A.b", TWO)] == [
        "cp312-cp312-manylinux2014_aarch64.whl",
        "cp312-cp312-manylinux_2_28_x86_64.whl",
        "cp313-cp313-manylinux_2_28_x86_64.whl",
    ]
    assert chosen("a-b[extra]<1", TWO) == ["a_b-0.9-py3-none-any.whl"]
    assert chosen("a-b>=2.0rc1", TWO) == ["a_b-2.0rc1-py3-none-any.whl"]
    assert chosen("a-b", listed("a_b-2.0rc1-py3-none-any.whl")) == ["a_b-2.0rc1-py3-none-any.whl"]


def test_what_is_not_read_has_its_reason() -> None:
    requirement = parse_requirement("a-b==1.0")
    assert requirement is not None
    found = choose(requirement, TWO, Fits("x86_64", "2.28", "3.12"))
    assert [f.name for f in found.wheels] == ["a_b-1.0-cp312-cp312-manylinux_2_28_x86_64.whl"]
    assert {note.path.partition("-1.0-")[2]: note.why for note in found.left} == {
        "cp312-cp312-manylinux2014_aarch64.whl": "it is for manylinux2014_aarch64",
        "cp312-cp312-win_amd64.whl": "it is for win_amd64",
        "cp313-cp313-manylinux_2_28_x86_64.whl": "it is for cp313-cp313",
    }


@pytest.mark.parametrize(
    ("platform", "fits"),
    [
        ("manylinux_2_28_x86_64", True),
        ("manylinux2014_x86_64", True),
        ("manylinux1_x86_64", True),
        ("linux_x86_64", True),
        ("any", True),
        ("manylinux_2_31_x86_64", False),
        ("manylinux_2_28_aarch64", False),
        ("linux_aarch64", False),
        ("musllinux_1_2_x86_64", False),
        ("macosx_14_0_arm64", False),
    ],
)
def test_platforms(platform: str, fits: bool) -> None:
    assert platform_fits(platform, Fits("x86_64", "2.28")) == fits


def test_a_stable_abi_fits_any_later_python() -> None:
    files = listed("a-1.0-cp38-abi3-manylinux_2_28_x86_64.whl", requires_python="<3.13")
    assert chosen("a", files, Fits(python="3.12"))
    with pytest.raises(NoSuchTargetError, match="no wheel"):
        chosen("a", files, Fits(python="3.13"))
    with pytest.raises(UsageError):
        chosen("a", files, Fits(python="3.12.1; x"))


def test_yanked_files_count_where_their_version_is_named() -> None:
    files = [
        *listed("a-1.0-py3-none-any.whl"),
        *listed("a-1.1-py3-none-any.whl", yanked="broken"),
    ]
    assert chosen("a", files) == ["a-1.0-py3-none-any.whl"]
    assert chosen("a==1.1", files) == ["a-1.1-py3-none-any.whl"]
    with pytest.raises(NoSuchTargetError) as error:
        chosen("a>1.0", files)
    assert "yanked: 1.1" in error.value.found


def test_an_unknown_version_names_those_that_are_near() -> None:
    files = listed(*(f"a-0.{n}.0-py3-none-any.whl" for n in range(30)))
    with pytest.raises(NoSuchTargetError) as error:
        chosen("a==0.28.1", files)
    assert "0.28.0" in error.value.found[0]
    assert "newest: 0.29.0, 0.28.0" in error.value.found[1]
    with pytest.raises(NoSuchTargetError, match="no wheel"):
        chosen("a", listed("a-1.0.tar.gz"))


@pytest.mark.parametrize("text", ["a @ https://x.example/a.whl", "a b", "-x", "a==", ""])
def test_what_is_no_project(text: str) -> None:
    assert parse_requirement(text) is None
