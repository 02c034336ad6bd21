"""What may be asked of the planner, and what is refused before anything is looked at."""

from __future__ import annotations

import pytest

from market import RELEASES, plan
from sartor.errors import UnknownEngineError, UsageError
from sartor.host.model import Host
from sartor.plan.known import Known
from sartor.plan.model import Rejected, Request
from sartor.plan.planner import plan as pure_plan

H100 = "h100, driver=580.95"


def test_an_unknown_engine() -> None:
    with pytest.raises(UnknownEngineError) as raised:
        plan(Host(), "vlm")
    assert "vllm" in str(raised.value.hint)


@pytest.mark.parametrize(
    "text", ["vllm==", "vllm@1", "vllm 0.33", "==", "vllm[audio]", "vllm; extra"]
)
def test_an_engine_with_a_version_that_is_none(text: str) -> None:
    with pytest.raises(UsageError):
        plan(Host(), text)


def test_an_unknown_build() -> None:
    with pytest.raises(UsageError) as raised:
        plan(Host(), build="natve")
    assert "native" in str(raised.value.hint)


@pytest.mark.parametrize("python", ["3", "", "banana", "2.7", "3.12.x"])
def test_a_python_that_is_none(python: str) -> None:
    with pytest.raises(UsageError, match="Python"):
        plan(Host(), python=python)


def test_a_pin_that_is_no_requirement() -> None:
    with pytest.raises(UsageError, match="--pin"):
        plan(Host(), pins=("torch=2",))


def test_nothing_is_asked_before_the_request_holds_together() -> None:
    with pytest.raises(UsageError):
        pure_plan(Host(), Request(pins=("?",)), None, Known())


def test_an_engine_that_was_not_asked_for_is_no_candidate() -> None:
    planned = plan("cpu-only, cpu=zen5", "vllm")
    assert {t.candidate.engine for t in planned.rejected} == {"vllm"}
    assert planned.stack
    assert planned.stack.engine == "vllm"


@pytest.mark.parametrize("version", RELEASES["vllm"][1:])
def test_a_version_that_was_asked_for(version: str) -> None:
    planned = plan("h100, driver=580.95", f"vllm=={version}")
    assert planned.stack
    assert planned.stack.version == version
    assert planned.rejected == []


def test_an_engine_that_sartor_does_not_start() -> None:
    planned = plan("h100, driver=580.95", "sglang")
    assert planned.stack
    assert planned.stack.version == "0.5.23"
    served = plan("h100, driver=580.95", "sglang", served=True)
    assert served.stack is None
    assert {r.rule for t in served.rejected for r in t.rejections} >= {"served"}


def test_nothing_that_fits_is_no_stack() -> None:
    """For Python 3.10 nothing is published, and llama.cpp can be compiled."""
    planned = plan(f"{H100}, python=3.10")
    assert planned.status == "needs-source"
    assert planned.stack is None
    assert planned.chosen is None
    assert planned.rejected
    assert any("--build native" in c for way in planned.alternatives for c in way.commands)
    compiled = plan(f"{H100}, python=3.10", build="native").stack
    assert compiled
    assert compiled.strategy == "source"
    without_room = plan(f"{H100}, python=3.10, disk=50M")
    assert (without_room.status, without_room.stack) == ("impossible", None)


def test_nothing_of_that_version() -> None:
    found = plan(H100, "vllm==9.9")
    assert found.status == "impossible"
    assert found.rejected == []


def test_a_build_that_was_asked_for() -> None:
    found = plan(H100, "llama.cpp", build="published-cuda-12.8")
    assert found.stack
    assert found.stack.line == "published-cuda-12.8"
    others = [t for t in found.rejected if t.candidate.line != "published-cuda-12.8"]
    assert all(isinstance(t.decisions[0], Rejected) for t in others)


def test_engines_of_one_plan_are_known() -> None:
    with pytest.raises(UsageError):
        plan(H100, "vllm", "nobody==")
