"""The `Model`: what is served, as far as it can be known without loading it."""

from __future__ import annotations

from typing import Literal

import msgspec

from sartor.models.shape import ModelShape

Format = Literal["gguf", "safetensors"]


class ModelFile(msgspec.Struct, frozen=True):
    """One file of a model: ``name`` relative to its folder or repository."""

    name: str
    size_bytes: int | None = None


class Model(msgspec.Struct, frozen=True, tag_field="schema", tag="sartor.model/1"):
    """A model, found or still to be fetched.

    ``reference`` is what the user typed (``demo`` where nothing was). ``path`` is what an engine
    is given, a GGUF file (the first of a split one) or a safetensors folder; None while it is not
    on this machine. ``name`` is the name that clients use. ``size_bytes`` counts the weights.
    ``context_length`` is what the model was trained for, in tokens. ``shape`` decides how
    much memory serving it takes; None where it is not known.
    ``repository`` and ``revision`` (a commit) are those of the hub. ``chat_template`` says whether
    a GGUF file holds one; None where that was not read.
    """

    reference: str
    format: Format
    name: str
    path: str | None = None
    size_bytes: int | None = None
    architecture: str | None = None
    context_length: int | None = None
    block_count: int | None = None
    shape: ModelShape | None = None
    quantization: str | None = None
    demo: bool = False
    files: list[ModelFile] = []
    repository: str | None = None
    revision: str | None = None
    chat_template: bool | None = None
