"""The `Model`: what is served, as far as it can be known without loading it."""

from __future__ import annotations

from typing import Literal

import msgspec

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
    ``context_length`` is what the model was trained for, in tokens. ``kv_bytes_per_token`` is for
    an f16 cache, over all layers that keep every token; None where it is not known.
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
    kv_bytes_per_token: int | None = None
    quantization: str | None = None
    demo: bool = False
    files: list[ModelFile] = []
    repository: str | None = None
    revision: str | None = None
    chat_template: bool | None = None


def estimate_memory(model: Model, context: int) -> int:
    """A lower bound of the bytes that serving ``context`` tokens needs: weights and KV cache.

    What is not known counts as nothing, and so do activations, compute buffers and the engine
    itself: a model with a larger estimate than there is memory cannot run, one with a smaller
    estimate may. ``context`` is the sum over all sequences served at once.
    """
    return (model.size_bytes or 0) + (model.kv_bytes_per_token or 0) * max(context, 0)


def attention_bytes_per_token(
    heads_per_layer: list[int], key_length: int, value_length: int
) -> int | None:
    """Bytes of f16 KV cache that one token takes; None where no layer has key/value heads.

    ``heads_per_layer`` counts the key/value heads (as many as query heads without grouping) of
    each layer; ``key_length`` and ``value_length`` are items for each head.
    """
    heads = sum(heads_per_layer)
    return 2 * heads * (key_length + value_length) or None
