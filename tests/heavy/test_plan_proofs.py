"""The proofs of planning cases that read large libraries of published wheels."""

from __future__ import annotations

import pytest

from plan_cases import proofs
from plan_proven import faults

HEAVY = [name for name, proof in proofs().items() if proof.heavy]


@pytest.mark.parametrize("name", HEAVY)
def test_another_tool_says_so(name: str) -> None:
    assert faults(proofs()[name]) == []
