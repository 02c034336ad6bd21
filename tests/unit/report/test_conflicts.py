"""Conflicts in a terminal."""

from __future__ import annotations

from sartor.plan.outcome import Conflict, Found, Premise
from sartor.report.conflicts import conflict_lines

TORCH = Conflict(
    premises=[
        Premise("torch==2.9.0", ["torch==2.9.0"]),
        Premise("torch==2.13.0", ["vllm==0.32.0", "torch==2.13.0"], "vllm-0.32.0.whl"),
    ],
    because=[
        "The request asks for torch==2.9.0.",
        "vllm 0.32.0 requires torch==2.13.0 (vllm-0.32.0.whl).",
        "No version of torch is both.",
    ],
    about="torch",
    checked_by="uv",
)


def test_each_has_its_derivation_and_the_end_says_that_they_are_all() -> None:
    assert conflict_lines(Found([TORCH], complete=True)) == [
        "conflict 1: torch: torch==2.9.0, torch==2.13.0",
        "  The request asks for torch==2.9.0.",
        "  vllm 0.32.0 requires torch==2.13.0 (vllm-0.32.0.whl).",
        "  No version of torch is both.",
        "  uv says the same, and has a solution without any one of these.",
        "",
        "this is the only conflict",
    ]


def test_what_was_not_looked_at_is_said() -> None:
    lines = conflict_lines(Found([], complete=False, not_looked_at=["time was over"]))
    assert lines == ["no conflict was found", "not looked at: time was over"]
