"""Which changes make a committed result older than the code that it proves."""

from __future__ import annotations

import pytest

from project_tools import load

changed_among = load("stale_results").changed_among
PROVED = ["src/plan", "src/run.toml"]


@pytest.mark.parametrize(
    ("diff", "changed"),
    [
        ("", []),
        ("M\0src/plan/a.py\0", ["src/plan/a.py"]),
        ("A\0src/plan/a.py\0D\0src/run.toml\0", ["src/plan/a.py", "src/run.toml"]),
        ("M\0src/planner.py\0M\0src/run.toml.md\0M\0plan\0", []),
        ("R100\0src/plan/a.py\0src/plan/b/a.py\0", []),
        ("R100\0src/plan/a.py\0src/a.py\0M\0src/plan/c.py\0", ["src/plan/c.py"]),
        ("R099\0src/plan/a.py\0src/a.py\0", ["src/a.py"]),
        ("R099\0src/a.py\0src/plan/a.py\0", ["src/plan/a.py"]),
    ],
)
def test_a_move_alone_is_no_change_and_nothing_else_is_missed(
    diff: str, changed: list[str]
) -> None:
    assert changed_among(diff, PROVED) == changed
