"""Shapes against judges: transformers' own counts, and the caches that vLLM's own code plans.

The judges' answers are kept in `tests/data/judged_shapes.json`; `tests/heavy/test_fit_judges.py`
asks them again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sartor.fit.vllm_cache import CacheSettings, plan
from sartor.fit.weights import Slice, on_gpu, whole
from sartor.models.shape import Latent, ModelShape
from sartor.models.shape_config import config_shape

DATA = Path(__file__).parents[2] / "data"
SHAPES = sorted((DATA / "shapes").glob("*.json"))
JUDGED: dict[str, Any] = json.loads((DATA / "judged_shapes.json").read_text())


def shape_of(name: str) -> ModelShape:
    shape = config_shape(json.loads((DATA / "shapes" / f"{name}.json").read_text()))
    assert shape is not None
    return shape


def test_every_shape_was_judged() -> None:
    assert {path.stem for path in SHAPES} == set(JUDGED["parameters"])
    assert len(SHAPES) >= 12
    assert len({case["shape"] for case in JUDGED["cache"]}) >= 12


@pytest.mark.parametrize("name", sorted(JUDGED["parameters"]))
def test_parameters_are_those_of_the_model_class(name: str) -> None:
    counted, judged = shape_of(name).parameters, JUDGED["parameters"][name]
    assert abs(counted / judged - 1) < 0.001


@pytest.mark.parametrize("name", sorted(JUDGED["parameters"]))
def test_unquantised_weights_are_two_bytes_a_parameter(name: str) -> None:
    shape = msgspec.structs.replace(shape_of(name), quantization=None)
    assert abs(whole(shape).likely / (2 * JUDGED["parameters"][name]) - 1) < 0.01


@pytest.mark.parametrize("name", sorted(JUDGED["weights"]))
def test_quantised_weights_are_those_that_the_engine_makes(name: str) -> None:
    assert abs(whole(shape_of(name)).likely / JUDGED["weights"][name] - 1) < 0.01


@pytest.mark.parametrize("case", JUDGED["files"], ids=lambda c: c["shape"])
def test_weights_are_as_large_as_the_file_that_was_written(case: dict[str, Any]) -> None:
    shape = config_shape(case["config"])
    assert shape is not None
    assert abs(whole(shape).likely / case["bytes"] - 1) < 0.01


@pytest.mark.parametrize(
    "case", JUDGED["cache"], ids=lambda c: f"{c['shape']}-{c['tensor']}-{c['cache_type']}"
)
def test_the_cache_is_the_engine_s_own_to_the_token(case: dict[str, Any]) -> None:
    shape = shape_of(case["shape"])
    latent = any(isinstance(c, Latent) for layer in shape.layers for c in layer.caches)
    settings = CacheSettings(
        case["context"],
        batched=8192,
        block=16 if latent else 128,  # the CPU's blocks, but for latent attention
        item_bytes=1 if case["cache_type"] == "fp8" else 2,
        tensor=case["tensor"],
    )
    found = plan(shape, settings)
    blocks = found.blocks(case["available"])
    assert (blocks, found.tokens(blocks)) == (case["blocks"], case["tokens"])


@pytest.mark.parametrize(
    "case",
    [case for case in JUDGED["cache"] if "weights" in case],
    ids=lambda c: f"{c['shape']}-{c['tensor']}",
)
def test_one_gpu_s_weights_are_what_the_engine_makes_there(case: dict[str, Any]) -> None:
    shape = shape_of(case["shape"])
    if not case["shape"].endswith("-awq"):  # the others are judged unquantised
        shape = msgspec.structs.replace(shape, quantization=None)
    one = on_gpu(shape, Slice(range(len(shape.layers)), case["tensor"]))
    assert abs(one.likely / case["weights"] - 1) < 0.01


@pytest.mark.parametrize("name", sorted(JUDGED["parameters"]))
@pytest.mark.parametrize("tensor", [2, 4])
def test_slices_are_never_less_than_the_whole(name: str, tensor: int) -> None:
    shape = shape_of(name)
    one = on_gpu(shape, Slice(range(len(shape.layers)), tensor)).likely
    assert tensor * one >= whole(shape).likely * 0.999
    assert one < whole(shape).likely * 0.75
    halves = [
        on_gpu(shape, Slice(range(start, stop), first=start == 0, last=start != 0)).likely
        for start, stop in ((0, 8), (8, len(shape.layers)))
    ]
    assert sum(halves) >= whole(shape).likely * 0.999
