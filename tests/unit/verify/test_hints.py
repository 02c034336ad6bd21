"""The ways out of failures that people meet most."""

from __future__ import annotations

import signal

import pytest

from sartor.verify.hints import hint_for

NO_IMAGE = """
  File "torch_launch.py", line 87, in pointwise
torch.AcceleratorError: CUDA error: no kernel image is available for execution on the device
"""


@pytest.mark.parametrize(
    ("words", "status", "way"),
    [
        (NO_IMAGE, None, "`sartor inspect`"),
        ("CUDA driver version is insufficient for CUDA runtime version", 1, "newer driver"),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", 1, "nvidia-smi"),
        ("libnuma.so.1: cannot open shared object file: No such file", 1, "`libnuma.so.1`"),
        ("", -signal.SIGILL, "--build native"),
        ("", -signal.SIGKILL, "dmesg"),
    ],
)
def test_the_way_out(words: str, status: int | None, way: str) -> None:
    assert way in (hint_for(words, status) or "")


def test_of_what_is_not_known_nothing_is_said() -> None:
    assert hint_for("ValueError: 7", 1) is None
