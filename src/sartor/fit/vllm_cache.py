"""The KV cache as vLLM plans it: pages, groups, blocks.

The rules are those of ``vllm/v1/kv_cache_interface.py``, ``vllm/v1/core/kv_cache_utils.py`` and
``vllm/platforms/interface.py`` (``_align_hybrid_block_size``) of vLLM 0.25.1; for models with
pages of one size those of 0.30.0 give the same numbers. Every layer has a spec; layers of one spec
form groups of equal size, all of which draw blocks from one pool.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Literal

import msgspec

from sartor.models.shape import Attention, Latent, State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sartor.models.shape import Cache, Layer, ModelShape


class CacheSettings(msgspec.Struct, frozen=True):
    """What the cache depends on besides the model.

    ``context`` is the longest sequence in tokens, ``batched`` the most tokens of one step,
    ``block`` the tokens of a block, ``item_bytes`` the size of an item of the cache. ``tensor`` is
    the number of GPUs that share every layer. ``state_pages`` is how many pages of a recurrent
    state a sequence has: two where its prefix is cached.
    """

    context: int
    batched: int = 8192
    block: int = 16
    item_bytes: int = 2
    tensor: int = 1
    state_pages: int = 1


class Spec(msgspec.Struct, frozen=True):
    """How one layer caches: pages of ``page`` bytes for ``block`` tokens each.

    ``extent`` is the window or chunk of layers that forget, in tokens.
    """

    kind: Literal["full", "sliding", "chunked", "state"]
    block: int
    page: int
    extent: int = 0

    def pages(self, settings: CacheSettings) -> int:
        """Pages that one sequence of the whole context needs at most."""
        match self.kind:
            case "state":
                return settings.state_pages
            case "full":
                return ceil(settings.context / self.block)
            case "sliding":
                held = min(self.extent - 1 + settings.batched, settings.context)
                return ceil(held / self.block) + 1
            case "chunked":
                return ceil(min(self.extent + settings.batched, settings.context) / self.block)


class Group(msgspec.Struct, frozen=True):
    """Layers (by their numbers) that share one table of blocks."""

    spec: Spec
    layers: list[int]


class CachePlan(msgspec.Struct, frozen=True):
    """What a pool gives: bytes of one block over a worker's layers, and its tables' specs."""

    block_bytes: int
    tables: list[Spec]
    settings: CacheSettings

    def blocks(self, available: int) -> int:
        """Whole blocks in so many bytes."""
        return max(available, 0) // self.block_bytes if self.block_bytes else 0

    def blocks_of(self, context: int) -> int:
        """Blocks of one sequence of ``context`` tokens, over all tables."""
        settings = msgspec.structs.replace(self.settings, context=context)
        return sum(spec.pages(settings) for spec in self.tables)

    @property
    def sequence_bytes(self) -> int:
        """What one sequence of the whole context takes."""
        return self.block_bytes * self.blocks_of(self.settings.context)

    def tokens(self, blocks: int) -> int:
        """The capacity as vLLM states it (``GPU KV cache size``)."""
        each = self.blocks_of(self.settings.context)
        return int(blocks / each * self.settings.context) if each else 0


def page_bytes(cache: Cache, shape: ModelShape, settings: CacheSettings, block: int) -> int:
    """The bytes that one layer keeps for ``block`` tokens, or for one sequence if recurrent."""
    match cache:
        case Attention(kv_heads, key_items, value_items):
            heads = max(1, kv_heads // settings.tensor)
            return block * heads * (key_items + value_items) * settings.item_bytes
        case Latent(rank, rope):
            return block * (rank + rope) * settings.item_bytes
        case State():
            return state_bytes(cache, shape.item_bytes, settings.tensor)


def state_bytes(state: State, item_bytes: int, tensor: int = 1) -> int:
    """The state of one sequence in one layer, on one of ``tensor`` GPUs.

    Groups of a convolution that cannot be split are repeated
    (``vllm/model_executor/layers/mamba/mamba_utils.py``).
    """
    extra = tensor - state.groups if state.groups and state.groups % tensor else 0
    width = state.conv_width + 2 * extra * state.group_items
    items_bytes = 4 if state.precise else item_bytes
    return width // tensor * state.conv_length * item_bytes + state.items // tensor * items_bytes


def specs(shape: ModelShape, settings: CacheSettings) -> list[tuple[int, Spec]]:
    """The spec of every cache, with the number of its layer."""
    block, page = _aligned(shape.layers, shape, settings)
    return [
        (number, _spec(cache, shape, settings, block, page))
        for number, layer in enumerate(shape.layers)
        for cache in layer.caches
    ]


def _spec(
    cache: Cache, shape: ModelShape, settings: CacheSettings, block: int, page: int | None
) -> Spec:
    own = page_bytes(cache, shape, settings, block)
    match cache:
        case State():
            # one block is a whole sequence; with its prefix cached, as long as attention's
            return Spec(
                "state", settings.context if settings.state_pages == 1 else block, page or own
            )
        case Attention(window=int(window)):
            return Spec("sliding", block, own, window)
        case _:
            # chunked local attention is planned as full attention: its hybrid manager is off
            return Spec("full", block, own)


def _aligned(
    layers: Sequence[Layer], shape: ModelShape, settings: CacheSettings
) -> tuple[int, int | None]:
    """The block and the page of a hybrid: attention's page grown to hold a state, then padded to.

    Without states beside attention the block stays as it is, and no page is fixed.
    """
    caches = [cache for layer in layers for cache in layer.caches]
    state = max(
        (page_bytes(c, shape, settings, 1) for c in caches if isinstance(c, State)), default=0
    )
    one = next((page_bytes(c, shape, settings, 1) for c in caches if not isinstance(c, State)), 0)
    if not state or not one:
        return settings.block, None
    block = max(settings.block, settings.block * ceil(state / (settings.block * one)))
    return block, block * one


def unified(found: list[tuple[int, Spec]]) -> list[tuple[int, Spec]]:
    """The specs with pages of one size: smaller ones get longer blocks, or padding."""
    largest = max(spec.page for _, spec in found)
    made = []
    for number, spec in found:
        if spec.page == largest or spec.kind == "state":
            made.append((number, msgspec.structs.replace(spec, page=largest)))
        elif largest % spec.page == 0:
            block = spec.block * (largest // spec.page)
            made.append((number, msgspec.structs.replace(spec, block=block, page=largest)))
        else:
            made.append((number, msgspec.structs.replace(spec, page=largest)))
    return made


def is_of_one_kind(found: list[tuple[int, Spec]]) -> bool:
    """Whether one table of blocks serves every layer, though their pages may differ."""
    return len({(spec.kind, spec.extent, spec.block) for _, spec in found}) == 1


def groups(shape: ModelShape, settings: CacheSettings) -> list[Group]:
    """The groups of the whole model (``get_kv_cache_groups``); none where nothing is cached."""
    found = specs(shape, settings)
    if not found:
        return []
    if is_of_one_kind(found):
        return [Group(found[0][1], [number for number, _ in found])]
    by_spec: dict[Spec, list[int]] = {}
    for number, spec in unified(found):
        by_spec.setdefault(spec, []).append(number)
    least, most = min(map(len, by_spec.values())), max(map(len, by_spec.values()))
    size = most if most < least * 1.5 else least
    made = []
    for spec, numbers in by_spec.items():
        count = ceil(len(numbers) / size)
        made += [Group(spec, numbers[i::count]) for i in range(count)]
    return made


def plan(shape: ModelShape, settings: CacheSettings, layers: range | None = None) -> CachePlan:
    """The plan for a worker that holds ``layers`` (a stage of a pipeline; None: all of them)."""
    found = specs(shape, settings)
    held = [(n, spec) for n, spec in found if layers is None or n in layers]
    if not held:
        return CachePlan(0, [], settings)
    if is_of_one_kind(found):
        return CachePlan(sum(spec.page for _, spec in held), [found[0][1]], settings)
    made = groups(shape, settings)
    most = max(len([n for n in group.layers if layers is None or n in layers]) for group in made)
    return CachePlan(most * made[0].spec.page, [group.spec for group in made], settings)
