"""A stack in somebody's pixi workspace, judged by the schema of pixi's manifest.

The schema is that of the schema store, as `validate-pyproject-schema-store` ships it; pixi itself
does not run here.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from functools import cache
from importlib import resources
from pathlib import PurePosixPath
from typing import Any

import jsonschema
import pytest
from msgspec.structs import replace

from locks import HOST, locking, package
from sartor.errors import OthersFileError, ProjectConflictError, ProjectFileError
from sartor.lock.into import addition
from sartor.lock.model import DEFAULT, LockedIndex, Locking, Source

HERE = PurePosixPath("/home/somebody/project")
STACK = locking(
    package("vllm", "0.32.0", "torch==2.11.0", "numpy<2"),
    package("torch", "2.11.0", index="maker"),
    package("numpy", "2.4.6"),
    package(
        "kernels",
        file=None,
        source=Source(repository="https://git.example/k", commit="a" * 40, subdirectory="py"),
    ),
    indexes=[
        LockedIndex(alias=DEFAULT, url="https://index.example/simple"),
        LockedIndex(alias="maker", url="https://maker.example/cu130"),
    ],
    leave_out=["nvidia-nvshmem"],
    env={"VLLM_X": "1"},
)
PIXI = """\
# Mine.
[workspace]
channels = ["conda-forge"]
name = "mine"
platforms = [ "linux-64",  "osx-arm64" ]  # both

[dependencies]
python = ">=3.11,<3.14"
cmake = "3.26.*"

[tasks]
build = "make"

[feature.docs.dependencies]
sphinx = "*"

[environments]
docs = ["docs"]
"""


@cache
def schema() -> Any:
    folder = resources.files("validate_pyproject_schema_store.resources")
    return json.loads((folder / "pixi.schema.json").read_text("utf-8"))


def judged(values: Any) -> Any:
    """Held against pixi's own schema, but for the link to another one that it has."""
    found = schema()
    jsonschema.Draft7Validator(found).validate(values)
    return values


def put(text: str, one: Locking = STACK, name: str = "pixi.toml", **more: Any) -> str:
    return addition(text, name, one, folder=HERE, **more).text


def test_what_is_added() -> None:
    text = put(PIXI)
    changes = difflib.ndiff(PIXI.splitlines(), text.splitlines())
    assert not [line for line in changes if line.startswith("-")]
    values = judged(tomllib.loads(text))
    assert values["environments"] == {"docs": ["docs"], "inference": ["inference"]}
    assert values["feature"]["inference"] == {
        "platforms": ["linux-64"],
        "dependencies": {"python": "3.12.*"},
        "pypi-dependencies": {
            "kernels": {"git": "https://git.example/k", "rev": "a" * 40, "subdirectory": "py"},
            "numpy": "==2.4.6",
            "torch": {"version": "==2.11.0", "index": "https://maker.example/cu130"},
            "vllm": "==0.32.0",
        },
        "pypi-options": {"dependency-overrides": {"numpy": "==2.4.6"}},
        "system-requirements": {"cuda": "13.0", "libc": {"family": "glibc", "version": "2.39"}},
        "activation": {"env": {"VLLM_X": "1"}},
    }
    assert put(text) == text


def test_the_schema_refuses_what_is_wrong() -> None:
    values = tomllib.loads(put(PIXI))
    values["feature"]["inference"]["system-requirements"]["glibc"] = "2.39"
    with pytest.raises(jsonschema.ValidationError):
        judged(values)


def test_what_pixi_cannot_say_is_noted() -> None:
    notes = addition(PIXI, "pixi.toml", STACK, folder=HERE).notes
    assert notes == [
        "pixi cannot leave a declared package out: it will have nvidia-nvshmem as well"
    ]


def test_a_plan_that_changed_keeps_what_the_user_added() -> None:
    text = put(PIXI).replace(
        "[feature.inference.dependencies]",
        '[feature.inference.tasks]\nserve = "vllm serve"\n\n[feature.inference.dependencies]',
    )
    other = locking(package("sglang", "0.5.23"), host=replace(HOST, glibc=None))
    feature = judged(tomllib.loads(put(text, other)))["feature"]["inference"]
    assert feature["tasks"] == {"serve": "vllm serve"}
    assert feature["pypi-dependencies"] == {"sglang": "==0.5.23"}
    assert feature["system-requirements"] == {"cuda": "13.0"}
    assert not feature["activation"]["env"]


def test_a_pyproject_of_pixis() -> None:
    text = (
        '[project]\nname = "mine"\nversion = "1"\n\n[tool.pixi.workspace]\n'
        'channels = ["conda-forge"]\nplatforms = ["linux-64"]\n'
    )
    after = put(text, name="pyproject.toml")
    assert after.startswith(text)
    values = tomllib.loads(after)
    assert "dependency-groups" not in values
    judged(values["tool"]["pixi"])
    assert values["tool"]["pixi"]["feature"]["inference"]["pypi-dependencies"]["vllm"]
    assert put(after, name="pyproject.toml") == after


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('python = ">=3.11,<3.14"', 'python = "3.11.*"', None),
        ('cmake = "3.26.*"', 'numpy = "1.26"', "[dependencies] numpy has `numpy==1.26.*`"),
        ('cmake = "3.26.*"', 'numpy = { version = "<2" }', "numpy<2"),
        ("[tasks]", '[pypi-dependencies]\ntorch = "==2.10"\n[tasks]', "torch==2.10"),
        ('"linux-64",', '"win-64",', None),
    ],
)
def test_workspaces_that_exclude_the_stack(before: str, after: str, said: str | None) -> None:
    with pytest.raises(ProjectConflictError) as raised:
        put(PIXI.replace(before, after))
    assert said is None or said in raised.value.found[0]


def test_workspaces_that_do_not() -> None:
    rich = PIXI.replace('"linux-64",', '{ name = "gpu", platform = "linux-64", cuda = "12" },')
    put(rich)
    found = addition(PIXI.replace('"3.26.*"', '">=3|<2"'), "pixi.toml", STACK, folder=HERE)
    assert found.notes[0] == "[dependencies] cmake: `>=3|<2` was not compared with the stack"


def test_what_others_made() -> None:
    text = PIXI.replace("docs", "inference")
    with pytest.raises(OthersFileError) as raised:
        put(text)
    assert raised.value.found == ["[feature] has a `inference`", "[environments] has a `inference`"]
    forced = tomllib.loads(put(text, force=True))["feature"]["inference"]["dependencies"]
    assert forced == {"sphinx": "*", "python": "3.12.*"}
    with pytest.raises(ProjectFileError, match="workspace"):
        put("")
