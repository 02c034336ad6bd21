"""What is worth knowing of an environment that was slimmed: what its figures are, what runs not."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from sartor.slim.environment.model import LeftPackage
from sartor.slim.served import code_of, served_notes, unserved

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

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


def left_packages(listing: Listing, left: Mapping[str, Sequence[str]]) -> Iterator[LeftPackage]:
    """Packages with device code of which nothing may be changed.

    ``left`` are the libraries of those by the RECORDs that name them.
    """
    for package in listing.packages:
        paths = left.get(package.record, [])
        if paths:
            yield LeftPackage(
                project=package.dist.name,
                version=package.dist.version,
                why=str(package.why),
                libraries=len(paths),
                bytes=sum((listing.root / path).lstat().st_size for path in paths),
            )
    for dist, found in listing.editable():
        yield LeftPackage(
            project=dist.name,
            version=dist.version,
            why="an editable install: its files are in its maker's folder, where they are built",
            libraries=len(found),
            bytes=sum(size for _, size in found),
        )
