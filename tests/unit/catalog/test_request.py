"""What the resolver is told: files and variables, and where secrets are."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from sartor.artifact.model import Package
from sartor.catalog.pylock import NoWheelError, resolution
from sartor.catalog.request import (
    UsedIndex,
    arguments,
    exact_version,
    overrides,
    project_file,
    variables,
)
from sartor.plan.known import IndexPin, Machine, ResolveQuestion

MACHINE = Machine("x86_64", "2.35", "3.12")
OWN = UsedIndex("own", "https://own.example/simple", default=True, seconds=600)
MADE = UsedIndex("pinned-0", 'https://made.example/"', projects=("torch", "vision"))


def ask(*requirements: str, **more: Any) -> ResolveQuestion:
    return ResolveQuestion(requirements, MACHINE, **more)


def told(question: ResolveQuestion, *tied: str, declared: list[Package] | None = None) -> Any:
    return tomllib.loads(project_file(question, [MADE, OWN], tied, declared or []))


def test_the_project_requires_what_is_asked_and_what_is_tied() -> None:
    file = told(ask("vllm==0.32.0", "Torch>=2"), "torch", "vision")
    assert file["project"]["dependencies"] == ["vllm==0.32.0", "Torch>=2", "vision"]
    assert file["tool"]["uv"]["sources"] == {
        "torch": {"index": "pinned-0"},
        "vision": {"index": "pinned-0"},
    }


def test_indexes_are_told_as_they_are() -> None:
    made, own = told(ask("vllm"))["tool"]["uv"]["index"]
    assert made == {"name": "pinned-0", "url": 'https://made.example/"', "explicit": True}
    age = "max-age=600"
    assert own["default"]
    assert own["cache-control"] == {"api": age, "files": age}


def test_secrets_are_variables() -> None:
    index = UsedIndex("pinned-0", "https://made.example", credentials=("me", "s3cret"))
    assert "s3cret" not in project_file(ask("a"), [index], [])
    found = variables([index])
    assert found == {"UV_INDEX_PINNED_0_USERNAME": "me", "UV_INDEX_PINNED_0_PASSWORD": "s3cret"}
    assert variables([OWN])["UV_DEFAULT_INDEX"] == ""


def test_what_is_declared_is_taken_for_granted() -> None:
    package = Package(
        name="a", version="1", path="", requires=['b; extra == "x"'], requires_python=">=3.9"
    )
    (found,) = told(ask("a==1"), declared=[package])["tool"]["uv"]["dependency-metadata"]
    assert found["requires-dist"] == ['b; extra == "x"']
    assert found["requires-python"] == ">=3.9"


def test_arguments() -> None:
    question = ask("a", as_of="2026-01-01T00:00:00Z", prereleases=True, from_source=("b",))
    text = " ".join(arguments(question))
    for part in (
        "--only-binary :all:",
        "--no-binary b",
        "--exclude-newer 2026-01-01T00:00:00Z",
        "--prerelease allow",
        "--python-version 3.12",
        "--python-platform x86_64-manylinux_2_35",
    ):
        assert part in text
    assert overrides(ask("a", leave_out=("b",))) == 'b; sys_platform == "never"\n'


@pytest.mark.parametrize(
    ("requirement", "version"),
    [
        ("A.b==1.2", "1.2"),
        ("a-b>=1", None),
        ("a-b==1.*", None),
        ("other==3", None),
        ("not one!", None),
    ],
)
def test_an_exact_version(requirement: str, version: str | None) -> None:
    assert exact_version(ask(requirement), "a-b") == version


LOCK = """# a comment with a path
lock-version = "1.0"
created-by = "uv"

[[packages]]
name = "alpha"
version = "1.0"
wheels = [
    { url = "https://x/alpha-1.0-cp312-cp312-manylinux_2_28_x86_64.whl", \
upload-time = 2026-01-02T05:04:05+02:00, size = 7, hashes = { sha256 = "aa" } },
    { url = "https://x/alpha-1.0-py3-none-any.whl", hashes = { sha256 = "bb" } },
]

[[packages]]
name = "beta"
version = "2.0"
archive = { path = "wheels/beta-2.0-py3-none-any.whl", hashes = { sha256 = "cc" } }
"""


def test_a_lock_is_the_files_that_a_machine_gets() -> None:
    pins = {"beta": IndexPin("made", ("beta",)).index}
    found = resolution(LOCK, MACHINE, lambda name: pins.get(name, "default"), lambda _: None)
    alpha, beta = found.packages
    assert (alpha.file.sha256, alpha.file.size, alpha.index) == ("aa", 7, "default")
    assert alpha.file.uploaded == "2026-01-02T03:04:05Z"
    assert (beta.file.name, beta.index) == ("beta-2.0-py3-none-any.whl", "made")
    assert not found.pylock.startswith("#")
    old = Machine("aarch64", "2.17", "3.12")
    assert resolution(LOCK, old, str, lambda _: None).packages[0].file.sha256 == "bb"
    with pytest.raises(NoWheelError, match="alpha"):
        resolution(LOCK.replace("py3-none-any", "py3-none-win32"), old, str, lambda _: None)
