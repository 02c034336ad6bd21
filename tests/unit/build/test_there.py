"""What an environment takes from its interpreter: its own key, and what `verify` passes over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from bundles import STACK
from sartor.build.model import Environment
from sartor.errors import BuildError
from sartor.paths import Places
from sartor.plan.model import environment_key
from sartor.verify import loads
from sartor.verify.model import Failed, Passed

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

UNMET = [
    "The package `vllm` requires `torch==2.11.0`, but it's not installed",
    "The package `vllm` requires `torchvision==0.26.0`, but it's not installed",
]


def outcome(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, there: dict[str, str]
) -> Failed | Passed:
    def run_uv(*_: object, **__: object) -> str:
        raise BuildError("found", found=UNMET)

    monkeypatch.setattr(loads, "run_uv", run_uv)
    stack = msgspec.structs.replace(STACK, there=there)
    environment = Environment("k", str(tmp_path), stack, {}, "lock", "now", "0")
    found = loads._resolves(environment, Places(tmp_path))
    assert isinstance(found, Failed | Passed)
    return found


def test_what_the_interpreter_has_is_not_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    both = {"torch": "2.11.0+cu130", "torchvision": "0.26.0"}
    assert isinstance(outcome(monkeypatch, tmp_path, both), Passed)
    one = outcome(monkeypatch, tmp_path, {"torch": "2.11.0+cu130"})
    assert isinstance(one, Failed)
    assert one.detail == UNMET[1]


def test_what_is_there_makes_another_environment() -> None:
    keys = {
        environment_key(msgspec.structs.replace(STACK, there=there))
        for there in ({}, {"torch": "2.11.0"}, {"torch": "2.11.0+cu130"})
    }
    assert len(keys) == 3
