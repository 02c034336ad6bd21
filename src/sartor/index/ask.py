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
    import urllib.error
    import urllib.request

    address = f"{index.url.rstrip('/')}/{index.packages[0]}/"
    asking = urllib.request.Request(address, method="HEAD")
    try:
        with urllib.request.urlopen(asking, timeout=SECONDS):
            return msgspec.structs.replace(index, state="reached")
    except urllib.error.HTTPError as error:
        why = f"it answered {error.code}"
        error.close()
    except (urllib.error.URLError, OSError) as error:
        why = str(getattr(error, "reason", error))
    return msgspec.structs.replace(index, state="not reached", why=why)
