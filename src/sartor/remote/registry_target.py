"""From the name of an image in a registry to what was read of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.index.sources import access, index_sources
from sartor.remote.reference import Reading
from sartor.remote.registry import Registry
from sartor.remote.registry_image import read_image

if TYPE_CHECKING:
    from sartor.remote.http import Limits
    from sartor.remote.image_reference import ImageReference
    from sartor.remote.registry_image import ImageWanted
    from sartor.reporter import Reporter


def read_reference(
    reference: ImageReference,
    wanted: ImageWanted,
    reporter: Reporter,
    limits: Limits | None = None,
) -> Reading:
    """The image that a name means.

    Proxies and authorities are those of the user's package index. Raises the errors of `Registry`
    and `read_image`.
    """
    registry = Registry(reference, access(index_sources()), limits)
    what = f"fetching {reference}"

    def on_bytes(came: int, total: int) -> None:
        reporter.progress(what, came, total, "B")

    try:
        evidence = read_image(registry, reference, wanted, on_bytes)
    finally:
        registry.close()
    return Reading(evidence, registry.fetched)
