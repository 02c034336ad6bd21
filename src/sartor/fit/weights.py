"""Where the bytes of weights lie: on which GPU of a placement.

Sizes that headers state are taken as they are; else they follow from the parameters and the bits
of the quantisation. Tensor parallelism splits matrices, repeats norms, routers and key/value
heads that are fewer than GPUs (``vllm/model_executor/layers/linear.py`` of vLLM 0.25.1).
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

import msgspec

from sartor.fit.model import Bound
from sartor.models.shape import Attention

if TYPE_CHECKING:
    from sartor.models.shape import Layer, ModelShape

PADDED_MXFP4 = 1.15
"""MXFP4 experts are padded for some kernels when loaded; assumed, at most."""


class Slice(msgspec.Struct, frozen=True):
    """The part of a model that one GPU holds: ``layers`` and a ``tensor``-th of each."""

    layers: range
    tensor: int = 1
    expert: bool = False
    first: bool = True
    last: bool = True


def whole(shape: ModelShape) -> Bound:
    """All weights as they are stored."""
    if shape.weights is not None:
        return Bound.exact(shape.weights.total, "read")
    if shape.weights_bytes is not None:
        return Bound.exact(shape.weights_bytes, "read")
    size = _modelled(shape)
    vague = any(line.startswith(("quantisation", "towers", "dtype")) for line in shape.unknown)
    return Bound(size // (4 if vague else 1), size, size, "assumed" if vague else "computed")


def on_gpu(shape: ModelShape, part: Slice) -> Bound:
    """The weights of ``part`` as they lie in a GPU's memory."""
    size = sum(_slice_bytes(shape, n, part) for n in part.layers)
    size += _tables(shape, part.first, part.last) // part.tensor
    other = shape.weights.other if shape.weights else (shape.towers or 0) * shape.item_bytes
    size += other if part.first else 0
    stored = whole(shape)
    measured = _modelled(shape)
    scale = stored.likely / measured if shape.weights is None and measured else 1.0
    likely = int(size * scale)
    quantization = shape.quantization
    padded = PADDED_MXFP4 if quantization and quantization.method == "mxfp4" else 1.005
    least = int(likely * stored.least / stored.likely) if stored.likely else likely
    return Bound(least, likely, int(likely * padded), stored.grade)


def _modelled(shape: ModelShape) -> int:
    layers = sum(_layer_bytes(shape, n) for n in range(len(shape.layers)))
    return layers + _tables(shape, True, True) + (shape.towers or 0) * shape.item_bytes


def _tables(shape: ModelShape, first: bool, last: bool) -> int:
    """The embedding and the output head, those that are wanted; one table where they are tied."""
    if shape.weights is not None:
        embedding, head = shape.weights.embedding, shape.weights.head
    else:
        embedding = shape.embedding * shape.item_bytes
        quantization = shape.quantization
        bits = quantization.bits if quantization and quantization.head else shape.item_bytes * 8
        head = 0 if shape.tied else int(shape.embedding * bits / 8)
    if not head and last and not first:
        return embedding
    return (embedding if first else 0) + (head if last else 0)


def _layer_bytes(shape: ModelShape, number: int) -> int:
    if shape.weights is not None:
        return shape.weights.layers[number]
    layer, quantization = shape.layers[number], shape.quantization
    plain = 8 * shape.item_bytes
    bits = quantization.bits if quantization else plain
    rest = plain if quantization and quantization.experts_only else bits
    linear = layer.attention + layer.shared + layer.dense
    return int((linear * rest + layer.experts * bits + layer.plain * plain) / 8)


def _slice_bytes(shape: ModelShape, number: int, part: Slice) -> int:
    """The layer's bytes on one GPU: the whole, less what is split away by its kind."""
    layer, size = shape.layers[number], _layer_bytes(shape, number)
    if part.tensor == 1 or not layer.parameters:
        return size
    experts = shape.weights.experts[number] if shape.weights else _expert_bytes(shape, layer)
    rest = size - experts
    others = layer.parameters - layer.experts
    kept = _kept(layer, part.tensor) / others if others else 1.0
    if part.expert and shape.experts:
        experts = experts * ceil(shape.experts / part.tensor) // shape.experts
    else:
        experts //= part.tensor
    return int(rest * kept) + experts


def _expert_bytes(shape: ModelShape, layer: Layer) -> int:
    bits = shape.quantization.bits if shape.quantization else 8 * shape.item_bytes
    return int(layer.experts * bits / 8)


def _kept(layer: Layer, tensor: int) -> float:
    """Parameters besides the experts that stay on one of ``tensor`` GPUs."""
    heads = [cache.kv_heads for cache in layer.caches if isinstance(cache, Attention)]
    split = min(tensor, max(heads)) if heads else 1
    return (layer.attention + layer.dense) / tensor + layer.shared / split + layer.plain
