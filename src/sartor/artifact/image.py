"""The files of a container image: its layers, read from the uppermost down, each once.

What an upper layer replaces or removes is thus known before it is met. Within a layer the order
does not matter: a whiteout hides what lies in the layers below. After the OCI image specification,
version 1.1.
"""

from __future__ import annotations

import hashlib
from itertools import chain
from posixpath import basename, dirname
from typing import TYPE_CHECKING, NamedTuple, Protocol

from sartor.artifact.inflate import gunzip, unzstd
from sartor.artifact.members import (
    GZIP_MAGIC,
    MOST_PLAIN,
    ZSTD_MAGIC,
    most_bytes,
    path_fault,
    shown,
)
from sartor.artifact.model import NotRead
from sartor.artifact.oci import Images
from sartor.artifact.source import FileSource, Invalid
from sartor.artifact.stream import StreamedSource
from sartor.artifact.tar import TarReader, tar_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sartor.artifact.oci import Identity, Layer
    from sartor.artifact.source import Source
    from sartor.artifact.tar import TarMember

SKIPPED_FRAME_MAGIC = b"\x2a\x4d\x18"
"""From the second byte on: zstd:chunked layers may begin with a frame that is skipped."""
MAGIC = 4
WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"
MOST_PATHS = 1 << 21
"""Of all layers; their hashes take some 150 MB then, and 30 MB for the largest images known."""
MOST_NAMES = 32 << 20
"""Characters in the paths of a layer's files that are wanted."""


class ImageMembers:
    """The files of the image that is made of ``layers``, the lowest first."""

    def __init__(
        self,
        layers: list[Layer],
        not_read: list[NotRead],
        close: Callable[[], None],
        identity: Identity | None = None,
    ) -> None:
        self.not_read = not_read
        self.close = close
        self.identity = identity
        self._layers = layers

    def walk(self, wanted: Callable[[str], bool]) -> Iterator[tuple[str, Source]]:
        """Each wanted regular file that is visible in the image; of hard links the first."""
        above = Hidden()
        for layer in reversed(self._layers):
            walk = LayerWalk(tar_layer(layer), above, wanted, self.not_read)
            yield from walk.files()
            yield from walk.behind_links()
            walk.pass_on()


class Hidden:
    """What the layers that were read hide in those below."""

    def __init__(self) -> None:
        self.gone: set[int] = set()
        self.folders: set[int] = set()
        self.emptied: set[int] = set()

    def add(self, other: Hidden) -> None:
        """Hide what ``other`` hides, too."""
        self.gone |= other.gone
        self.folders |= other.folders
        self.emptied |= other.emptied

    def hides(self, path: str) -> bool:
        """Whether a file of a lower layer at ``path`` is not in the image."""
        if hash(path) in self.gone or hash(path) in self.folders:
            return True
        while path:
            path = dirname(path)
            if hash(path) in self.emptied or hash(path) in self.gone:
                return True
        return False


class LayerPass(Protocol):
    """One pass over a layer's members. ``data`` are those of the member at hand, once."""

    def members(self) -> Iterator[TarMember]:
        """Each member, in their order; raises `Invalid`."""

    def data(self, member: TarMember) -> Iterator[bytes]:
        """The bytes of the member at hand."""

    def skip(self, to: int) -> None:
        """Go on to the member whose ``offset`` is ``to``."""

    def check(self) -> None:
        """Raise `Invalid` where all that went by is not what its digest says."""


class OpenLayer(NamedTuple):
    """A layer that can be gone over, as often as is wanted."""

    name: str
    opened: Callable[[], LayerPass]


class LayerWalk:
    """One layer, in one pass; a second one where only a link to a file is wanted.

    ``above`` is what the layers above it hide. ``here`` is then what this one hides, ``same`` the
    other names (hard links) of files that were given, each with the name that was.
    """

    def __init__(
        self,
        layer: OpenLayer,
        above: Hidden,
        wanted: Callable[[str], bool],
        not_read: list[NotRead],
    ) -> None:
        self._layer = layer
        self._above = above
        self._wanted = wanted
        self._not_read = not_read
        self.here = Hidden()
        self.same: dict[str, str] = {}
        self._given: set[str] = set()
        self._behind: dict[str, str] = {}
        self._names_left = MOST_NAMES

    def files(self) -> Iterator[tuple[str, Source]]:
        """The visible wanted files; raises `Invalid` at the end for another digest."""
        reader = self._layer.opened()
        for member in reader.members():
            path = _in_image(member.path)
            name = basename(path)
            if name.startswith(WHITEOUT):
                self._whiteout(path, name)
                continue
            visible = self._wanted(path) and not self._above.hides(path)
            self._note(path, member, visible)
            if visible and member.kind == "hardlink":
                self._link(path, member)
            elif visible and (why := self._fault(path, member)):
                self._not_read.append(NotRead(shown(path), why, member.offset))
            elif visible and member.kind == "file":
                self._count(path)
                self._given.add(path)
                yield path, self._source(path, member, reader)
        reader.check()

    def behind_links(self) -> Iterator[tuple[str, Source]]:
        """The files that are wanted under the name of a hard link alone."""
        if not self._behind:
            return
        reader = self._layer.opened()
        for member in reader.members():
            path = _in_image(member.path)
            if member.kind != "file" or path not in self._behind:
                continue
            link = self._behind.pop(path)
            if why := self._fault(link, member):
                self._not_read.append(NotRead(link, why, member.offset))
            else:
                yield link, self._source(link, member, reader)
        for path, link in self._behind.items():
            why = f"it is a hard link to `{shown(path)}`, which is no file of its layer"
            self._not_read.append(NotRead(link, why))

    def pass_on(self) -> None:
        """What this layer hides, it hides from the next one on."""
        self._above.add(self.here)

    def _whiteout(self, path: str, name: str) -> None:
        folder = dirname(path)
        if name == OPAQUE:
            self.here.emptied.add(hash(folder))
        else:
            hidden = name.removeprefix(WHITEOUT)
            self.here.gone.add(hash(f"{folder}/{hidden}" if folder else hidden))

    def _note(self, path: str, member: TarMember, visible: bool) -> None:
        if member.kind != "folder":
            self.here.gone.add(hash(path))
        elif visible:
            self.here.folders.add(hash(path))
        if len(self.here.gone) + len(self._above.gone) > MOST_PATHS:
            raise Invalid(self._layer.name, member.offset, f"more than {MOST_PATHS} files")

    def _link(self, path: str, member: TarMember) -> None:
        target = _in_image(member.link)
        if why := path_fault(path):
            self._not_read.append(NotRead(shown(path), why, member.offset))
            return
        self._count(path)
        if target in self._given or target in self._behind:
            self.same[path] = self._behind.get(target, target)
            return
        self._count(target)
        self._behind[target] = path

    def _count(self, path: str) -> None:
        self._names_left -= len(path) + 100
        if self._names_left < 0:
            raise Invalid(self._layer.name, 0, "more files are wanted of it than is read")

    def _fault(self, path: str, member: TarMember) -> str | None:
        if why := path_fault(path):
            return why
        if path in self._given:
            return "its layer has it twice; the first was read"
        if member.kind == "sparse":
            return "it is stored as a sparse file"
        if member.size > most_bytes(path):
            return f"it has {member.size} bytes, more than is read of such a file"
        return None

    def _source(self, path: str, member: TarMember, reader: LayerPass) -> StreamedSource:
        """The member's bytes: the first time those that come by, later out of a fresh stream."""
        live = iter((reader,))

        def stream() -> Iterator[bytes]:
            now = next(live, None)
            if now is None:
                now = self._layer.opened()
                now.skip(member.offset)
            return now.data(member)

        return StreamedSource(stream, member.size, path)


def _in_image(path: str) -> str:
    """A path from the image's root, however a layer's maker begins it."""
    return path.removeprefix("./").strip("/")


class TarPass(TarReader):
    """One pass over a layer as a tar."""

    def __init__(self, layer: Layer) -> None:
        self._layer_stream = _LayerStream(layer)
        super().__init__(self._layer_stream.plain(), layer.name)

    def check(self) -> None:
        """Raise `Invalid` where the layer's bytes have another digest."""
        self._layer_stream.check()


def tar_layer(layer: Layer) -> OpenLayer:
    """A layer whose bytes are a tar, compressed or not."""
    return OpenLayer(layer.name, lambda: TarPass(layer))


class _LayerStream:
    """The plain bytes of a layer, with the digest of what it is of taken on the way."""

    def __init__(self, layer: Layer) -> None:
        self._layer = layer
        algorithm, _, self._digest = (layer.digest or "sha256:").partition(":")
        self._hash = hashlib.new(algorithm)
        self._stored = self._tapped(layer.pieces(), not layer.of_plain)
        self._plain = self._tapped(plain_tar(self._stored, layer.name), layer.of_plain)

    def plain(self) -> Iterator[bytes]:
        """The tar; raises `Invalid` where it is no tar, or a too large one."""
        done = 0
        for piece in self._plain:
            done += len(piece)
            if done > MOST_PLAIN:
                raise Invalid(self._layer.name, done, f"a layer of more than {MOST_PLAIN} bytes")
            yield piece

    def check(self) -> None:
        """Read what is left, and raise `Invalid` where the digest is not the one that was noted."""
        rest = self.plain() if self._layer.of_plain else self._stored
        for _ in rest:
            pass
        if self._digest and self._hash.hexdigest() != self._digest:
            reason = f"its bytes have another digest than `{self._layer.digest}`"
            raise Invalid(self._layer.name, 0, reason)

    def _tapped(self, stream: Iterator[bytes], tap: bool) -> Iterator[bytes]:
        for piece in stream:
            if tap:
                self._hash.update(piece)
            yield piece


def plain_tar(stored: Iterator[bytes], name: str) -> Iterator[bytes]:
    """The tar of a layer, by the magic of its compression; raises `Invalid` as it is read."""
    begun = b""
    while len(begun) < MAGIC and (piece := next(stored, b"")):
        begun += piece
    magic, stored = begun[:MAGIC], chain([begun], stored)
    if magic.startswith(GZIP_MAGIC):
        return gunzip(stored, name)
    if magic == ZSTD_MAGIC or magic[1:] == SKIPPED_FRAME_MAGIC:
        return unzstd(stored, name)
    return stored


def folder_image(root: Path, platform: str | None) -> ImageMembers:
    """The image of an OCI layout. Raises as `Images.choose` does."""
    opened: list[FileSource] = []

    def find(path: str) -> Source | None:
        if path_fault(path):
            return None
        try:
            opened.append(FileSource(root / path, path))
        except OSError:
            return None
        return opened[-1]

    def close() -> None:
        for source in opened:
            source.close()

    images = Images(find, root.name)
    try:
        layers = images.choose(platform)
    except BaseException:
        close()
        raise
    return ImageMembers(layers, images.not_read, close, images.identity)


def archive_image(source: Source, platform: str | None, close: Callable[[], None]) -> ImageMembers:
    """The image of a tar around a layout, or around what `docker save` writes. Raises likewise."""
    images = Images(tar_files(source).get, source.name)
    layers = images.choose(platform)
    return ImageMembers(layers, images.not_read, close, images.identity)
