"""Where the bytes of weights are, from the names and sizes that headers state."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sartor.models.shape import Weights

if TYPE_CHECKING:
    from collections.abc import Mapping

_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blk|blocks)\.([0-9]{1,4})\.")
_TOWER = re.compile(r"(?:^|\.)(?:vision|visual|audio|vit|mm_|multi_modal|image_|v\.blk|a\.blk)")
_EXPERTS = re.compile(r"\.experts\.|_exps\.|block_sparse_moe\.experts")
_EMBEDDING = re.compile(r"(?:embed_tokens|token_embd|wte|tok_embeddings|embeddings?)\.(?:weight|q)")
_HEAD = re.compile(r"^(?:.*\.)?lm_head\.|^output\.|(?:^|\.)embed_out\.")


def weights_of(tensor_bytes: Mapping[str, int], layers: int) -> Weights:
    """The bytes of ``tensor_bytes`` by their place in a model of so many ``layers``.

    Layers beyond them (multi-token prediction) are left out: engines do not load them unasked.
    """
    each, experts = [0] * layers, [0] * layers
    embedding = head = other = 0
    for name, size in tensor_bytes.items():
        if _TOWER.search(name):
            other += size
        elif match := _LAYER.search(name):
            number = int(match[1])
            if number < layers:
                each[number] += size
                experts[number] += size if _EXPERTS.search(name) else 0
        elif _HEAD.search(name):
            head += size
        elif _EMBEDDING.search(name):
            embedding += size
        else:
            other += size
    return Weights(each, experts, embedding, head, other)
