"""Which servers are the same to a user."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from sartor.models.model import Model, ModelFile
from sartor.serve.start import model_identity


@pytest.fixture
def model(tmp_path: Path) -> Model:
    """A GGUF model in two parts."""
    names = ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"]
    for name in names:
        (tmp_path / name).write_bytes(b"GGUF")
    files = [ModelFile(f"folder/{name}") for name in names]  # as the hub names them
    return Model("r", "gguf", "m", path=str(tmp_path / names[0]), files=files)


def test_another_path_of_the_same_file_is_the_same(model: Model, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path, target_is_directory=True)
    linked = msgspec.structs.replace(model, path=str(link / Path(str(model.path)).name))
    assert model_identity(linked) == model_identity(model)
    assert len(model_identity(model)) == 2


@pytest.mark.parametrize("number", [1, 2])
def test_any_part_that_was_written_again_is_another(
    model: Model, tmp_path: Path, number: int
) -> None:
    demo = msgspec.structs.replace(model, demo=True)
    before, demo_before = model_identity(model), model_identity(demo)
    part = tmp_path / f"m-0000{number}-of-00002.gguf"
    os.utime(part, ns=(1, 1))
    assert model_identity(model) != before
    assert model_identity(demo) == demo_before, "two that make it at once write the same"


def test_all_that_a_folder_holds_counts(tmp_path: Path) -> None:
    model = Model("r", "safetensors", "m", path=str(tmp_path), files=[])
    (tmp_path / "model.safetensors").write_bytes(b"")
    before = model_identity(model)
    (tmp_path / "tokenizer.json").write_bytes(b"{}")
    with_tokenizer = model_identity(model)
    assert with_tokenizer != before
    (tmp_path / "tokenizer.json").write_bytes(b"{  }")
    assert model_identity(model) != with_tokenizer
    assert model_identity(msgspec.structs.replace(model, path=None)) == []
