"""Several slow questions at once: starting programs is waiting, not work."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Item = TypeVar("Item")
Answer = TypeVar("Answer")

MOST_AT_ONCE = 8


def each(question: Callable[[Item], Answer], items: Sequence[Item]) -> list[Answer]:
    """The answers for ``items``, in their order; up to `MOST_AT_ONCE` are asked at a time."""
    if len(items) < 2:
        return [question(item) for item in items]
    with ThreadPoolExecutor(min(len(items), MOST_AT_ONCE)) as pool:
        return list(pool.map(question, items))
