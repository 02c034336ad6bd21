"""Device code of published wheels: what is read equals what NVIDIA's and other tools print.

A wheel for each kind of library: the newest engines', the largest, one with units that the judge
refuses. The others are judged in `tests/heavy/test_device_code.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from judged_device_code import REFUSED, judged

if TYPE_CHECKING:
    from judged_device_code import Found

WHEELS = {
    "vllm==0.32.0": (13, 1137),
    "sglang-kernel==0.4.10": (6, 1725),
    "torch==2.11.0": (13, 3316),
    "bitsandbytes==0.50.2": (16, 392),
}
"""With their libraries and images: both sides of a comparison may not be empty."""


@pytest.fixture(scope="module", params=list(WHEELS))
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Found:
    """Everything is looked at on one way through the wheel."""
    return judged(request.param, tmp_path_factory.mktemp("library"))


def test_every_image_is_counted_as_cuobjdump_lists_them(found: Found) -> None:
    assert found.differ["listed"] == []
    assert (found.libraries, found.images) == WHEELS[found.requirement]


def test_every_header_says_what_cuobjdump_says(found: Found) -> None:
    assert found.differ["shown"] == []
    assert found.not_read == []
    assert found.refused == {p: n for p, n in REFUSED.items() if p in found.refused}


def test_the_kernels_of_sampled_units_are_those_of_cuobjdump(found: Found) -> None:
    assert found.differ["kernels"] == []
    assert found.kernels > 0


def test_suffixes_are_those_that_ptxas_noted(found: Found) -> None:
    assert found.differ["notes"] == []


def test_a_stream_out_of_the_wheel_reads_like_the_file(found: Found) -> None:
    assert found.differ["streamed"] == []
    assert found.passes <= 3
