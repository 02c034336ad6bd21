"""The random weights of the demo model: made from a hash, the same everywhere, in milliseconds.

A weight is an int8 and a power-of-two scale for its whole matrix. Such values are exact in Q8_0
and in bf16, so that the GGUF file and the safetensors folder hold the very same model.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Shape(msgspec.Struct, frozen=True):
    """The sizes of a llama model; ``head_size`` is ``width / heads``."""

    width: int = 256
    blocks: int = 4
    heads: int = 4
    kv_heads: int = 2
    head_size: int = 64
    feed_forward: int = 768
    context: int = 2048
    rope_base: float = 10000.0
    epsilon: float = 1e-5


DEMO_SHAPE = Shape()
SEED = b"sartor demo model 1"

# A byte is an item of the matrix; -128 has no positive twin, and kernels may negate.
_NO_LEAST = bytes(0x81 if byte == 0x80 else byte for byte in range(256))


class Matrix(msgspec.Struct, frozen=True):
    """``rows`` of ``columns`` int8 items in ``items``, each worth ``2 ** -exponent``.

    ``name`` is the tensor's in a safetensors file, ``gguf_name`` in a GGUF file. ``rotary_heads``
    is the number of heads whose rows GGUF stores in another order (0: same order).
    """

    name: str
    gguf_name: str
    rows: int
    columns: int
    exponent: int
    items: bytes
    rotary_heads: int = 0


class Norm(msgspec.Struct, frozen=True):
    """A vector of ``size`` ones."""

    name: str
    gguf_name: str
    size: int


def demo_weights(shape: Shape, speakable: Sequence[bool]) -> Iterator[Matrix | Norm]:
    """The weights, in the order of the file.

    ``speakable`` has an entry for each token: those that are not keep a logit of zero, far below
    the best, so that what the model says is readable text and does not end before it has to.
    """
    tokens, width = len(speakable), shape.width
    yield _matrix(("model.embed_tokens", "token_embd"), (tokens, width), 7)
    for block in range(shape.blocks):
        yield from _block(shape, f"model.layers.{block}", f"blk.{block}")
    yield Norm("model.norm.weight", "output_norm.weight", width)
    head = _matrix(("lm_head", "output"), (tokens, width), 8)
    rows = (_row(head, i) if spoken else bytes(width) for i, spoken in enumerate(speakable))
    yield msgspec.structs.replace(head, items=b"".join(rows))


def _block(shape: Shape, name: str, gguf: str) -> Iterator[Matrix | Norm]:
    width, inner = shape.width, shape.feed_forward
    queries, keys = shape.heads * shape.head_size, shape.kv_heads * shape.head_size
    attention, feed = f"{name}.self_attn", f"{name}.mlp"
    yield Norm(f"{name}.input_layernorm.weight", f"{gguf}.attn_norm.weight", width)
    yield _matrix((f"{attention}.q_proj", f"{gguf}.attn_q"), (queries, width), 10, shape.heads)
    yield _matrix((f"{attention}.k_proj", f"{gguf}.attn_k"), (keys, width), 10, shape.kv_heads)
    yield _matrix((f"{attention}.v_proj", f"{gguf}.attn_v"), (keys, width), 10)
    yield _matrix((f"{attention}.o_proj", f"{gguf}.attn_output"), (width, queries), 10)
    yield Norm(f"{name}.post_attention_layernorm.weight", f"{gguf}.ffn_norm.weight", width)
    yield _matrix((f"{feed}.gate_proj", f"{gguf}.ffn_gate"), (inner, width), 10)
    yield _matrix((f"{feed}.up_proj", f"{gguf}.ffn_up"), (inner, width), 10)
    yield _matrix((f"{feed}.down_proj", f"{gguf}.ffn_down"), (width, inner), 11)


def _matrix(
    names: tuple[str, str], size: tuple[int, int], exponent: int, rotary_heads: int = 0
) -> Matrix:
    name, gguf = names
    rows, columns = size
    items = hashlib.shake_128(SEED + name.encode()).digest(rows * columns).translate(_NO_LEAST)
    return Matrix(f"{name}.weight", f"{gguf}.weight", rows, columns, exponent, items, rotary_heads)


def _row(matrix: Matrix, index: int) -> bytes:
    return matrix.items[index * matrix.columns : (index + 1) * matrix.columns]


def gguf_items(matrix: Matrix) -> bytes:
    """The items in GGUF's order of rows.

    A safetensors llama keeps the two halves of each rotated pair half a head apart, GGUF keeps
    them side by side.
    """
    if not matrix.rotary_heads:
        return matrix.items
    head = matrix.rows // matrix.rotary_heads
    order = (
        start + half * (head // 2) + pair
        for start in range(0, matrix.rows, head)
        for pair in range(head // 2)
        for half in range(2)
    )
    return b"".join(_row(matrix, index) for index in order)
