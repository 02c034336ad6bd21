"""A stack in somebody's pyproject.toml: every other byte stays, conflicts are refused."""

from __future__ import annotations

import contextlib
import difflib
import tomllib
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from locks import locking, package, wheel_file
from sartor.errors import (
    OthersFileError,
    ProjectConflictError,
    ProjectFileError,
    SartorError,
    UsageError,
)
from sartor.lock.into import addition
from sartor.lock.model import DEFAULT, LockedIndex, Locking, Source

HERE = PurePosixPath("/home/somebody/project")
MAKER = LockedIndex(alias="pytorch-cu130", url="https://maker.example/cu130")
STACK = locking(
    package("vllm", "0.32.0", "torch==2.11.0", "numpy<2"),
    package("torch", "2.11.0", index="pytorch-cu130"),
    package("numpy", "2.4.6"),
    indexes=[LockedIndex(alias=DEFAULT, url="https://index.example/simple"), MAKER],
    leave_out=["nvidia-nvshmem"],
)
PLAIN = """\
# A project of mine.
[build-system]
requires = [ "hatchling" ]   # the backend

[project]
name = 'mine'
version = "1"
requires-python = ">=3.11"
dependencies = ["rich>=13",
   "typer",  # odd indentation
]

[dependency-groups]
dev = ["pytest"]

[tool.uv]
# nothing yet
managed = true

[tool.other]
x = { a = 1,  b = [1,2 ,3] }
"""


def put(text: str, one: Locking = STACK, **more: Any) -> str:
    return addition(text, "pyproject.toml", one, folder=HERE, **more).text


def removed_lines(before: str, after: str) -> list[str]:
    changes = difflib.ndiff(before.splitlines(keepends=True), after.splitlines(keepends=True))
    return [line[2:] for line in changes if line.startswith("- ")]


def test_what_is_added() -> None:
    text = put(PLAIN)
    assert removed_lines(PLAIN, text) == []
    values = tomllib.loads(text)
    marker = (
        "python_version == '3.12' and platform_machine == 'x86_64' and "
        "platform_python_implementation == 'CPython' and sys_platform == 'linux'"
    )
    assert values["dependency-groups"] == {
        "dev": ["pytest"],
        "inference": [
            f"numpy==2.4.6 ; {marker}",
            f"torch==2.11.0 ; {marker}",
            f"vllm==0.32.0 ; {marker}",
        ],
    }
    uv = values["tool"]["uv"]
    assert uv["sources"] == {"torch": {"index": "pytorch-cu130", "group": "inference"}}
    assert uv["index"] == [
        {"name": "pytorch-cu130", "url": "https://maker.example/cu130", "explicit": True}
    ]
    assert uv["override-dependencies"] == [
        "numpy==2.4.6",
        "nvidia-nvshmem ; sys_platform == 'never'",
    ]
    assert uv["managed"] is True


def test_twice_is_once() -> None:
    once = put(PLAIN)
    assert put(once) == once


def test_a_plan_that_changed_replaces_its_own_entries_alone() -> None:
    other = locking(package("sglang", "0.5.23", "torch==2.12.0"), package("torch", "2.12.0"))
    text = put(put(PLAIN), other)
    assert removed_lines(PLAIN, text) == []
    values = tomllib.loads(text)
    assert [line.partition(" ")[0] for line in values["dependency-groups"]["inference"]] == [
        "sglang==0.5.23",
        "torch==2.12.0",
    ]
    uv = values["tool"]["uv"]
    assert not uv.get("sources")
    assert "index" not in uv
    assert not uv.get("override-dependencies")
    assert tomllib.loads(put(text)) == {
        **tomllib.loads(put(PLAIN)),
    }


def test_two_groups_beside_each_other() -> None:
    second = locking(package("xllamacpp"), leave_out=["nvidia-nvshmem"])
    both = put(put(PLAIN), second, group="second")
    assert set(tomllib.loads(both)["dependency-groups"]) == {"dev", "inference", "second"}
    without = tomllib.loads(put(both, locking(package("vllm"))))["tool"]["uv"]
    assert without["override-dependencies"] == ["nvidia-nvshmem ; sys_platform == 'never'"]
    with pytest.raises(OthersFileError) as raised:
        put(both, group="third")
    assert raised.value.found == ["[tool.uv.sources] says where torch comes from"]


def test_what_the_user_has_in_the_same_lists_stays() -> None:
    before = PLAIN.replace(
        "managed = true",
        """override-dependencies = ["a==1"]
[[tool.uv.index]]
name = "mine" # yes
url = "https://mine.example"

[tool.uv.sources]
rich = { path = "../rich" } # r""",
    )
    text = put(before)
    assert removed_lines(before, text) == ['override-dependencies = ["a==1"]\n']
    uv = tomllib.loads(text)["tool"]["uv"]
    assert uv["override-dependencies"][0] == "a==1"
    assert [i["name"] for i in uv["index"]] == ["mine", "pytorch-cu130"]
    assert uv["sources"]["rich"] == {"path": "../rich"}
    gone = tomllib.loads(put(text, locking(package("vllm"))))["tool"]["uv"]
    assert gone["override-dependencies"] == ["a==1"]
    assert [i["name"] for i in gone["index"]] == ["mine"]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('"typer",', '"torch==2.10.0",', "[project] dependencies has `torch==2.10.0`"),
        ('"pytest"', '"torch<2.11"', "[dependency-groups] dev has `torch<2.11`"),
        ("managed = true", 'constraint-dependencies = ["numpy<2"]', "constraint-dependencies"),
        ('"typer",', '"nvidia-nvshmem",', "which the stack leaves out"),
        ('"typer",', '"torch @ https://x.example/t.whl",', "torch @ https://x.example/t.whl"),
        (
            "[dependency-groups]",
            '[project.optional-dependencies]\ncpu = ["torch~=2.9.0"]\n[dependency-groups]',
            "[project.optional-dependencies] cpu",
        ),
    ],
)
def test_pins_that_exclude_the_stack(before: str, after: str, said: str) -> None:
    with pytest.raises(ProjectConflictError) as raised:
        put(PLAIN.replace(before, after))
    first, *rest = raised.value.found
    assert said in first
    assert all("vllm==0.32.0" in line for line in rest)
    assert raised.value.hint


def test_how_a_package_came_in_is_said() -> None:
    with pytest.raises(ProjectConflictError) as raised:
        put(PLAIN.replace('"typer",', '"torch==2.10.0",'))
    assert raised.value.found[1].strip() == (
        "the stack has it through vllm==0.32.0 -> torch==2.11.0"
    )


@pytest.mark.parametrize(
    "line",
    [
        "torch==2.10.0 ; sys_platform == 'win32'",
        "torch==2.10.0 ; python_version < '3.12'",
        "torch>=2",
        "Torch==2.11.0",
    ],
)
def test_pins_that_do_not(line: str) -> None:
    put(PLAIN.replace('"typer",', f'"{line}",'))


def test_groups_that_uv_keeps_apart() -> None:
    apart = PLAIN.replace('"pytest"', '"torch<2.11"').replace(
        "managed = true", 'conflicts = [[{ group = "dev" }, { group = "inference" }]]'
    )
    put(apart)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('dev = ["pytest"]', "inference = []", "a group `inference`"),
        ("managed = true", 'sources = { torch = { path = "x" } }', "torch"),
        ("managed = true", 'index = [{ name = "pytorch-cu130", url = "u" }]', "cu130"),
    ],
)
def test_what_others_made_is_not_replaced(before: str, after: str, said: str) -> None:
    text = PLAIN.replace(before, after)
    with pytest.raises(OthersFileError) as raised:
        put(text)
    assert said in raised.value.found[0]
    forced = tomllib.loads(put(text, force=True))
    assert len(forced["dependency-groups"]["inference"]) == 3
    assert forced["tool"]["uv"]["sources"]["torch"]["index"] == "pytorch-cu130"


def test_other_pythons() -> None:
    with pytest.raises(ProjectConflictError, match="Python"):
        put(PLAIN.replace(">=3.11", ">=3.13"))
    with pytest.raises(ProjectFileError, match="requires-python"):
        put(PLAIN.replace(">=3.11", "three"))


def test_files_that_are_no_projects() -> None:
    with pytest.raises(ProjectFileError, match="line 1"):
        put("x = ]")
    with pytest.raises(ProjectFileError, match=r"no \[project\]"):
        put("")
    with pytest.raises(UsageError):
        put(PLAIN, group="Not A Name")


def test_packages_from_source() -> None:
    source = Source(repository="https://git.example/x", commit="a" * 40, subdirectory="py")
    sdist = replace(wheel_file("b"), name="b-1.0.tar.gz")
    one = locking(package("x", file=None, source=source), package("b", file=sdist))
    values = tomllib.loads(put(PLAIN, one))
    assert values["tool"]["uv"]["sources"]["x"] == {
        "git": "https://git.example/x",
        "rev": "a" * 40,
        "subdirectory": "py",
        "group": "inference",
    }
    assert values["tool"]["uv"]["no-binary-package"] == ["b"]
    assert values["dependency-groups"]["inference"][1].startswith("x ; ")


def test_files_that_were_built_here() -> None:
    file = replace(wheel_file("own"), url="file:///home/somebody/whe%20els/own.whl")
    uv = tomllib.loads(put(PLAIN, locking(package("own", file=file))))["tool"]["uv"]
    assert uv["sources"]["own"] == {"path": "../whe els/own.whl", "group": "inference"}


SHAPES = [
    "[tool.uv]\nsources = { rich = { path = 'r' } }\n",
    "[tool]\nuv = { managed = true }\n",
    "[tool.uv.sources]\nrich = { path = 'r' }\n",
    "[tool.uv]\nmanaged=true\n\n\n[tool.z]\na=1\n[tool.uv.pip]\nb = 2\n",
    "[tool.uv.sources.rich]\npath = 'r'\n",
    "[tool]\nuv.managed = true\nother.x = 1\n",
    "[[tool.uv.index]]\nname='a'\nurl='u'\n[[tool.uv.index]]\nname='b'\nurl='v'\n",
    "[tool.uv]\noverride-dependencies = [\n  'a==1', # why\n  # none\n]\n",
    "[tool.uv]\noverride-dependencies = []\n",
    "[tool.black]\nline-length = 99",
    "\r\n[tool.x]\r\ny = '''\r\n[tool.uv]\r\n'''\r\n",
    "[dependency-groups]\n'dev'=[]\n",
    "dependency-groups = { dev = [] }\n",
    "[dependency-groups]\n",
    "# the end",
]


@given(
    st.lists(st.sampled_from(SHAPES), max_size=3, unique=True),
    st.sampled_from(["", "[tool.sartor]\n", "[tool.sartor.into.other]\nengine='x'\n"]),
    st.booleans(),
)
@settings(max_examples=150)
def test_any_layout_is_added_to_or_refused(shapes: list[str], own: str, first: bool) -> None:
    head = "[project]\nname = 'mine'\nversion = '1'\n\n"
    top = [s for s in shapes if s.startswith("dependency-groups")]
    rest = [s for s in shapes if not s.startswith("dependency-groups")]
    body = "\n".join([*rest, own])
    before = "".join(top) + (head + body if first else body + "\n" + head)
    try:
        was = tomllib.loads(before)
    except tomllib.TOMLDecodeError:
        return
    try:
        text = put(before)
    except ProjectFileError:  # an inline `uv` in [tool], which no table can follow
        return
    assert put(text) == text
    values = tomllib.loads(text)
    assert len(values["dependency-groups"]["inference"]) == 3
    assert values["project"] == was["project"]
    for key, value in was.get("tool", {}).items():
        if key not in {"uv", "sartor"}:
            assert values["tool"][key] == value
    lists = ("override-dependencies", "sources", "uv =", "dependency-groups =")
    assert [x for x in removed_lines(before, text) if x.strip() and not x.startswith(lists)] == [
        line for line in removed_lines(before, text) if line in {"# the end", "line-length = 99"}
    ]


@given(st.binary(max_size=60))
def test_any_text_is_edited_or_refused(data: bytes) -> None:
    with contextlib.suppress(SartorError):
        put(data.decode("utf-8", "replace"))
