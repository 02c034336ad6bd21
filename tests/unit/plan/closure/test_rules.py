"""The parts of judging a resolution that need none: its rules, and where files lie."""

from __future__ import annotations

import pytest

from sartor.plan.closure.members import placed
from sartor.plan.closure.rules import WANTED
from sartor.verdict.findings import RULES, code_of


def test_every_decision_about_a_finding_is_about_a_rule_that_exists() -> None:
    assert set(WANTED) <= {code_of(rule) for rule in RULES}


@pytest.mark.parametrize(
    ("inside", "outside"),
    [
        ("torch/lib/libtorch.so", "site/torch/lib/libtorch.so"),
        ("a-1.data/purelib/a/b.so", "site/a/b.so"),
        ("a-1.data/platlib/a/b.so", "site/a/b.so"),
        ("a-1.data/data/lib/b.so", "lib/b.so"),
        ("a-1.data/scripts/run", "bin/run"),
    ],
)
def test_files_lie_where_an_installer_puts_them(inside: str, outside: str) -> None:
    assert placed(inside, "site") == outside
