"""The `ModelShape`: what of a model decides how much memory serving it takes.

It is read from a ``config.json`` (`models.shape_config`), from GGUF metadata (`models.shape_gguf`)
or from a few numbers (`models.shape_text`). What a source does not say is None and has a line in
``unknown``; nothing is guessed.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Grade = Literal["read", "computed", "measured", "assumed"]
"""Where a number comes from: read out of the model's own headers, computed by the engine's own rule
from what was read, measured on a machine, or assumed."""


class Attention(msgspec.Struct, frozen=True, tag="attention"):
    """Keys and values of ``kv_heads`` heads; ``key_items`` and ``value_items`` for each head.

    ``window`` is how many tokens a sliding layer looks back (None: all of them), ``chunk`` the size
    of the chunks of local attention.
    """

    kv_heads: int
    key_items: int
    value_items: int
    window: int | None = None
    chunk: int | None = None


class Latent(msgspec.Struct, frozen=True, tag="latent"):
    """Multi-head latent attention: one compressed vector of ``rank`` + ``rope`` items a token."""

    rank: int
    rope: int


class State(msgspec.Struct, frozen=True, tag="state"):
    """A recurrent state of fixed size, whatever the number of tokens.

    ``conv_width`` x ``conv_length`` items of a convolution and ``items`` of the recurrence, which
    keeps ``heads`` apart under tensor parallelism. ``groups`` of ``group_items`` widen the
    convolution where they cannot be split. ``precise``: the recurrence is kept in 32 bits.
    """

    kind: Literal["mamba1", "mamba2", "delta", "linear", "conv"]
    conv_width: int
    conv_length: int
    items: int
    heads: int = 1
    groups: int = 0
    group_items: int = 0
    precise: bool = False


Cache = Attention | Latent | State


class Layer(msgspec.Struct, frozen=True):
    """One block: the caches that it keeps, and its parameters by what they are.

    ``attention`` counts what tensor parallelism splits of the mixer, ``shared`` the keys' and
    values' projections, which are repeated where there are fewer heads than GPUs, ``dense`` the
    feed-forward part, ``experts`` the routed experts, ``plain`` what is never quantised or split
    (norms, router). ``width`` is the widest activation of the block, in items a token.
    """

    caches: list[Cache] = []
    attention: int = 0
    shared: int = 0
    dense: int = 0
    experts: int = 0
    plain: int = 0
    width: int = 0

    @property
    def parameters(self) -> int:
        """All of them."""
        return self.attention + self.shared + self.dense + self.experts + self.plain


class Quantization(msgspec.Struct, frozen=True):
    """How weights are stored: ``bits`` for each weight of a linear layer, scales included.

    ``method`` is what ``quantization_config`` says (``awq``, ``fp8`` …). ``experts_only``: the rest
    keeps its dtype. ``head``: the output head is quantised, too.
    """

    method: str
    bits: float
    experts_only: bool = False
    head: bool = False


class Weights(msgspec.Struct, frozen=True):
    """Bytes of weights as headers state them: of each layer, and of what is around the layers.

    ``experts`` of each layer are contained in ``layers``. ``embedding`` is the input's, ``head``
    the output's (0 where the embedding serves as both), ``other`` the rest (norms, vision towers).
    """

    layers: list[int]
    experts: list[int]
    embedding: int
    head: int
    other: int

    @property
    def total(self) -> int:
        """All bytes."""
        return sum(self.layers) + self.embedding + self.head + self.other


class ModelShape(msgspec.Struct, frozen=True):
    """A model as far as memory goes.

    ``dtype`` is the model's own (``bfloat16``; None: it names none), ``item_bytes`` the size of
    an item of it. ``weights`` is None where no
    header was read; then they are computed from the parameters. ``tied``: the embedding is the
    output head as well. ``max_context`` is what the model was trained for, in tokens.
    ``towers`` counts parameters around the language model (vision); None where they are not known.
    """

    family: str
    layers: list[Layer]
    hidden: int
    vocab: int
    item_bytes: int = 2
    heads: int = 1
    tied: bool = False
    max_context: int | None = None
    experts: int = 0
    active_experts: int = 0
    towers: int | None = 0
    quantization: Quantization | None = None
    weights: Weights | None = None
    weights_bytes: int | None = None
    format: Literal["safetensors", "gguf", "stated"] = "safetensors"
    unknown: list[str] = []
    dtype: str | None = None

    @property
    def embedding(self) -> int:
        """Parameters of the input embedding."""
        return self.vocab * self.hidden

    @property
    def parameters(self) -> int:
        """All parameters that are known."""
        tables = self.embedding if self.tied else 2 * self.embedding
        return sum(layer.parameters for layer in self.layers) + tables + (self.towers or 0)


def sized(
    size_bytes: int | None,
    blocks: int | None = None,
    form: Literal["gguf", "safetensors"] = "safetensors",
) -> ModelShape | None:
    """A shape of which only the size of the weights is known; None where not even that is.

    The weights lie in equal layers; it caches nothing that is known of.
    """
    if not size_bytes:
        return None
    count = blocks or 32
    layers = [Layer(dense=size_bytes // (2 * count))] * count
    return ModelShape(
        family="",
        layers=layers,
        hidden=0,
        vocab=0,
        weights_bytes=size_bytes,
        heads=1 << 10,
        format=form,
        unknown=["shape: only the size of the weights is known; no cache is counted"],
    )
