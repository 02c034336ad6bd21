"""Device code of more published wheels, older ones among them, against the same judges as in CI."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from judged_device_code import judged

if TYPE_CHECKING:
    from pathlib import Path

WHEELS = {
    "vllm==0.25.1": (16, 912),
    "sgl-kernel==0.3.9.post2": (11, 1013),
    "sgl-kernel==0.3.21": (13, 1502),
    "torch==2.8.0": (13, 3614),
}
"""With their libraries and images: both sides of a comparison may not be empty."""


@pytest.mark.parametrize("requirement", WHEELS)
def test_all_that_is_read_is_what_the_judges_say(requirement: str, tmp_path: Path) -> None:
    found = judged(requirement, tmp_path)
    assert (found.libraries, found.images) == WHEELS[requirement]
    assert {check: differ for check, differ in found.differ.items() if differ} == {}
    assert found.not_read == []
    assert found.refused == {}
    assert found.kernels > 0
    assert found.passes <= 3
