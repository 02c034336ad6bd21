"""Which image a name in a registry means, on a platform: indexes, manifests, configurations.

Of an index only what is chosen is fetched, where it says what its images run on: some registries
count each manifest that is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sartor.artifact.members import shown
from sartor.artifact.model import NotRead
from sartor.artifact.oci import (
    DIGEST,
    Candidate,
    Config,
    Descriptor,
    Document,
    Platform,
    Step,
    choose,
    decoded,
)
from sartor.artifact.source import Invalid
from sartor.errors import ArtifactUnreadableError

if TYPE_CHECKING:
    from sartor.remote.image_reference import ImageReference
    from sartor.remote.registry import Manifest, Registry

MOST_DEPTH = 4
MOST_IMAGES = 1000
MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm/v7", "i686": "386"}
"""Go's names of architectures, where the kernel's are others."""


class RegistryImage(msgspec.Struct, frozen=True):
    """One image: what its manifest and its configuration say. ``digest`` is the manifest's.

    ``not_read`` are the other images of its index.
    """

    name: str
    digest: str
    platform: str
    layers: list[Descriptor]
    history: list[Step] | None
    not_read: list[NotRead]


class _Version(msgspec.Struct, frozen=True, rename="camel"):
    schema_version: int = 2
    layers: list[Descriptor] | None = None
    manifests: list[Descriptor] | None = None


Found = Candidate["tuple[list[Descriptor], Config]"]


def platform_of(machine: str) -> str:
    """The platform of images for a machine as ``uname -m`` calls it."""
    return f"linux/{MACHINES.get(machine, machine)}"


def choose_image(
    registry: Registry, reference: ImageReference, platform: str | None, here: str
) -> RegistryImage:
    """The image for ``platform``, or ``here``; raises `Invalid`, `ArtifactUnreadableError`."""
    name = str(reference)
    manifest = registry.manifest(reference.wanted)
    _check_version(manifest, name)
    not_read: list[NotRead] = []
    found = _candidates(registry, manifest, None, 0)
    chosen = choose(found, platform, name, not_read, here)
    layers, config = chosen.layers()
    if layers and not any("tar" in layer.media_type for layer in layers):
        raise ArtifactUnreadableError(
            f"`{name}` is no container image",
            found=[shown(layer.media_type[:100]) for layer in layers[:5]],
            hint="it is stored like an image: a chart, a signature, or a model, perhaps",
        )
    return RegistryImage(
        name, chosen.digest or manifest.digest, chosen.platform, layers, config.history, not_read
    )


def _candidates(
    registry: Registry, manifest: Manifest, platform: Platform | None, depth: int
) -> list[Found]:
    document = decoded(manifest.data, Document, manifest.digest)
    if document.manifests is not None:
        if depth == MOST_DEPTH:
            raise Invalid(manifest.digest, 0, f"indexes in indexes, more than {MOST_DEPTH} deep")
        if len(document.manifests) > MOST_IMAGES:
            raise Invalid(manifest.digest, 0, f"{len(document.manifests)} images: too many")
        found = []
        for descriptor in document.manifests:
            found += _of_descriptor(registry, descriptor, depth)
        return found
    if document.config is None or document.layers is None:
        raise Invalid(manifest.digest, 0, "neither an index nor the manifest of an image")
    opened = _opened(registry, manifest)
    told = opened[1]
    runs_on = platform or Platform(told.os, told.architecture, told.variant)
    name = manifest.digest
    return [Candidate(name, shown(str(runs_on)), lambda: opened, manifest.digest)]


def _of_descriptor(registry: Registry, descriptor: Descriptor, depth: int) -> list[Found]:
    """The images behind one line of an index; opened only where it does not say their platform."""
    platform = descriptor.platform
    if platform is not None and platform.os == "unknown":
        return []  # an attestation about an image
    if not DIGEST.fullmatch(descriptor.digest):
        raise Invalid("an index", 0, f"`{shown(descriptor.digest[:100])}` is no digest")
    is_index = "index" in descriptor.media_type or "list" in descriptor.media_type
    if platform is None or is_index:
        return _candidates(registry, registry.manifest(descriptor.digest), platform, depth + 1)
    digest = descriptor.digest

    def layers() -> tuple[list[Descriptor], Config]:
        return _opened(registry, registry.manifest(digest))

    return [Candidate(shown(digest), shown(str(platform)), layers, digest)]


def _opened(registry: Registry, manifest: Manifest) -> tuple[list[Descriptor], Config]:
    document = decoded(manifest.data, Document, manifest.digest)
    if document.config is None or document.layers is None:
        raise Invalid(manifest.digest, 0, "it is not the manifest of an image")
    kind = document.config.media_type
    if kind and "config" not in kind and "image" not in kind:
        return document.layers, Config()
    config = registry.document(document.config)
    return document.layers, decoded(config, Config, document.config.digest)


def _check_version(manifest: Manifest, name: str) -> None:
    version = decoded(manifest.data, _Version, manifest.digest)
    if version.schema_version == 1:
        raise ArtifactUnreadableError(
            f"`{name}` is an image of docker's first schema, which no current client pulls",
            hint="push it again with a current docker or skopeo",
        )
