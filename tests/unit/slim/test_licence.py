from __future__ import annotations

import pytest

from sartor.slim.licence import Allowed, Forbidden, library_may_be_changed, may_be_changed


@pytest.mark.parametrize("name", ["nvidia-cublas", "nvidia_cudnn_cu12", "NVIDIA.nccl-cu13"])
def test_nvidias_own_libraries_are_refused_with_the_reason(name: str) -> None:
    decision = may_be_changed(name)
    assert isinstance(decision, Forbidden)
    assert "forbids" in decision.because
    assert decision.source.startswith("https://")


@pytest.mark.parametrize("name", ["torch", "vllm", "sglang-kernel", "not-nvidia-at-all"])
def test_others_are_not(name: str) -> None:
    assert may_be_changed(name) == Allowed()


@pytest.mark.parametrize(
    "path", ["torch/lib/libcudart-d0da41ae.so.11.0", "x.libs/libcufftw.so.11", "libcudnn_adv.so.9"]
)
def test_nvidias_libraries_whoever_carries_them(path: str) -> None:
    assert isinstance(library_may_be_changed(path), Forbidden)


@pytest.mark.parametrize(
    "path", ["torch/lib/libtorch_cuda.so", "libbitsandbytes_cuda128.so", "libnccl.so.2", "a.so"]
)
def test_other_libraries_are_not(path: str) -> None:
    assert library_may_be_changed(path) == Allowed()
