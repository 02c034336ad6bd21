"""What local files say of a model, and which of several is meant."""

from __future__ import annotations

import io
import json
import os
from typing import TYPE_CHECKING

import pytest

from sartor.errors import ModelInvalidError, ModelNotFoundError
from sartor.fit.model import Asked
from sartor.fit.report import token_bytes
from sartor.models.choice import choices, choose, missing_parts, offered, quant_of
from sartor.models.ggml import F32
from sartor.models.gguf import Value, ValueType, read_header
from sartor.models.gguf_writer import Tensor, array, gguf_bytes, scalar
from sartor.models.hub import Listing, folder_files, select
from sartor.models.hub_reference import HubReference, parse_hub_reference
from sartor.models.local import local_gguf
from sartor.models.model import ModelFile
from sartor.models.resolve import resolve
from sartor.models.safetensors import safetensors_bytes
from sartor.models.shape_config import config_shape
from sartor.models.shape_gguf import gguf_shape
from sartor.paths import Places
from sartor.reporter import Silent

if TYPE_CHECKING:
    from pathlib import Path

SHAPE: dict[str, int] = {
    "x.block_count": 4,
    "x.embedding_length": 64,
    "x.attention.head_count": 8,
    "x.context_length": 100,
    "x.vocab_size": 10,
}


def gguf(metadata: dict[str, Value] | None = None, **integers: int | list[int]) -> bytes:
    values = {"general.architecture": scalar(ValueType.STRING, "x")}
    for key, value in {**SHAPE, **integers}.items():
        values[key] = (
            scalar(ValueType.UINT32, value)
            if isinstance(value, int)
            else array(ValueType.UINT32, value)
        )
    return gguf_bytes({**values, **(metadata or {})}, [Tensor("t", (8,), F32, bytes(32))])


def kv(metadata: dict[str, Value] | None = None, **integers: int | list[int]) -> int | None:
    """Bytes of f16 cache for a token, over the layers that keep all; None where not known."""
    named = {f"x.attention.{key}": value for key, value in integers.items()}
    header = read_header(io.BytesIO(gguf(metadata, **named)), "x")
    shape = gguf_shape([header], None)
    return token_bytes(shape, Asked(1)) if shape else None


def test_a_chat_template_in_a_gguf_file(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(gguf())
    assert local_gguf(path, "x").chat_template is False
    path.write_bytes(gguf({"tokenizer.chat_template": scalar(ValueType.STRING, "{{ messages }}")}))
    assert local_gguf(path, "x").chat_template is True


def test_kv_bytes_from_a_gguf_header() -> None:
    assert kv() == 2 * 4 * 8 * 16
    assert kv(head_count_kv=2) == 2 * 4 * 2 * 16
    assert kv(head_count_kv=2, key_length=32, value_length=16) == 2 * 4 * 2 * 48
    assert kv(head_count_kv=[2, 0, 2, 0]) == 2 * 4 * 16
    assert kv(head_count_kv=[2, 0]) is None
    assert kv(kv_lora_rank=512) == 2 * 4 * 512
    assert kv(head_count_kv=0) == 0


def test_kv_bytes_with_a_sliding_window() -> None:
    assert kv(sliding_window=100) == 2 * 4 * 8 * 16
    assert kv(sliding_window=10, sliding_window_pattern=2) == 2 * 2 * 8 * 16
    pattern = {
        "x.attention.sliding_window_pattern": array(ValueType.BOOL, [True, True, True, False])
    }
    assert kv(pattern, sliding_window=10) == 2 * 1 * 8 * 16


def test_a_window_without_a_pattern_is_said_and_not_guessed() -> None:
    named: dict[str, int | list[int]] = {"x.attention.sliding_window": 10}
    shape = gguf_shape([read_header(io.BytesIO(gguf(None, **named)), "x")], None)
    assert shape is not None
    assert any("window" in line for line in shape.unknown)
    assert token_bytes(shape, Asked(1)) == 2 * 4 * 8 * 16


CONFIG: dict[str, object] = {
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "hidden_size": 64,
    "vocab_size": 10,
    "intermediate_size": 128,
    "max_position_embeddings": 100,
}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, 2 * 4 * 8 * 16),
        ({"num_key_value_heads": 2}, 2 * 4 * 2 * 16),
        ({"num_key_value_heads": 2, "head_dim": 32}, 2 * 4 * 2 * 64),
        (
            {"kv_lora_rank": 512, "qk_rope_head_dim": 64, "qk_nope_head_dim": 1, "v_head_dim": 1},
            2 * 4 * 576,
        ),
        ({"kv_lora_rank": 512, "qk_rope_head_dim": 64}, None),
        ({"sliding_window": 10}, 0),
        ({"sliding_window": None}, 2 * 4 * 8 * 16),
        ({"sliding_window": 10, "use_sliding_window": False}, 2 * 4 * 8 * 16),
        (
            {"sliding_window": 9, "layer_types": ["full_attention", "sliding_attention"] * 2},
            2 * 2 * 8 * 16,
        ),
        ({"layer_types": ["linear_attention"] * 4}, None),
        ({"num_hidden_layers": "many"}, None),
        ({"num_hidden_layers": 1 << 40}, None),
        ({"num_attention_heads": None}, None),
        ({"vocab_size": None}, None),
    ],
)
def test_kv_bytes_from_a_configuration(more: dict[str, object], expected: int | None) -> None:
    shape = config_shape({**CONFIG, **more})
    assert (token_bytes(shape, Asked(1)) if shape else None) == expected


def file(name: str, size: int = 1) -> ModelFile:
    return ModelFile(name, size)


@pytest.mark.parametrize(
    ("name", "quant"),
    [
        ("Qwen3-0.6B-Q4_K_M.gguf", "Q4_K_M"),
        ("model.q8_0.gguf", "Q8_0"),
        ("a/BF16/Model-BF16-00001-of-00002.gguf", "BF16"),
        ("Model-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"),
        ("gpt-oss-20b-mxfp4.gguf", "MXFP4"),
        ("Model-IQ2_XXS.gguf", "IQ2_XXS"),
        ("model.gguf", None),
        ("Qwen3.gguf", None),
    ],
)
def test_the_quantization_is_in_the_name(name: str, quant: str | None) -> None:
    assert quant_of(name) == quant


def test_without_a_tag_the_order_decides() -> None:
    def chosen(*names: str) -> str | None:
        files = [file(name, len(names) - i) for i, name in enumerate(names)]
        choice = choose(choices(files), None)
        return choice.files[0].name if choice else None

    assert chosen("m-Q2_K.gguf", "m-Q8_0.gguf", "m-Q4_K_M.gguf") == "m-Q4_K_M.gguf"
    assert chosen("m-F16.gguf", "m-Q8_0.gguf") == "m-Q8_0.gguf"
    assert chosen("m-F32.gguf", "m-IQ1_S.gguf") == "m-IQ1_S.gguf"
    assert chosen("mmproj-m-Q8_0.gguf", "m-F16.gguf", "imatrix.gguf") == "m-F16.gguf"
    assert chosen("README.md") is None


def test_a_tag_is_found_in_any_case_and_place() -> None:
    among = choices([file("m-Q4_K_M.gguf"), file("Q8/m-special-v2.gguf"), file("m-UD-Q4_K_M.gguf")])
    assert offered(among) == ["Q4_K_M", "UD-Q4_K_M"]
    for tag, name in {
        "q4_k_m": "m-Q4_K_M",
        "UD-Q4_K_M": "m-UD-Q4_K_M",
        "special": "Q8/m-special-v2",
    }.items():
        chosen = choose(among, tag)
        assert chosen is not None
        assert chosen.files[0].name == f"{name}.gguf"
    assert choose(among, "Q4") is None


def test_parts_belong_together() -> None:
    parts = [f"a/m-Q8_0-0000{i}-of-00003.gguf" for i in (1, 2, 3)]
    (whole,) = choices([file(name, 5) for name in reversed(parts)])
    assert [f.name for f in whole.files] == parts
    assert (whole.size_bytes, missing_parts(whole)) == (15, [])
    (short,) = choices([file(parts[0]), file(parts[2])])
    assert missing_parts(short) == [parts[1]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("org/name", HubReference("org/name")),
        ("org/name:Q4_K_M", HubReference("org/name", "Q4_K_M")),
        ("org/name/a/b.gguf", HubReference("org/name", file="a/b.gguf")),
        ("hf.co/org/name:Q8_0", HubReference("org/name", "Q8_0")),
        ("https://huggingface.co/org/name/", HubReference("org/name")),
        (
            "https://huggingface.co/org/name/blob/main/x.gguf",
            HubReference("org/name", file="x.gguf"),
        ),
        ("name", None),
        ("folder/model.gguf", None),
        ("./org/name", None),
        ("/org/name", None),
        ("org/name/file.bin", None),
        ("org/name/../../x.gguf", None),
        ("org/na me", None),
        ("", None),
    ],
)
def test_hub_names_are_recognised(text: str, expected: HubReference | None) -> None:
    assert parse_hub_reference(text) == expected


LISTING = Listing(
    "org/both",
    "0" * 40,
    [
        file("config.json"),
        file("model.safetensors", 100),
        file("consolidated.safetensors", 100),
        file("onnx/model.safetensors", 100),
        file("tokenizer.json"),
        file("README.md"),
        file("b-Q4_K_M.gguf", 30),
    ],
)


def test_a_repository_of_both_formats_follows_the_engine() -> None:
    wanted = HubReference("org/both")
    assert select(LISTING, wanted, None).format == "gguf"
    folder = select(LISTING, wanted, "safetensors")
    assert [f.name for f in folder.files] == ["config.json", "model.safetensors", "tokenizer.json"]
    tagged = HubReference("org/both", "Q4_K_M")
    assert select(LISTING, tagged, "safetensors").format == "gguf"


def test_weights_without_a_configuration_are_no_folder() -> None:
    assert folder_files([file("model.safetensors")]) == []
    assert folder_files([file("config.json")]) == []


def test_a_split_without_all_parts_is_refused() -> None:
    listing = Listing("o/n", "0", [file("m-Q8_0-00001-of-00002.gguf")])
    with pytest.raises(ModelInvalidError):
        select(listing, HubReference("o/n"), None)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "sartor")


def test_a_local_file_is_the_model(tmp_path: Path, places: Places) -> None:
    path = tmp_path / "tiny.gguf"
    path.write_bytes(gguf())
    model = resolve(str(path), places, Silent())
    assert (model.path, model.name, model.quantization) == (str(path), "tiny", "F32")
    assert model.size_bytes == len(gguf())


def test_a_relative_path_becomes_absolute(
    tmp_path: Path, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tiny.gguf").write_bytes(gguf())
    monkeypatch.chdir(tmp_path)
    assert resolve("tiny.gguf", places, Silent()).path == str(tmp_path / "tiny.gguf")


def test_any_part_stands_for_all(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        (tmp_path / f"m-0000{number}-of-00003.gguf").write_bytes(gguf())
    model = local_gguf(tmp_path / "m-00002-of-00003.gguf", "m")
    assert model.path == str(tmp_path / "m-00001-of-00003.gguf")
    assert (model.name, len(model.files)) == ("m", 3)
    assert model.size_bytes == 3 * len(gguf())
    (tmp_path / "m-00003-of-00003.gguf").unlink()
    with pytest.raises(ModelInvalidError, match="1 of its 3"):
        local_gguf(tmp_path / "m-00001-of-00003.gguf", "m")


def test_a_folder_of_gguf_files_gives_the_preferred_one(tmp_path: Path, places: Places) -> None:
    for quant in ("Q2_K", "Q8_0", "F16"):
        (tmp_path / f"m-{quant}.gguf").write_bytes(gguf())
    assert resolve(str(tmp_path), places, Silent()).name == "m-Q8_0"


def test_a_safetensors_file_stands_for_its_folder(tmp_path: Path, places: Places) -> None:
    config = {**CONFIG, "architectures": ["LlamaForCausalLM"], "torch_dtype": "float16"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    weights = safetensors_bytes({"a": ("BF16", (4,), bytes(8))})
    (tmp_path / "model.safetensors").write_bytes(weights)
    for reference in (tmp_path, tmp_path / "model.safetensors"):
        model = resolve(str(reference), places, Silent())
        assert (model.path, model.format) == (str(tmp_path), "safetensors")
        assert (model.size_bytes, model.quantization) == (len(weights), "BF16")
        assert (model.block_count, model.context_length) == (4, 100)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"<html>", "web page"),
        (gguf()[:-9], "truncated"),
        (b"\x80\x02", "pickle"),
    ],
)
def test_a_file_that_is_no_model_is_refused(
    tmp_path: Path, places: Places, content: bytes, says: str
) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelInvalidError, match=says):
        resolve(str(path), places, Silent())


def test_a_wrong_name_offers_the_closest(tmp_path: Path, places: Places) -> None:
    (tmp_path / "llama-3.gguf").write_bytes(b"")
    with pytest.raises(ModelNotFoundError) as caught:
        resolve(str(tmp_path / "lama-3.gguf"), places, Silent())
    assert "llama-3.gguf" in (caught.value.hint or "")


def test_a_folder_of_both_follows_the_engine(tmp_path: Path, places: Places) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "m-Q8_0.gguf").write_bytes(gguf())
    assert resolve(str(tmp_path), places, Silent(), "safetensors").format == "gguf"
    weights = safetensors_bytes({"a": ("BF16", (4,), bytes(8))})
    (tmp_path / "model.safetensors").write_bytes(weights)
    assert resolve(str(tmp_path), places, Silent()).format == "gguf"
    assert resolve(str(tmp_path), places, Silent(), "safetensors").format == "safetensors"


def test_an_empty_folder_holds_no_model(tmp_path: Path, places: Places) -> None:
    with pytest.raises(ModelNotFoundError, match="holds no model"):
        resolve(str(tmp_path), places, Silent())


def test_what_is_no_regular_file_is_not_opened(tmp_path: Path, places: Places) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")
    with pytest.raises(ModelInvalidError, match="regular file"):
        resolve(str(tmp_path / "pipe.gguf"), places, Silent())


def test_a_link_to_nothing_says_so(tmp_path: Path, places: Places) -> None:
    (tmp_path / "m.gguf").symlink_to(tmp_path / "gone")
    with pytest.raises(ModelNotFoundError, match="is a link"):
        resolve(str(tmp_path / "m.gguf"), places, Silent())


def test_a_name_that_no_file_can_have(places: Places) -> None:
    with pytest.raises(ModelInvalidError, match="cannot be read"):
        resolve("x" * 5000, places, Silent())


def test_a_vocabulary_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "v.gguf").write_bytes(gguf_bytes({}, []))
    with pytest.raises(ModelInvalidError, match="no weights"):
        local_gguf(tmp_path / "v.gguf", "v")


@pytest.mark.parametrize("reference", ["x.gguf", "./org/name", "/nowhere/at/all", "word", ""])
def test_what_can_be_no_hub_name_is_not_asked_for(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ModelNotFoundError, ModelInvalidError)) as caught:
        resolve(reference, places, Silent())
    assert caught.value.hint


def test_a_path_below_a_folder_that_is_there_is_no_hub_name(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models" / "a").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelNotFoundError):
        resolve("models/a/b.gguf", places, Silent())
