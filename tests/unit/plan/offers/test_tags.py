"""Which wheel a machine gets, judged by `packaging`; by uv in `tests/integration`."""

from __future__ import annotations

import platform
import sys

import pytest
from packaging.tags import sys_tags
from packaging.utils import parse_wheel_filename

from market import MARKET, made
from sartor.plan.known import Machine
from sartor.plan.offers.tags import best_wheel, obstacle

HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"
THERE = Machine("x86_64", "2.35", "3.12")


def names(*tags: str, project: str = "one") -> list[str]:
    return [f"{project}-1.0-{tag}.whl" for tag in tags]


def best(files: list[str], machine: Machine = THERE, **said: str) -> str | None:
    found = best_wheel([made(name, **said) for name in files], machine)
    return found.name if found else None


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="this machine has another C library")
def test_the_order_is_that_of_packaging_for_this_interpreter() -> None:
    """Of two wheels that this interpreter takes, the one whose tag it names first.

    A plain ``linux`` tag aside: `packaging` has that first, and uv, which installs, has it last.
    """
    machine = Machine(platform.machine(), platform.libc_ver()[1], HERE)
    tags = [tag for tag in sys_tags() if not tag.platform.startswith("linux_")]
    wheels = names(*(str(tag) for tag in tags))
    assert best(wheels, machine) == wheels[0]
    step = max(1, len(wheels) // 60)
    for number in range(0, len(wheels) - step, step):
        pair = [wheels[number + step], wheels[number]]
        assert best(pair, machine) == wheels[number]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="this machine has another C library")
def test_what_this_interpreter_does_not_take_is_not_taken() -> None:
    machine = Machine(platform.machine(), platform.libc_ver()[1], HERE)
    taken = {str(tag) for tag in sys_tags()}
    strange = [
        "cp27-cp27mu-manylinux1_x86_64",
        "cp312-cp312-win_amd64",
        "cp39-none-musllinux_1_2_x86_64",
        f"cp{HERE.replace('.', '')}-abi3-macosx_11_0_arm64",
        "pp310-pypy310_pp73-any",
    ]
    for tag in strange:
        assert tag not in taken
        assert best(names(tag), machine) is None


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ("cp312-cp312-manylinux_2_28_x86_64", "cp312-cp312-manylinux_2_17_x86_64"),
        ("cp312-cp312-manylinux_2_17_x86_64", "cp312-abi3-manylinux_2_17_x86_64"),
        ("cp312-abi3-manylinux_2_17_x86_64", "cp310-abi3-manylinux_2_34_x86_64"),
        ("cp38-abi3-manylinux1_x86_64", "py3-none-manylinux_2_34_x86_64"),
        ("py3-none-manylinux_2_17_x86_64", "py3-none-any"),
        ("cp312-cp312-manylinux2014_x86_64", "cp312-cp312-manylinux_2_12_x86_64"),
        ("cp312-cp312-manylinux_2_5_x86_64", "cp312-cp312-linux_x86_64"),
        ("cp312-cp312-manylinux_2_35_x86_64", "cp312-cp312-manylinux_2_36_x86_64"),
        ("py2.py3-none-any", "cp313-cp313-manylinux_2_17_x86_64"),
    ],
)
def test_the_better_of_two(better: str, worse: str) -> None:
    wheels = names(worse, better)
    assert best(wheels) == wheels[1]
    assert best(wheels[::-1]) == wheels[1]


def test_the_higher_of_two_builds_of_a_wheel() -> None:
    plain, first, tenth = (f"one-1.0{b}-py3-none-any.whl" for b in ("", "-2", "-10"))
    assert best([plain, tenth, first]) == tenth
    assert best([first, plain]) == first
    assert best([plain, "one-1.0-0-py3-none-any.whl"]) == "one-1.0-0-py3-none-any.whl"


def test_a_tag_in_parts_counts_with_its_best() -> None:
    several = "cp312-cp312-manylinux2014_x86_64.manylinux_2_28_x86_64"
    wheels = names(several, "cp312-cp312-manylinux_2_24_x86_64")
    assert best(wheels) == wheels[0]


def test_requires_python_is_heeded() -> None:
    assert best(names("py3-none-any"), requires_python=">=3.13") is None
    assert best(names("py3-none-any"), requires_python=">=3.12.4")
    assert best(names("py3-none-any"), requires_python="nonsense")


def test_what_is_no_wheel_is_passed_over() -> None:
    assert best(["one-1.0.tar.gz", "one.whl", "one-1.0-py3-none-any.whl.metadata"]) is None


def test_an_unknown_glibc_leaves_no_wheel_out() -> None:
    wheels = names("cp312-cp312-manylinux_2_41_x86_64")
    assert best(wheels, Machine("x86_64", None, "3.12")) == wheels[0]
    assert best(wheels) is None


@pytest.mark.parametrize(
    ("tags", "rule", "wanted", "found"),
    [
        (["cp312-cp312-manylinux_2_17_aarch64"], "architecture", "aarch64", "x86_64"),
        (["cp312-cp312-win_amd64"], "architecture", "win_amd64", "x86_64"),
        (
            ["cp312-cp312-manylinux_2_39_x86_64"],
            "platform-tag",
            "manylinux_2_39_x86_64",
            "glibc 2.35",
        ),
        (["cp311-cp311-manylinux_2_17_x86_64"], "python", "cp311-cp311", "Python 3.12"),
        (
            ["cp311-cp311-manylinux_2_17_x86_64", "cp312-cp312-manylinux_2_39_x86_64"],
            "python",
            "cp311-cp311",
            "Python 3.12",
        ),
    ],
)
def test_the_tag_that_stands_in_the_way(
    tags: list[str], rule: str, wanted: str, found: str
) -> None:
    files = [made(name) for name in names(*tags)]
    named, asked, has = obstacle(files, THERE)
    assert (named, has) == (rule, found)
    assert wanted in asked


def test_source_packages_alone() -> None:
    assert obstacle([made("one-1.0.tar.gz")], THERE)[0] == "platform-tag"


def test_of_the_snapshot_s_wheels_each_machine_gets_its_own() -> None:
    listed = [f for project in ("vllm", "torch") for f in MARKET.of(project)]
    releases = {parse_wheel_filename(file.name)[:2] for file in listed}
    for architecture in ("x86_64", "aarch64"):
        machine = Machine(architecture, "2.39", "3.12")
        for release in releases:
            files = [f for f in listed if parse_wheel_filename(f.name)[:2] == release]
            own = [f for f in files if f.name.endswith(f"_{architecture}.whl")]
            assert (best_wheel(files, machine) in own) == bool(own)
