"""The reference of the engines' logits: its roundings, its files, and that its bound bites."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sartor_checks import logits, reference, tiny
from sartor_checks.logits import Answer
from sartor_checks.reference import Model, to_bfloat16, to_blocks_of_int8

from sartor.models.demo import write_demo_safetensors
from sartor.models.safetensors import read_folder

if TYPE_CHECKING:
    from pathlib import Path

TOKENS = logits.prompts(tiny.VOCABULARY)[1][:24]
SHA256 = {  # of model.safetensors, the first 16 digits
    "llama": "767f8dc11cb3352d",
    "mixtral": "12ef0183dd2e8c97",
    "deepseek": "2518cf1fc74f63fd",
}
Loaded = tuple[str, dict[str, Any], dict[str, Any]]


@pytest.fixture(scope="module", params=list(tiny.CONFIGS))
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    folder = tmp_path_factory.mktemp("models") / request.param
    return (request.param, *reference.read_model(tiny.write_model(request.param, str(folder))))


@pytest.fixture(scope="module")
def right(loaded: Loaded) -> tuple[Any, float]:
    """The log-probabilities, and how far bfloat16 moves them."""
    (exact,), moved = reference.exact_and_deviation(*loaded[1:], [TOKENS], "bfloat16")
    return exact, moved


@pytest.mark.parametrize(
    ("value", "nearest"),
    [
        (1.0, 1.0),
        (1 + 2**-8, 1.0),  # a tie goes to the even one
        (1 + 3 * 2**-8, 1 + 2**-6),
        (1 + 2**-8 + 2**-20, 1 + 2**-7),
        (-3.140625, -3.140625),
        (1e-40, 2.0**-133),
    ],
)
def test_bfloat16_is_rounded_to_the_nearest(value: float, nearest: float) -> None:
    assert to_bfloat16(np.array([value]))[0] == pytest.approx(nearest, rel=1e-4, abs=0)


def test_blocks_of_int8_move_no_item_further_than_half_a_step() -> None:
    values = np.random.default_rng(1).normal(size=(5, 96))
    values[2, 32:64] = 0
    steps = np.abs(values.reshape(5, 3, 32)).max(-1, keepdims=True) / 127
    moved = np.abs(to_blocks_of_int8(values) - values).reshape(5, 3, 32)
    assert (moved <= steps / 2 * (1 + 1e-12)).all()
    assert moved.max() > steps.min() / 4


def test_the_generated_files_are_the_same_everywhere(tmp_path: Path) -> None:
    found = {}
    for kind in tiny.CONFIGS:
        folder = tiny.write_model(kind, str(tmp_path / kind))
        data = (tmp_path / kind / "model.safetensors").read_bytes()
        found[kind] = hashlib.sha256(data).hexdigest()[:16]
        assert tiny.write_model(kind, folder) == folder
        read_folder(tmp_path / kind)
    assert found == SHA256


def test_the_demo_models_weights_are_read_as_they_were_written(tmp_path: Path) -> None:
    write_demo_safetensors(tmp_path / "demo")
    config, tensors = reference.read_model(str(tmp_path / "demo"))
    assert tensors["lm_head.weight"].shape == (config["vocab_size"], config["hidden_size"])
    assert set(np.unique(tensors["model.norm.weight"])) == {1.0}
    whole = tensors["model.layers.0.mlp.down_proj.weight"] * 2**11
    assert (whole == np.round(whole)).all()
    assert np.abs(whole).max() == 127


def test_no_rounding_changes_which_experts_are_best() -> None:
    apart = np.diff(np.sort(tiny.tags(), axis=-1), axis=-1)
    assert apart.min() == 0.5


def no_positions(config: dict[str, Any], tensors: dict[str, Any]) -> None:
    config["rope_theta"] = 1e30


def other_base(config: dict[str, Any], tensors: dict[str, Any]) -> None:
    config["rope_theta"] = 500000.0


def a_layer_less(config: dict[str, Any], tensors: dict[str, Any]) -> None:
    config["num_hidden_layers"] -= 1


def gates_and_ups_swapped(config: dict[str, Any], tensors: dict[str, Any]) -> None:
    names = [n for n in tensors if "layers.1." in n and ("gate_proj" in n or ".w1." in n)]
    for name in names:
        other = name.replace("gate_proj", "up_proj").replace(".w1.", ".w3.")
        tensors[name], tensors[other] = tensors[other], tensors[name]


def a_head_lost(config: dict[str, Any], tensors: dict[str, Any]) -> None:
    name = "model.layers.1.self_attn.o_proj.weight"
    tensors[name] = tensors[name].copy()
    tensors[name][:, :128] = 0


def heads_swapped(config: dict[str, Any], tensors: dict[str, Any]) -> None:
    name = "model.layers.0.self_attn.o_proj.weight"
    whole = tensors[name]
    tensors[name] = np.concatenate([whole[:, 128:256], whole[:, :128], whole[:, 256:]], 1)


def no_norm_weight(config: dict[str, Any], tensors: dict[str, Any]) -> None:
    tensors["model.norm.weight"] = np.ones_like(tensors["model.norm.weight"])


@pytest.mark.parametrize(
    "wrong",
    [
        no_positions,
        other_base,
        a_layer_less,
        gates_and_ups_swapped,
        a_head_lost,
        heads_swapped,
        no_norm_weight,
    ],
)
def test_what_is_wrong_breaks_the_bound_by_far(
    loaded: Loaded, right: tuple[Any, float], wrong: Any
) -> None:
    _, config, tensors = loaded
    exact, moved = right
    config, tensors = dict(config), dict(tensors)
    wrong(config, tensors)
    error = np.abs(Model(config, tensors).log_probabilities(TOKENS) - exact).max()
    assert error > 2 * logits.SLACK * moved


def test_causality_and_every_position_count(loaded: Loaded) -> None:
    _, config, tensors = loaded
    model = Model(config, tensors)
    whole, part = model.log_probabilities(TOKENS), model.log_probabilities(TOKENS[:9])
    assert np.abs(whole[:9] - part).max() < 1e-9
    assert np.abs(np.exp(whole).sum(-1) - 1).max() < 1e-9
    other = [TOKENS[1], TOKENS[0], *TOKENS[2:]]
    assert (np.abs(model.log_probabilities(other) - whole)[2:].max(-1) > 1e-4).all()


def answer(folder: str, dtype: str, chosen: int = 2) -> Answer:
    """What an engine says that rounds each step to ``dtype``, and takes the best token."""
    config, tensors = reference.read_model(folder)
    model = Model(config, tensors, reference.ROUNDINGS[dtype])
    tokens = list(TOKENS)
    for _ in range(chosen):
        tokens.append(int(model.log_probabilities(tokens)[-1].argmax()))
    return Answer(tokens, model.log_probabilities(tokens[:-1]), len(TOKENS))


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return tiny.write_model("llama", str(tmp_path / "llama"))


def test_an_engine_that_rounds_as_it_may_passes(folder: str, tmp_path: Path) -> None:
    said = answer(folder, "bfloat16")
    logits.keep(str(tmp_path), "one", [said])
    (kept,) = logits.kept(str(tmp_path), "one")
    result = logits.held_against(folder, [kept], "bfloat16")
    assert result.passed
    assert result.measure is not None
    assert 0 < result.measure.error <= result.measure.bound / 2
    assert result.measure.digest == logits.digest([said])


def test_one_that_rounds_more_than_it_says_fails(folder: str) -> None:
    assert not logits.held_against(folder, [answer(folder, "bfloat16")], "float16").passed


@pytest.mark.parametrize("spoiled", [np.nan, np.inf, 5.0])
def test_one_spoiled_number_fails(folder: str, spoiled: float) -> None:
    said = answer(folder, "bfloat16")
    said.rows[7, 13] = spoiled
    assert not logits.held_against(folder, [said], "bfloat16").passed


def test_a_token_that_is_not_the_best_fails(folder: str) -> None:
    said = answer(folder, "bfloat16")
    said.tokens[-1] = int(said.rows[-1].argsort()[-2])
    result = logits.held_against(folder, [said], "bfloat16")
    assert result.measure is not None
    assert result.measure.holds
    assert not result.passed
