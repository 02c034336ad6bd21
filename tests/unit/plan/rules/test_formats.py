"""Which stored formats and dtypes are served on which GPU."""

from __future__ import annotations

import pytest

from sartor.models.model import Model
from sartor.models.shape import ModelShape, Quantization
from sartor.plan.decision import Accepted, Rejected, Unchecked
from sartor.plan.rules.formats import Stored, dtype, quantisation, stored


@pytest.mark.parametrize(
    ("engine", "version", "how", "capability", "outcome"),
    [
        ("vllm", "0.32.0", Stored("awq"), "7.5", Accepted),
        ("vllm", "0.19.1", Stored("awq"), "7.0", Rejected),
        ("vllm", "0.13.0", Stored("fp8"), "7.5", Rejected),
        ("vllm", "0.14.0", Stored("fp8"), "7.5", Accepted),
        ("vllm", "0.8.5", Stored("modelopt", "NVFP4"), "9.0", Rejected),
        ("vllm", "0.32.0", Stored("modelopt", "NVFP4"), "9.0", Accepted),
        ("vllm", "0.32.0", Stored("modelopt", "NVFP4"), "7.0", Rejected),
        ("vllm", "0.27.1", Stored("bitsandbytes"), "8.6", Accepted),
        ("vllm", "0.28.0", Stored("bitsandbytes"), "8.6", Rejected),
        ("vllm", "0.23.0", Stored("gguf"), "8.6", Accepted),
        ("vllm", "0.24.0", Stored("gguf"), "8.6", Rejected),
        ("vllm", "0.10.0", Stored("mxfp4"), "9.0", Rejected),
        ("vllm", "0.11.2", Stored("compressed-tensors", "W4A16"), "7.5", Rejected),
        ("vllm", "0.12.0", Stored("compressed-tensors", "W4A16"), "7.5", Accepted),
        ("sglang", "0.5.12", Stored("modelopt", "NVFP4"), "9.0", Rejected),
        ("sglang", "0.5.13", Stored("modelopt", "NVFP4"), "9.0", Accepted),
        ("llama.cpp", "2026.10.11549", Stored("gguf"), "6.1", Accepted),
        ("vllm", "0.99.0", Stored("awq"), "9.0", Unchecked),
        ("vllm", "0.32.0", Stored("something"), "9.0", Unchecked),
        ("vllm", "0.32.0", Stored("awq"), None, Unchecked),
        ("vllm", "0.32.0", None, "9.0", Unchecked),
    ],
)
def test_formats(
    engine: str, version: str, how: Stored | None, capability: str | None, outcome: type
) -> None:
    assert isinstance(quantisation(engine, version, how, capability), outcome)


def test_what_is_not_quantised_is_no_question() -> None:
    assert quantisation("vllm", "0.32.0", Stored(None), "7.0") is None


def test_a_method_of_several_formats_is_not_checked_where_they_disagree() -> None:
    how = Stored("compressed-tensors")
    assert isinstance(quantisation("vllm", "0.11.2", how, "7.5"), Unchecked)
    assert isinstance(quantisation("vllm", "0.11.2", how, "9.0"), Accepted)
    assert isinstance(quantisation("vllm", "0.11.2", how, "7.0"), Rejected)


def test_weights_alone_are_kept_in_a_format_that_the_gpu_does_not_compute_in() -> None:
    ampere = quantisation("vllm", "0.32.0", Stored("fp8"), "8.6")
    ada = quantisation("vllm", "0.32.0", Stored("fp8"), "8.9")
    assert isinstance(ampere, Accepted)
    assert isinstance(ada, Accepted)
    assert "only the weights" in ampere.found
    assert "only the weights" not in ada.found


def test_how_a_model_is_stored() -> None:
    plain = ModelShape("llama", [], 1, 1)
    awq = ModelShape("llama", [], 1, 1, quantization=Quantization("awq", 4.2))
    model = Model("m", "safetensors", "m")
    assert stored(model) is None
    assert stored(Model("m", "safetensors", "m", shape=plain)) == Stored(None)
    assert stored(Model("m", "safetensors", "m", shape=awq)) == Stored("awq")
    assert stored(Model("m", "gguf", "m", quantization="Q4_K_M")) == Stored("gguf", "Q4_K_M")


def test_bfloat16_before_ampere() -> None:
    turing = dtype("vllm", "0.32.0", "bfloat16", "7.5")
    assert isinstance(turing, Accepted)
    assert "float16 is taken instead" in turing.found
    refused = dtype("sglang", "0.5.23", "bfloat16", "7.5")
    assert isinstance(refused, Rejected)
    assert refused.hint is not None
    assert isinstance(dtype("vllm", "0.32.0", "bfloat16", "8.0"), Accepted)
    assert isinstance(dtype("vllm", "0.32.0", "float8", "8.0"), Unchecked)
    assert isinstance(dtype("vllm", "0.32.0", "bfloat16", None), Unchecked)
    assert dtype("vllm", "0.32.0", None, "8.0") is None
