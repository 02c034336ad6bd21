"""The safetensors readers are total, for a file and for a folder."""

from __future__ import annotations

import io
import json
import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from sartor.errors import ModelInvalidError
from sartor.models.parts import all_parts
from sartor.models.safetensors import (
    read_folder,
    read_header,
    read_safetensors,
    safetensors_bytes,
)

if TYPE_CHECKING:
    from pathlib import Path

SMALL = safetensors_bytes({"a": ("F32", (2, 3), bytes(24)), "b": ("BF16", (5,), bytes(10))})


def fault(data: bytes) -> str:
    with pytest.raises(ModelInvalidError) as caught:
        read_header(io.BytesIO(data), "x.safetensors")
    assert caught.value.hint
    return str(caught.value)


def document(entries: object) -> bytes:
    header = json.dumps(entries).encode()
    return struct.pack("<Q", len(header)) + header


def test_what_is_written_is_read_here_and_by_the_library(tmp_path: Path) -> None:
    header = read_header(io.BytesIO(SMALL), "x")
    assert {name: (t.dtype, t.shape) for name, t in header.tensors.items()} == {
        "a": ("F32", [2, 3]),
        "b": ("BF16", [5]),
    }
    assert header.demanded_bytes == header.file_bytes == len(SMALL)
    path = tmp_path / "x.safetensors"
    path.write_bytes(SMALL)
    with safe_open(path, framework="np") as judge:
        assert {name: judge.get_slice(name).get_shape() for name in judge.keys()} == {  # noqa: SIM118 - no mapping
            "a": [2, 3],
            "b": [5],
        }


@settings(max_examples=300)
@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for whole in (data, struct.pack("<Q", max(len(data), 2)) + b"{" + data):
        try:
            read_header(io.BytesIO(whole), "x")
        except ModelInvalidError as error:
            assert error.hint  # noqa: PT017 - either outcome is right


@given(st.integers(0, len(SMALL) - 1))
def test_any_truncation_is_refused(tmp_path_factory: pytest.TempPathFactory, length: int) -> None:
    path = tmp_path_factory.getbasetemp() / "cut.safetensors"
    path.write_bytes(SMALL[:length])
    with pytest.raises(ModelInvalidError):
        read_safetensors(path)


@given(st.integers(0, len(SMALL) - 1), st.integers(0, 255))
def test_any_damage_is_read_or_refused(at: int, byte: int) -> None:
    damaged = SMALL[:at] + bytes([byte]) + SMALL[at + 1 :]
    try:
        read_header(io.BytesIO(damaged), "x")
    except ModelInvalidError as error:
        assert error.hint  # noqa: PT017 - either outcome is right


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (b"GGUF" + bytes(40), "a GGUF file"),
        (struct.pack("<Q", 1 << 40) + b"{" + bytes(40), "not a safetensors file"),
        (struct.pack("<Q", 1000) + b"{}", "truncated"),
        (struct.pack("<Q", 10_000) + b'{"a":' * 2000, "cannot be read"),
        (document({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 7]}}), "extent"),
        (document({"a": {"dtype": "XX", "shape": [2], "data_offsets": [9, 7]}}), "extent"),
        (document({"a": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}}), "cannot"),
        (document({"a": {"dtype": "F32"}}), "cannot be read"),
    ],
)
def test_what_is_wrong_is_said(data: bytes, says: str) -> None:
    assert says in fault(data)


def test_an_unknown_dtype_is_taken_at_its_word() -> None:
    data = document({"a": {"dtype": "XX", "shape": [2], "data_offsets": [0, 7]}})
    assert read_header(io.BytesIO(data), "x").demanded_bytes == len(data) + 7


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    return tmp_path


def shards(folder: Path, count: int) -> None:
    names = [f"model-{i:05}-of-{count:05}.safetensors" for i in range(1, count + 1)]
    for name in names:
        (folder / name).write_bytes(SMALL)
    index = {"weight_map": {f"t{i}": name for i, name in enumerate(names)}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def folder_fault(folder: Path) -> str:
    with pytest.raises(ModelInvalidError) as caught:
        read_folder(folder)
    return str(caught.value)


def test_a_whole_folder_is_read(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(SMALL)
    reading = read_folder(folder)
    assert reading.files == {"model.safetensors": len(SMALL)}
    assert reading.dtype_bytes == {"F32": 24, "BF16": 10}


@pytest.mark.parametrize("with_index", [True, False])
def test_shards_are_read_and_missed(folder: Path, with_index: bool) -> None:
    shards(folder, 3)
    if not with_index:
        (folder / "model.safetensors.index.json").unlink()
    assert len(read_folder(folder).files) == 3
    (folder / "model-00002-of-00003.safetensors").unlink()
    said = folder_fault(folder)
    assert "1 of its 3 weight files are missing" in said
    assert "model-00002-of-00003.safetensors" in said


def test_an_index_may_not_lead_elsewhere(folder: Path) -> None:
    index = '{"weight_map": {"a": "../../secret.safetensors"}}'
    (folder / "model.safetensors.index.json").write_text(index)
    assert "elsewhere" in folder_fault(folder)


def test_a_folder_of_pickles_is_refused(folder: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x02")
    assert "pickles" in folder_fault(folder)


def test_an_empty_folder_has_no_configuration(tmp_path: Path) -> None:
    assert "missing" in folder_fault(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{", "<html>", '{"a": ' * 3000])
def test_a_damaged_configuration_is_refused(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)
    assert "config.json" in folder_fault(folder)


def test_a_truncated_shard_is_refused(folder: Path) -> None:
    shards(folder, 2)
    (folder / "model-00002-of-00002.safetensors").write_bytes(SMALL[:-1])
    assert "truncated" in folder_fault(folder)


def test_all_parts_of_a_split_file_are_named() -> None:
    assert all_parts(["m-00002-of-00003.gguf"]) == [f"m-0000{i}-of-00003.gguf" for i in (1, 2, 3)]
    assert all_parts(["m.gguf"]) == ["m.gguf"]
