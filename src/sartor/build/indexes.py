"""Asking the indexes that engines' makers publish whether they answer from here."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sartor.plan.model import IndexUse

SECONDS = 6


def ask_indexes(indexes: Iterable[IndexUse]) -> dict[str, IndexUse]:
    """Each index with its state, *reached* or *not reached* with the reason, by id.

    All are asked at once, each for the page of its first package.
    """
    wanted = list(indexes)
    if not wanted:
        return {}
    with ThreadPoolExecutor(len(wanted)) as pool:
        return {index.id: index for index in pool.map(_ask, wanted)}


def _ask(index: IndexUse) -> IndexUse:
    import httpx

    from sartor.build.network import trust_the_system

    trust_the_system()
    address = f"{index.url.rstrip('/')}/{index.packages[0]}/"
    try:
        answer = httpx.head(address, timeout=SECONDS, follow_redirects=True)
    except httpx.HTTPError as error:
        why = f"{type(error).__name__}: {error}"
        return msgspec.structs.replace(index, state="not reached", why=why)
    if answer.is_success:
        return msgspec.structs.replace(index, state="reached")
    why = f"it answered {answer.status_code}"
    return msgspec.structs.replace(index, state="not reached", why=why)
