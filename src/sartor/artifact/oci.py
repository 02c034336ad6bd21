"""Which layers an image has: OCI layouts (a folder, or a tar of one) and `docker save` archives.

After the OCI image specification 1.1 and the docker image specification 1.2. Every document that is
addressed by a digest is compared with it; what is chosen is chosen by content, not by media type.
"""

from __future__ import annotations

import hashlib
import re
from functools import partial
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

import msgspec

from sartor.artifact.inflate import pieces
from sartor.artifact.members import shown
from sartor.artifact.model import NotRead
from sartor.artifact.source import Invalid
from sartor.errors import ArtifactUnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sartor.artifact.source import Source

INDEX, DOCKER_INDEX = "index.json", "manifest.json"
DIGEST = re.compile(r"(sha256):([0-9a-f]{64})|(sha512):([0-9a-f]{128})")
DEFAULT_PLATFORM = "linux/amd64"
MOST_DOCUMENT = 8 << 20
"""A manifest, an index, a configuration: some kilobytes, and a few hundred with a long history."""
MOST_DOCUMENTS = 256
MOST_LAYERS = 512
"""Docker stops at 127."""


class Platform(msgspec.Struct, frozen=True):
    """What an image runs on."""

    os: str = ""
    architecture: str = ""
    variant: str | None = None

    def __str__(self) -> str:
        return "/".join(p for p in (self.os, self.architecture, self.variant) if p)


class Descriptor(msgspec.Struct, frozen=True, rename="camel"):
    """A blob by its digest."""

    digest: str
    size: int | None = None
    media_type: str = ""
    platform: Platform | None = None
    annotations: dict[str, str] | None = None


class Document(msgspec.Struct, frozen=True):
    """An index (``manifests``) or an image's manifest (``config`` and ``layers``)."""

    manifests: list[Descriptor] | None = None
    config: Descriptor | None = None
    layers: list[Descriptor] | None = None


class Step(msgspec.Struct, frozen=True):
    """One step of how an image was made, as its maker declares it; ``empty_layer``: it has none."""

    created_by: str = ""
    empty_layer: bool = False


class RootFs(msgspec.Struct, frozen=True):
    """The digests of the layers as plain tars."""

    diff_ids: list[str] = []


class Config(msgspec.Struct, frozen=True):
    """Of an image's configuration: what it runs on, and its layers."""

    os: str = ""
    architecture: str = ""
    variant: str | None = None
    rootfs: RootFs = RootFs()
    history: list[Step] | None = None


class DockerImage(msgspec.Struct, frozen=True, rename="pascal"):
    """One image of a `docker save` archive."""

    config: str
    layers: list[str]
    repo_tags: list[str] | None = None


class Layer(NamedTuple):
    """One layer; ``pieces`` gives its bytes as they are, from the first one.

    ``digest`` is of these, or (``of_plain``) of the decompressed ones.
    """

    name: str
    pieces: Callable[[], Iterator[bytes]]
    size: int
    digest: str | None
    of_plain: bool = False


def stored_layer(name: str, source: Source, digest: str | None, *, of_plain: bool = False) -> Layer:
    """A layer whose bytes are a source's."""
    return Layer(name, partial(pieces, source), source.size, digest, of_plain)


LayerKind = TypeVar("LayerKind")


class Candidate(NamedTuple, Generic[LayerKind]):
    """One image among several. ``digest`` is its manifest's, where it has one."""

    name: str
    platform: str
    layers: Callable[[], LayerKind]
    digest: str | None = None


class Identity(NamedTuple):
    """Which image was read: its platform, its manifest's sha256, its layers' size as they are."""

    platform: str
    sha256: str | None
    size: int


T = TypeVar("T")


class Images:
    """The images of one layout. ``find`` gives the file at a path, or None.

    ``not_read`` says what is there besides the image that was chosen.
    """

    def __init__(self, find: Callable[[str], Source | None], name: str) -> None:
        self.not_read: list[NotRead] = []
        self.identity = Identity("", None, 0)
        self._find = find
        self._name = name
        self._documents = 0

    def choose(self, platform: str | None) -> list[Layer]:
        """The layers of the image for ``platform``, the lowest first.

        Raises `Invalid` where the layout does not hold together, `ArtifactUnreadableError` where
        it has no such image.
        """
        chosen = choose(self._candidates(), platform, self._name, self.not_read)
        layers = chosen.layers()
        sha256 = (chosen.digest or "").removeprefix("sha256:")
        self.identity = Identity(
            chosen.platform, sha256 or None, sum(layer.size for layer in layers)
        )
        return layers

    def _candidates(self) -> list[Candidate[list[Layer]]]:
        if (source := self._find(INDEX)) is not None:
            return self._of_index(decoded(_read_all(source), Document, source.name), 0)
        source = self._find(DOCKER_INDEX)
        if source is None:
            raise Invalid(self._name, 0, f"neither `{INDEX}` nor `{DOCKER_INDEX}` is in it")
        images = decoded(_read_all(source), list[DockerImage], source.name)
        return [self._docker_candidate(image) for image in images[:MOST_DOCUMENTS]]

    def _of_index(self, index: Document, depth: int) -> list[Candidate[list[Layer]]]:
        found: list[Candidate[list[Layer]]] = []
        for descriptor in index.manifests or []:
            if descriptor.platform is not None and descriptor.platform.os == "unknown":
                continue  # an attestation about an image
            data = self._blob(descriptor)
            if data is None:
                where = shown(descriptor.digest)
                self.not_read.append(NotRead(where, "this manifest is not in the layout"))
                continue
            document = decoded(data, Document, descriptor.digest)
            if document.manifests is not None and depth < 4:
                found += self._of_index(document, depth + 1)
            elif document.config is not None and document.layers is not None:
                found += self._oci_candidate(descriptor, document.config, document.layers)
        return found

    def _oci_candidate(
        self, descriptor: Descriptor, config: Descriptor, layers: list[Descriptor]
    ) -> list[Candidate[list[Layer]]]:
        if layers and not any("tar" in layer.media_type for layer in layers):
            return []  # a signature, a chart: stored like an image, and none
        platform = descriptor.platform
        if platform is None:
            data = self._blob(config)
            told = decoded(data, Config, config.digest) if data else Config()
            platform = Platform(told.os, told.architecture, told.variant)
        tag = (descriptor.annotations or {}).get("org.opencontainers.image.ref.name")
        name = shown(tag or descriptor.digest)
        shown_platform = shown(str(platform))
        return [
            Candidate(name, shown_platform, lambda: self._oci_layers(layers), descriptor.digest)
        ]

    def _oci_layers(self, layers: list[Descriptor]) -> list[Layer]:
        self._check_count(len(layers))
        found = []
        for layer in layers:
            source = self._find(_blob_path(layer.digest, self._name))
            if source is None:
                self.not_read.append(NotRead(layer.digest, "this layer is not in the layout"))
            elif layer.size is not None and source.size != layer.size:
                reason = f"the layer has {source.size} bytes, and its manifest says {layer.size}"
                raise Invalid(layer.digest, 0, reason)
            else:
                found.append(stored_layer(layer.digest, source, layer.digest))
        return found

    def _docker_candidate(self, image: DockerImage) -> Candidate[list[Layer]]:
        source = self._find(image.config)
        if source is None:
            raise Invalid(self._name, 0, f"its configuration `{shown(image.config)}` is not in it")
        config = decoded(_read_all(source), Config, source.name)
        platform = Platform(config.os, config.architecture, config.variant)
        name = shown((image.repo_tags or [image.config])[0])
        diff_ids = config.rootfs.diff_ids
        if len(diff_ids) != len(image.layers):
            reason = f"{len(image.layers)} layers, and {len(diff_ids)} in the configuration"
            raise Invalid(source.name, 0, reason)
        return Candidate(name, shown(str(platform)), lambda: self._docker_layers(image, diff_ids))

    def _docker_layers(self, image: DockerImage, diff_ids: list[str]) -> list[Layer]:
        self._check_count(len(image.layers))
        found = []
        for path, digest in zip(image.layers, diff_ids, strict=True):
            source = self._find(path)
            _blob_path(digest, self._name)
            if source is None:
                self.not_read.append(NotRead(shown(path), "this layer is not in the archive"))
            else:
                found.append(stored_layer(shown(path), source, digest, of_plain=True))
        return found

    def _check_count(self, count: int) -> None:
        if count > MOST_LAYERS:
            raise Invalid(self._name, 0, f"{count} layers: more than is read")

    def _blob(self, descriptor: Descriptor) -> bytes | None:
        """A document by its digest, compared with it; None where it is not there."""
        self._documents += 1
        if self._documents > MOST_DOCUMENTS:
            raise Invalid(self._name, 0, f"more than {MOST_DOCUMENTS} manifests")
        source = self._find(_blob_path(descriptor.digest, self._name))
        if source is None:
            return None
        data = _read_all(source)
        check_digest(data, descriptor.digest)
        return data


def choose(
    found: Sequence[Candidate[LayerKind]],
    platform: str | None,
    name: str,
    not_read: list[NotRead],
    default: str = DEFAULT_PLATFORM,
) -> Candidate[LayerKind]:
    """The first image for ``platform``; the others go to ``not_read``.

    Where none is asked for it is the one for ``default``, or the only one. Raises
    `ArtifactUnreadableError`, with those that there are.
    """
    asked = platform or default
    fitting = [c for c in found if f"{c.platform}/".startswith(f"{asked}/")]
    if not fitting and platform is None and len(found) == 1:
        fitting = list(found)
    if not fitting:
        raise ArtifactUnreadableError(
            f"`{name}` has no image for {shown(asked)}",
            found=[f"{c.name}: {c.platform}" for c in found] or ["no image at all"],
            hint="`--platform` takes one of those that it has"
            if found
            else "an index is empty that nothing was pushed for, or that has attestations alone",
        )
    chosen = fitting[0]
    not_read += [
        NotRead(c.name, f"another image ({c.platform}); {chosen.name} was read")
        for c in found
        if c is not chosen
    ]
    return chosen


def check_digest(data: bytes, digest: str) -> None:
    """Raises `Invalid` where the bytes have another one, or it is none."""
    match = DIGEST.fullmatch(digest)
    if match is None:
        raise Invalid(shown(digest[:100]), 0, "it is no digest")
    algorithm, _, stated = digest.partition(":")
    if hashlib.new(algorithm, data).hexdigest() != stated:
        raise Invalid(digest, 0, "the bytes have another digest")


def _blob_path(digest: str, name: str) -> str:
    match = DIGEST.fullmatch(digest)
    if match is None:
        raise Invalid(name, 0, f"`{shown(digest[:100])}` is no digest")
    return f"blobs/{digest.replace(':', '/')}"


def _read_all(source: Source) -> bytes:
    if source.size > MOST_DOCUMENT:
        raise Invalid(source.name, 0, f"a document of {source.size} bytes: more than is read")
    return source.read(0, source.size)


def decoded(data: bytes, kind: type[T], name: str) -> T:
    """A document of that kind; raises `Invalid`."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Invalid(name, 0, f"not what it should be: {error}") from error
