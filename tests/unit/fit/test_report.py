"""Answers: verdicts, placements, and changes that help."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sartor.errors import UsageError
from sartor.fit.model import Asked, FitReport
from sartor.fit.report import Question, report
from sartor.host.describe import parse_host
from sartor.models.shape import ModelShape, sized
from sartor.models.shape_config import config_shape
from sartor.models.shape_text import EXAMPLE, text_shape
from sartor.plan.devices import devices
from sartor.report.fit import fit_lines

SHAPES = Path(__file__).parents[2] / "data" / "shapes"


def asked_of(
    shape: ModelShape | str, host: str, context: int = 4096, engine: str = "vllm", **more: object
) -> FitReport:
    if isinstance(shape, str):
        found = config_shape(json.loads((SHAPES / f"{shape}.json").read_text()))
        assert found is not None
        shape = found
    machine = parse_host(host)
    fraction = 0.9 if engine == "vllm" else 0.95
    asked = msgspec.convert({"context": context, "fraction": fraction, **more}, Asked)
    spread = "tensors" if engine == "vllm" else "layers"
    memory = machine.memory.total_bytes
    return report(
        msgspec.convert(
            {
                "model": "m",
                "shape": shape,
                "engine": engine,
                "spread": spread,
                "host": host,
                "devices": devices(machine),
                "asked": asked,
                "memory_bytes": memory,
            },
            Question,
        )
    )


def test_what_the_guide_says_of_qwq_on_an_rtx_5090_and_what_fails_on_24_gb() -> None:
    assert asked_of("qwq-32b-awq", "rtx-5090", 32768).verdict == "fits"
    small = asked_of("qwq-32b-awq", "rtx-4090", 32768)
    assert small.verdict == "does not fit"
    assert any("--context" in change.what for change in small.changes)
    assert asked_of("qwq-32b-awq", "2x rtx-4090", 32768).verdict == "fits"


def test_an_h200_holds_as_many_tokens_as_was_measured() -> None:
    found = asked_of("qwen2.5-7b", "h200", fraction=0.5, batched=16384, sequences=1024)
    assert found.chosen is not None
    assert found.chosen.tokens.likely == pytest.approx(996_752, rel=0.03)
    assert found.chosen.tokens.least <= 996_752 <= found.chosen.tokens.most


def test_a_change_that_is_offered_makes_it_fit() -> None:
    found = asked_of("llama-3.1-8b", "rtx-3060")
    assert found.verdict == "does not fit"
    kinds = {change.what for change in found.changes}
    assert {"8-bit weights (FP8)", "2 times as many of the GPUs"} & kinds
    fp8 = {"quantization_config": {"quant_method": "fp8"}}
    raw = json.loads((SHAPES / "llama-3.1-8b.json").read_text())
    smaller = config_shape({**raw, **fp8})
    assert smaller is not None
    assert asked_of(smaller, "rtx-3060").verdict in {"fits", "may fit"}


def test_a_mixture_is_spread_over_eight_gpus() -> None:
    found = asked_of("deepseek-v3", "8x h200", 32768)
    assert found.chosen is not None
    assert (found.verdict, found.chosen.tensor, found.chosen.pipeline) == ("fits", 8, 1)
    assert any(placement.expert for placement in found.placements)
    assert asked_of("deepseek-v3", "4x h200").verdict == "does not fit"


def test_llama_cpp_leaves_layers_in_main_memory() -> None:
    shape = config_shape(json.loads((SHAPES / "qwq-32b-awq.json").read_text()))
    assert shape is not None
    gguf = msgspec.structs.replace(shape, format="gguf")
    found = asked_of(gguf, "rtx-3060, ram=64G", engine="llama.cpp")
    assert found.chosen is not None
    assert found.chosen.on_gpu is not None
    assert 0 < found.chosen.on_gpu < len(gguf.layers)
    assert found.chosen.shares[-1].device is None


def test_mixed_gpus_are_tried_together() -> None:
    found = asked_of("qwq-32b-awq", "rtx-3090, rtx-3060", 8192)
    assert any(len({s.device.name for s in p.shares if s.device}) == 2 for p in found.placements)


def test_what_is_unknown_is_not_checked() -> None:
    assert asked_of("qwen2.5-7b", "cpu-only").verdict == "not checked"
    unknown = report(Question("m", None, "vllm", "tensors", "", [], Asked(1)))
    assert unknown.verdict == "not checked"
    assert unknown.not_checked
    alone = sized(8 << 30)
    assert alone is not None
    assert asked_of(alone, "rtx-4090").not_checked
    assert sized(None) is None


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(sorted(path.stem for path in SHAPES.glob("*.json"))),
    st.sampled_from(["rtx-4090", "2x rtx-3090", "h200", "rtx-3090, rtx-4090", "cpu-only, ram=64G"]),
    st.integers(1, 1 << 18),
    st.integers(1, 300),
    st.sampled_from(["auto", "fp8"]),
)
def test_bounds_are_in_order_and_more_never_takes_less(
    name: str, host: str, context: int, concurrency: int, cache_type: str
) -> None:
    found = asked_of(name, host, context, concurrency=concurrency, cache_type=cache_type)
    for placement in found.placements:
        for bound in [placement.tokens, placement.longest, placement.concurrency]:
            assert bound.least <= bound.likely <= bound.most
        for share in placement.shares:
            for part in share.parts:
                assert 0 <= part.bytes.least <= part.bytes.likely <= part.bytes.most
    more = asked_of(name, host, context, concurrency=concurrency + 1, cache_type=cache_type)
    for one, other in zip(found.placements, more.placements, strict=True):
        assert sum(s.needed.likely for s in one.shares) <= sum(
            s.needed.likely for s in other.shares
        )
    assert fit_lines(found)
    assert msgspec.json.decode(msgspec.json.encode(found), type=FitReport) == found


def test_a_few_numbers_are_a_shape() -> None:
    shape = text_shape(EXAMPLE)
    assert abs(shape.parameters / 7.6e9 - 1) < 0.01
    real = asked_of("qwen2.5-7b", "rtx-4090")
    stated = asked_of(shape, "rtx-4090")
    assert stated.kv_bytes_per_token == real.kv_bytes_per_token
    with pytest.raises(UsageError) as raised:
        text_shape("7.6B prams, 28 layers")
    assert len(raised.value.found) == 4
    assert "params" in raised.value.found[0]
