"""What is worth knowing of an environment that was slimmed: what its figures are, what runs not."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from sartor.slim.served import code_of, served_notes, unserved

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sartor.slim.library.model import SlimmedLibrary
    from sartor.slimming.files import Listing


def notes_of(
    listing: Listing, libraries: Sequence[SlimmedLibrary], anew: Sequence[str]
) -> Iterator[str]:
    """The notes; ``anew`` are libraries that were slimmed before, and are from their originals."""
    if anew:
        files = "1 library was" if len(anew) == 1 else f"{len(anew)} libraries were"
        yield f"{files} slimmed before: the figures are against what was installed"
    by_project: dict[str, list[SlimmedLibrary]] = defaultdict(list)
    for one in libraries:
        owners = listing.owners.get(one.path, [])
        by_project[owners[0].dist.name if owners else one.path].append(one)
    for project, own in by_project.items():
        without = unserved(own)
        if without:
            gpus = ", ".join(without)
            yield f"`{project}` has nothing for {gpus}: it did not run there before; {code_of(own)}"
        else:
            yield from served_notes(own)
