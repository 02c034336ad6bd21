"""What an environment takes from its interpreter: its own key, and what `verify` passes over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from bundles import STACK
from sartor.artifact.model import Package
from sartor.build.model import Environment
from sartor.plan.model import environment_key
from sartor.verify import kept
from sartor.verify.installed import Distribution
from sartor.verify.model import Failed
from sartor.verify.requirements import requirement_outcomes
from sartor.verify.subject import Subject

if TYPE_CHECKING:
    from pathlib import Path

MARKERS = {"python_version": "3.12", "platform_machine": "x86_64"}


def vllm(tmp_path: Path) -> Distribution:
    requires = ["torch==2.11.0", "torchvision==0.26.0"]
    package = Package(name="vllm", version="0.25.1", path="vllm.dist-info", requires=requires)
    return Distribution(info=tmp_path / "vllm.dist-info", site=tmp_path, package=package)


def failed(tmp_path: Path, packages: dict[str, str]) -> list[str]:
    """What is unmet in an environment that sees ``packages``, its interpreter's among them."""
    subject = Subject(
        path=tmp_path,
        python=tmp_path / "bin" / "python",
        python_version="3.12.1",
        site=[tmp_path],
        packages=packages,
        accelerator="cuda",
        markers=MARKERS,
    )
    found = requirement_outcomes(subject, [vllm(tmp_path)])
    return [line for o in found if isinstance(o, Failed) for line in o.detail.splitlines()]


def test_what_the_interpreter_has_is_not_missing(tmp_path: Path) -> None:
    both = {"torch": "2.11.0+cu130", "torchvision": "0.26.0"}
    assert failed(tmp_path, both) == []
    unmet = failed(tmp_path, {"torch": "2.11.0+cu130"})
    assert unmet == ["vllm 0.25.1 requires torchvision==0.26.0: it is not installed"]


@pytest.mark.parametrize(
    ("package", "check", "fatal"),
    [
        ("vllm", "requirements of vllm are met", True),
        ("torch", "requirements of torch are met", True),
        (None, "import torch", True),
        ("vllm", "files of vllm are as recorded", False),
        ("apt-clone", "requirements of apt-clone are met", False),
    ],
)
def test_what_the_stack_does_not_take_stops_no_server(
    tmp_path: Path, package: str | None, check: str, fatal: bool
) -> None:
    stack = msgspec.structs.replace(STACK, there={"torch": "2.11.0"})
    environment = Environment("k", str(tmp_path), stack, {"vllm": "0.25.1"}, "lock", "now", "0")
    failure = Failed(check=check, grade="resolves", package=package, detail="")
    assert kept._is_fatal(environment, failure) is fatal


def test_what_is_there_makes_another_environment() -> None:
    keys = {
        environment_key(msgspec.structs.replace(STACK, there=there))
        for there in ({}, {"torch": "2.11.0"}, {"torch": "2.11.0+cu130"})
    }
    assert len(keys) == 3
