"""GPUs for which there is nothing in a package: what is left of it would run on none of them."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from sartor.errors import NotSlimmableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sartor.slim.library.model import SlimmedLibrary

NAMED = 8
NOT_LOOKED_AT = {"layout", "unreadable", "licence", "not-ours"}


def unserved(libraries: Sequence[SlimmedLibrary]) -> list[str]:
    """The GPUs for which none of the libraries has anything; none where one was not looked at."""
    if any(left.code in NOT_LOOKED_AT for one in libraries for left in one.left_alone):
        return []
    coded = [one for one in libraries if one.images]
    gpus = [gpu for one in coded[:1] for gpu in one.nothing_for]
    return [gpu for gpu in gpus if all(gpu in one.nothing_for for one in coded)]


def check_served(name: str, libraries: Sequence[SlimmedLibrary]) -> None:
    """Raise `NotSlimmableError` where a GPU was asked for that all of them have nothing for."""
    gpus = unserved(libraries)
    if not gpus:
        return
    first = next((t.arch for one in libraries for t in one.images if t.kind == "cubin"), None)
    example = f", such as `--gpu {first.rstrip('af')}`" if first else ""
    raise NotSlimmableError(
        f"`{name}` has nothing for {', '.join(gpus)}: all of its device code would go",
        found=[code_of(libraries)],
        hint=f"name a GPU that it has code for{example}; another build or version of it may have "
        f"code for {', '.join(gpus)}",
    )


def code_of(libraries: Sequence[SlimmedLibrary]) -> str:
    """``it has machine code for sm_80, sm_90a, and PTX of sm_90``."""
    kinds = {"cubin": "machine code for", "ptx": "PTX of"}
    parts = []
    for kind, words in kinds.items():
        found = {t.arch for one in libraries for t in one.images if t.kind == kind}
        if found:
            parts.append(f"{words} {', '.join(sorted(found, key=lambda a: (len(a), a)))}")
    return f"it has {', and '.join(parts) or 'device code of other kinds alone'}"


def served_notes(libraries: Sequence[SlimmedLibrary]) -> Iterator[str]:
    """A note for each GPU on the libraries that have nothing for it, which others need not have.

    Such a library may be one that its package loads on other GPUs only.
    """
    for gpu in dict.fromkeys(gpu for one in libraries for gpu in one.nothing_for):
        without = [one for one in libraries if gpu in one.nothing_for]
        names = [posixpath.basename(one.path) for one in without]
        others = any(one.images and gpu not in one.nothing_for for one in libraries)
        serve = "other libraries serve it" if others else "nothing else that was read is for it"
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        yield (
            f"nothing in {', '.join(names[:NAMED])}{more} is for {gpu}: what goes there never ran "
            f"on it, and {serve}"
        )
