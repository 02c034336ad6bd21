from __future__ import annotations

import pytest

from sartor.slim.licence import Allowed, Forbidden, may_be_changed


@pytest.mark.parametrize("name", ["nvidia-cublas", "nvidia_cudnn_cu12", "NVIDIA.nccl-cu13"])
def test_nvidias_own_libraries_are_refused_with_the_reason(name: str) -> None:
    decision = may_be_changed(name)
    assert isinstance(decision, Forbidden)
    assert "forbids" in decision.because
    assert decision.source.startswith("https://")


@pytest.mark.parametrize("name", ["torch", "vllm", "sglang-kernel", "not-nvidia-at-all"])
def test_others_are_not(name: str) -> None:
    assert may_be_changed(name) == Allowed()
