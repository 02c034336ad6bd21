"""The KV cache as llama.cpp allocates it.

Sources: ``src/llama-kv-cache.cpp``, ``src/llama-kv-cache-iswa.cpp`` and
``src/llama-memory-recurrent.cpp`` of llama.cpp, as in xllamacpp 2026.10.11549: cells are padded to
256; sliding layers have their own, smaller cache; recurrent states are kept in 32 bits for each
sequence.
"""

from __future__ import annotations

from math import ceil

import msgspec

from sartor.models.ggml import TENSOR_TYPES
from sartor.models.shape import Attention, Cache, Latent, Layer, State

PAD = 256
MICRO_BATCH = 512
_ITEM_BYTES = {
    kind.name.lower(): kind.block_bytes / kind.block_items for kind in TENSOR_TYPES.values()
} | {"auto": 2.0, "fp8": 34 / 32}


class LlamaCache(msgspec.Struct, frozen=True):
    """``context`` tokens for each of ``sequences``, in one type (``f16``, ``q8_0`` …)."""

    context: int
    sequences: int = 1
    cache_type: str = "auto"
    micro_batch: int = MICRO_BATCH

    @property
    def item_bytes(self) -> float:
        """Bytes of an item; those of f16 where the type is not known."""
        return _ITEM_BYTES.get(self.cache_type, 2.0)

    @property
    def cells(self) -> int:
        """Cells of a layer that keeps every token."""
        return ceil(self.context * self.sequences / PAD) * PAD

    def window_cells(self, window: int) -> int:
        """Cells of a sliding layer: each sequence's window and one step, padded."""
        wanted = min(self.cells, window * self.sequences + self.micro_batch)
        return min(self.cells, ceil(wanted / PAD) * PAD)


def cache_bytes(cache: Cache, settings: LlamaCache) -> int:
    """What one layer's cache takes for all sequences."""
    match cache:
        case Attention(kv_heads, key_items, value_items, window):
            cells = settings.window_cells(window) if window else settings.cells
            return int(cells * kv_heads * (key_items + value_items) * settings.item_bytes)
        case Latent(rank, rope):
            return int(settings.cells * (rank + rope) * settings.item_bytes)
        case State(conv_width=width, conv_length=length, items=items):
            return (width * length + items) * 4 * settings.sequences


def layer_bytes(layer: Layer, settings: LlamaCache) -> int:
    """What all caches of a layer take."""
    return sum(cache_bytes(cache, settings) for cache in layer.caches)
