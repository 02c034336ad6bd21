"""The values of memory fit: bounds, parts, placements, changes, and the `FitReport`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from sartor.models.shape import Grade
from sartor.plan.model import Device

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Verdict = Literal["fits", "may fit", "does not fit", "not checked"]
"""*may fit*: the least that it takes fits, the most does not. *not checked*: something that the
answer rests on is unknown."""

_WORST: tuple[Grade, ...] = ("read", "computed", "measured", "assumed")


class Bound(msgspec.Struct, frozen=True):
    """A number between ``least`` and ``most``, and what it probably is; bytes if not said else.

    ``grade`` is the evidence of its weakest part.
    """

    least: int
    likely: int
    most: int
    grade: Grade = "computed"

    @classmethod
    def exact(cls, value: int, grade: Grade = "computed") -> Bound:
        """A number that is known."""
        return cls(value, value, value, grade)

    @classmethod
    def of(cls, numbers: Iterable[int], grade: Grade) -> Bound:
        """From the three numbers in order."""
        least, likely, most = numbers
        return cls(least, likely, most, grade)

    def each(self, change: Callable[[int], int]) -> Bound:
        """The bound of what ``change`` makes of the number; it must not turn the order round."""
        return Bound(change(self.least), change(self.likely), change(self.most), self.grade)

    def plus(self, other: Bound) -> Bound:
        """Both together."""
        return Bound(
            self.least + other.least,
            self.likely + other.likely,
            self.most + other.most,
            max(self.grade, other.grade, key=_WORST.index),
        )


def total(bounds: Iterable[Bound]) -> Bound:
    """All of ``bounds`` together; exactly nothing for none."""
    found = Bound.exact(0, "read")
    for bound in bounds:
        found = found.plus(bound)
    return found


class Part(msgspec.Struct, frozen=True):
    """Something that takes memory on one device: how much, and by what rule that is known."""

    name: Literal["weights", "kv cache", "activations", "cuda graphs", "engine"]
    bytes: Bound
    because: str


class Share(msgspec.Struct, frozen=True):
    """One device of a placement (None: main memory).

    ``room`` is what the engine may take of it; ``layers`` are those that it holds, first and last
    (None: none). The KV cache in ``parts`` is the one that was asked for.
    """

    device: Device | None
    room: Bound
    parts: list[Part]
    layers: tuple[int, int] | None = None

    @property
    def needed(self) -> Bound:
        """All parts together."""
        return total(part.bytes for part in self.parts)

    @property
    def verdict(self) -> Verdict:
        """Whether the parts fit into the room."""
        if self.needed.most <= self.room.least:
            return "fits"
        return "may fit" if self.needed.least <= self.room.most else "does not fit"


class Placement(msgspec.Struct, frozen=True):
    """One way to lay the model out, and what that gives.

    ``tensor`` GPUs share each layer, ``pipeline`` groups of them follow each other; ``expert``
    says that whole experts are spread in place of slices. ``on_gpu`` counts the layers on GPUs
    (None: all). ``tokens`` is the capacity of the KV cache, ``concurrency`` how many sequences of
    the asked context that is, ``longest`` the longest single sequence.
    """

    label: str
    verdict: Verdict
    shares: list[Share]
    tensor: int = 1
    pipeline: int = 1
    expert: bool = False
    on_gpu: int | None = None
    tokens: Bound = Bound.exact(0)
    concurrency: Bound = Bound.exact(0)
    longest: Bound = Bound.exact(0)

    @property
    def gpus(self) -> int:
        """How many devices it takes; 0 for main memory alone."""
        return sum(share.device is not None for share in self.shares)


class Change(msgspec.Struct, frozen=True):
    """Something to change where nothing fits, and the verdict then."""

    what: str
    verdict: Verdict
    tokens: Bound
    label: str


class Asked(msgspec.Struct, frozen=True):
    """What was asked: tokens for each of ``concurrency`` sequences, and settings of the engine.

    ``fraction`` is the part of a GPU that the engine may take, ``cache_type`` the KV cache's
    (``auto``: the model's own; ``fp8``, ``q8_0`` …), ``batched`` and ``sequences`` the most of one
    step (None: the engine's default). ``offload_gib`` of each GPU's weights stay in main memory.
    """

    context: int
    concurrency: int = 1
    fraction: float = 0.9
    cache_type: str = "auto"
    batched: int | None = None
    sequences: int | None = None
    offload_gib: int = 0


class FitReport(msgspec.Struct, frozen=True, tag_field="schema", tag="sartor.fit/1"):
    """Whether a model fits, with what context and how many at once, on which GPUs, and why.

    ``verdict`` is that of ``chosen``, the simplest placement among the best. ``changes`` are in
    the order to try them; none where it fits. ``kv_bytes_per_token`` is over all layers that keep
    every token, on one GPU alone; ``state_bytes`` what each sequence takes besides.
    """

    model: str
    engine: str
    host: str
    asked: Asked
    verdict: Verdict
    weights: Bound
    parameters: int | None
    kv_bytes_per_token: int | None
    state_bytes: int | None
    chosen: Placement | None
    placements: list[Placement]
    changes: list[Change] = []
    trained_context: int | None = None
    quantization: str | None = None
    not_checked: list[str] = []
