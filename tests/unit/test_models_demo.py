"""The demo model: the same everywhere, whole or not there, small and quick."""

from __future__ import annotations

import json
import os
import struct
import time
from typing import TYPE_CHECKING, Literal

import msgspec
import pytest
from tokenizers import Tokenizer

from sartor.errors import DiskFullError
from sartor.fit.model import Asked
from sartor.fit.report import token_bytes
from sartor.models import demo, demo_tokenizer
from sartor.models.demo import demo_gguf, demo_safetensors, write_demo_safetensors
from sartor.models.demo_weights import DEMO_SHAPE, Matrix, demo_weights, gguf_items
from sartor.models.gguf import GgufHeader, read_gguf
from sartor.models.model import Model
from sartor.models.resolve import resolve
from sartor.models.safetensors import read_folder, read_safetensors
from sartor.paths import Places
from sartor.reporter import Reporter, Silent

if TYPE_CHECKING:
    from pathlib import Path


class Listening(Reporter):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path)


def test_no_reference_is_the_demo_model(places: Places) -> None:
    model = resolve(None, places, Silent())
    assert (model.reference, model.demo, model.format) == ("demo", True, "gguf")
    assert (model.architecture, model.context_length, model.block_count) == ("llama", 2048, 4)
    assert model.quantization == "Q8_0"
    assert model == resolve("demo", places, Silent())


def test_both_formats_hold_the_same_model(places: Places) -> None:
    gguf = resolve(None, places, Silent(), "gguf")
    folder = resolve(None, places, Silent(), "safetensors")
    assert gguf.shape is not None
    assert folder.shape is not None
    for shape in (gguf.shape, folder.shape):
        assert token_bytes(shape, Asked(1)) == 2 * 4 * 2 * (64 + 64)
    assert abs(gguf.shape.parameters / folder.shape.parameters - 1) < 0.001
    assert (gguf.context_length, gguf.block_count) == (folder.context_length, folder.block_count)
    assert (folder.architecture, folder.quantization) == ("LlamaForCausalLM", "BF16")
    assert gguf.name == folder.name == "sartor-demo"


def test_a_model_is_data(places: Places) -> None:
    model = resolve(None, places, Silent())
    assert msgspec.json.decode(msgspec.json.encode(model), type=Model) == model
    assert json.loads(msgspec.json.encode(model))["schema"] == "sartor.model/1"


@pytest.mark.parametrize("form", ["gguf", "safetensors"])
def test_the_shape_has_the_weights_that_the_headers_state(
    places: Places, form: Literal["gguf", "safetensors"]
) -> None:
    model = resolve(None, places, Silent(), form)
    assert model.shape is not None
    assert model.shape.weights is not None
    size = model.size_bytes or 0
    assert 0 <= size - model.shape.weights.total < 0.05 * size  # header and tokenizer


def test_it_is_made_once_and_quickly(places: Places) -> None:
    told = Listening()
    started = time.perf_counter()
    path = demo_gguf(places, told)
    assert time.perf_counter() - started < 1
    assert 3_000_000 < path.stat().st_size < 6_000_000
    stamp = path.stat().st_mtime_ns
    assert demo_gguf(places, told) == path
    assert path.stat().st_mtime_ns == stamp
    assert len(told.notes) == 1


def test_it_is_the_same_everywhere(places: Places, tmp_path: Path) -> None:
    other = Places(tmp_path / "other")
    first, second = demo_gguf(places, Silent()), demo_gguf(other, Silent())
    assert first.name == second.name
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("left", [b"", b"GGUF", b"<html>"])
def test_a_damaged_copy_is_made_anew(places: Places, left: bytes) -> None:
    path = demo_gguf(places, Silent())
    path.write_bytes(left)
    read_gguf(demo_gguf(places, Silent()))
    folder = demo_safetensors(places, Silent())
    (folder / "model.safetensors").write_bytes(left)
    read_folder(demo_safetensors(places, Silent()))


def test_a_generation_that_fails_leaves_nothing(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(DiskFullError):
        demo_gguf(places, Silent())
    monkeypatch.setattr("pathlib.Path.rename", full)
    with pytest.raises(DiskFullError):
        demo_safetensors(places, Silent())
    assert list(places.models.iterdir()) == []


def test_what_a_killed_generation_left_is_swept(places: Places) -> None:
    places.models.mkdir()
    old, new = places.models / ".sartor-demo-1.x", places.models / ".sartor-demo-2.x"
    folder = places.models / ".sartor-demo-3.x"
    for path in (old, new):
        path.write_bytes(b"half")
    folder.mkdir()
    for path in (old, folder):
        os.utime(path, (1, 1))
    demo_gguf(places, Silent())
    assert not old.exists()
    assert not folder.exists()
    assert new.exists()


def test_a_folder_that_is_there_is_left(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("x")
    write_demo_safetensors(tmp_path / "mine")
    assert [entry.name for entry in (tmp_path / "mine").iterdir()] == ["file"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["mine"]


def test_the_key_changes_with_what_it_is_made_from(monkeypatch: pytest.MonkeyPatch) -> None:
    key = demo.demo_key()
    assert key == demo.demo_key()
    monkeypatch.setattr(demo_tokenizer, "CHAT_TEMPLATE", "other")
    assert demo.demo_key() != key


@pytest.fixture(scope="module")
def header(tmp_path_factory: pytest.TempPathFactory) -> GgufHeader:
    places = Places(tmp_path_factory.mktemp("demo"))
    return read_gguf(demo_gguf(places, Silent()), keep_items=1 << 20)


def test_the_tokens_are_those_of_the_trained_tokenizer(header: GgufHeader) -> None:
    judge = Tokenizer.from_file(str(demo_tokenizer.FILE))
    tokens = header.items("tokenizer.ggml.tokens")
    assert tokens is not None
    assert [judge.id_to_token(number) for number in range(len(tokens))] == list(tokens)
    assert judge.get_vocab_size() == len(tokens)
    control = [number for number, kind in enumerate(tokens_types(header)) if kind == 3]
    assert control == sorted(judge.get_added_tokens_decoder())
    assert tokens[header.integer("tokenizer.ggml.eos_token_id") or -1] == "<|eos|>"


def tokens_types(header: GgufHeader) -> tuple[object, ...]:
    return header.items("tokenizer.ggml.token_type") or ()


@pytest.mark.parametrize(
    "text", ["Hello, world", "naïve café", "日本語 🎉👩‍👩‍👧", "\t\n\r\0", "<|user|>"]
)
def test_every_text_can_be_written(text: str) -> None:
    judge = Tokenizer.from_file(str(demo_tokenizer.FILE))
    assert judge.decode(judge.encode(text).ids, skip_special_tokens=False) == text


def test_what_cannot_be_shown_is_not_spoken() -> None:
    tokenizer = demo_tokenizer.demo_tokenizer()
    spoken = [t for t, said in zip(tokenizer.tokens, tokenizer.speakable(), strict=True) if said]
    assert len(spoken) > 1500
    assert not set(spoken) & set(tokenizer.special)
    judge = Tokenizer.from_file(str(demo_tokenizer.FILE))
    numbers = [judge.token_to_id(token) for token in spoken]
    said = judge.decode([number for number in numbers if number is not None])
    assert {character for character in said if not character.isprintable()} <= {"\n"}
    assert said.isascii()


def test_the_weights_of_both_formats_are_equal(tmp_path: Path, header: GgufHeader) -> None:
    write_demo_safetensors(tmp_path / "folder")
    entries = read_safetensors(tmp_path / "folder" / "model.safetensors")
    data = (tmp_path / "folder" / "model.safetensors").read_bytes()
    speakable = demo_tokenizer.demo_tokenizer().speakable()
    for weight in demo_weights(DEMO_SHAPE, speakable):
        entry = entries.tensors[weight.name]
        begin = entries.data_offset + entry.data_offsets[0]
        for index in (0, 77, 200):
            half = data[begin + 2 * index : begin + 2 * index + 2]
            number = struct.unpack("<f", b"\0\0" + half)[0]
            assert number == (value_of(weight, index) if isinstance(weight, Matrix) else 1.0)
    names = [weight.gguf_name for weight in demo_weights(DEMO_SHAPE, speakable)]
    assert [tensor.name for tensor in header.tensors] == names


def value_of(matrix: Matrix, index: int) -> float:
    byte = matrix.items[index]
    return float((byte - 256 if byte > 127 else byte) * 2.0**-matrix.exponent)


def test_rotated_rows_are_brought_side_by_side() -> None:
    rows = bytes(range(8))
    assert gguf_items(Matrix("a", "b", 8, 1, 0, rows, 2)) == bytes([0, 2, 1, 3, 4, 6, 5, 7])
    assert gguf_items(Matrix("a", "b", 8, 1, 0, rows)) == rows
