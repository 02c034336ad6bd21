"""An image in a registry, read where it is: its manifest, then its layers.

Each layer goes by once, is inflated and walked in memory, and held against its digest.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from sartor.artifact.image import tar_layer
from sartor.artifact.members import shown
from sartor.artifact.model import Evidence, NotRead
from sartor.artifact.oci import MOST_LAYERS, Layer
from sartor.artifact.reading import Progress, Walk
from sartor.artifact.source import Invalid
from sartor.errors import ArtifactUnreadableError
from sartor.paths import human_bytes
from sartor.remote.layer_look import look_at
from sartor.remote.layer_plan import declared, why_skip, worth_a_look
from sartor.remote.layers import LayersReading
from sartor.remote.registry_choice import choose_image, platform_of
from sartor.remote.toc import read_toc, toc_layer

if TYPE_CHECKING:
    from collections.abc import Callable

    from sartor.artifact.image import OpenLayer
    from sartor.artifact.oci import Descriptor
    from sartor.artifact.reading import NamesWanted
    from sartor.remote.file import RemoteFile
    from sartor.remote.image_reference import ImageReference
    from sartor.remote.registry import Registry
    from sartor.remote.registry_choice import RegistryImage

MOST_OF_IT = 0.75
"""From this part of a layer on, all of it is fetched: the rest is the price of its digest."""
FOREIGN = ("foreign", "nondistributable")


class ImageWanted(NamedTuple):
    """What an image's reading needs besides the registry.

    ``platform`` is the one that was asked for; where none was, that of ``machine`` is meant.
    ``all_layers``: none is skipped for what its image declares of it.
    """

    names: NamesWanted
    platform: str | None
    machine: str
    all_layers: bool = False


def read_image(
    registry: Registry,
    reference: ImageReference,
    wanted: ImageWanted,
    on_bytes: Callable[[int, int], None],
) -> Evidence:
    """What the image holds; ``on_bytes`` is told how many bytes came, of how many.

    Raises the errors of `Registry`, and `ArtifactUnreadableError`.
    """
    try:
        image = choose_image(registry, reference, wanted.platform, platform_of(wanted.machine))
        plan = _Plan(registry, image, all_layers=wanted.all_layers)
        registry.on_bytes = lambda came: on_bytes(came, plan.total)
        walk = Walk(wanted.names, Progress(), image.name)
        reading = LayersReading(walk, registry.reading, registry.close)
        reading.read(plan.layers)
    except Invalid as fault:
        raise ArtifactUnreadableError(
            f"`{reference}` cannot be read: {fault.reason}",
            found=[str(fault)],
            hint="what the registry serves of it does not hold together; push or build it again",
        ) from fault
    return Evidence(
        target=str(reference),
        kind="image",
        size=sum(layer.size or 0 for layer in image.layers),
        sha256=image.digest.removeprefix("sha256:"),
        platform=image.platform,
        packages=walk.packages(),
        libraries=walk.found_libraries(),
        not_read=[*image.not_read, *plan.said(), *reading.not_read, *walk.not_read],
    )


def _whole(file: RemoteFile) -> OpenLayer:
    return tar_layer(Layer(file.name, partial(file.stream, 0, file.size), file.size, file.name))


class _Plan:
    """Which layers are read, and why the others are not."""

    def __init__(self, registry: Registry, image: RegistryImage, *, all_layers: bool) -> None:
        self.layers: list[OpenLayer] = []
        self.total = 0
        self._not_read: list[NotRead] = []
        self._in_part: list[RemoteFile] = []
        self._registry = registry
        self._all_layers = all_layers
        if len(image.layers) > MOST_LAYERS:
            raise Invalid(image.name, 0, f"{len(image.layers)} layers: more than is read")
        made = declared(image.history, len(image.layers))
        for descriptor, created_by in zip(image.layers, made, strict=True):
            self._decide(descriptor, created_by)

    def _decide(self, descriptor: Descriptor, created_by: str | None) -> None:
        """Read this layer, or say why not."""
        if any(word in descriptor.media_type for word in FOREIGN):
            why = "this layer is not distributed with the image"
            self._not_read.append(NotRead(shown(descriptor.digest), why))
            return
        file = self._registry.blob(descriptor)
        if not self._all_layers and self._has_table(file, descriptor):
            return
        if not self._all_layers and worth_a_look(created_by, file.size):
            with self._registry.reading():
                look = look_at(file)
            if reason := why_skip(created_by, look):
                why = (
                    f"{look.fetched} of this layer's {file.size} bytes "
                    f"({human_bytes(file.size)}) were fetched: {reason}; what else it holds or "
                    "removes was not looked at, nor was its digest checked (`--all-layers`)"
                )
                self._not_read.append(NotRead(descriptor.digest, why))
                return
        self.layers.append(_whole(file))
        self.total += file.size

    def _has_table(self, file: RemoteFile, descriptor: Descriptor) -> bool:
        """Read it by its table of contents, where that spares a part worth its while."""
        with self._registry.reading():
            toc = read_toc(file, descriptor)
        if toc is None or file.ranges == "not given" or toc.needed() >= MOST_OF_IT * file.size:
            return False
        self.layers.append(toc_layer(file, toc))
        self._in_part.append(file)
        self.total += toc.needed()
        return True

    def said(self) -> list[NotRead]:
        """What was not read, once the rest was."""
        return self._not_read + [
            NotRead(
                file.name,
                f"{file.fetched} of this layer's {file.size} bytes were fetched, by its table of "
                "contents: each file that was read was held against its sha256 in it, and it "
                "against the manifest; the layer's own digest was not checked (`--all-layers`)",
            )
            for file in self._in_part
        ]
