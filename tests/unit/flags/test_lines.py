"""Forty command lines against the releases that are shipped."""

from __future__ import annotations

import pytest

from flags_lines import Case, cases
from sartor.flags.actions import Checking, checked
from sartor.flags.fetch import Flags
from sartor.reporter import Silent


@pytest.mark.parametrize("case", cases(), ids=lambda c: f"{c.engine} {c.command[:60]}")
def test_a_command_line_is_judged(case: Case) -> None:
    with Flags(None, Silent()) as flags:
        found = checked(flags, Checking(case.command, case.engine))
    assert {f.flag: f.state for f in found.wrong} == case.wrong
    for finding in found.wrong[:1]:
        if case.since:
            assert finding.since == case.since
        if case.replacement:
            assert finding.replacement == case.replacement
        if case.closest:
            assert case.closest in finding.closest
        if case.because:
            assert case.because in (finding.because or "")


def test_there_are_forty_of_them() -> None:
    assert len(cases()) >= 40
