"""A model of which its ``config.json`` alone is at hand: enough to plan and to fit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sartor.errors import ModelInvalidError
from sartor.models.model import Model

if TYPE_CHECKING:
    from sartor.models.shape import ModelShape


def configuration_in(reference: str) -> Path | None:
    """The ``config.json`` that ``reference`` is, or that its folder holds without any weights."""
    path = Path(reference).expanduser()
    if path.suffix == ".json" and path.is_file():
        return path
    try:
        if not path.is_dir() or not (path / "config.json").is_file():
            return None
        weights = any(p.suffix in {".safetensors", ".gguf", ".bin", ".pt"} for p in path.iterdir())
    except OSError:
        return None
    return None if weights else path / "config.json"


def shape_in(path: Path) -> ModelShape:
    """The shape that a configuration states; raises `ModelInvalidError`."""
    from sartor.models.safetensors import read_config
    from sartor.models.shape_config import config_shape

    shape = config_shape(read_config(path))
    if shape is None:
        raise ModelInvalidError(
            f"`{path}` does not say what is needed of a model",
            hint="it must state its layers, width and vocabulary; or describe the model with "
            "`--shape`",
        )
    return shape


def configured(reference: str) -> Model | None:
    """The model of a configuration without weights; None where that is not what is named."""
    path = configuration_in(reference)
    if path is None:
        return None
    shape = shape_in(path)
    name = path.parent.name or path.stem
    context = shape.max_context
    return Model(reference, "safetensors", name, context_length=context, shape=shape)
