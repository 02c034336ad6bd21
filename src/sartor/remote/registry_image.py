"""An image in a registry, read where it is: its manifest, then its layers, several at a time.

Each layer goes by once, is inflated and walked in memory, and held against its digest. Layers are
read without knowing what those above them hide; what is hidden is taken out where the parts are
joined, the uppermost first, so that what is left is what a container sees.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from sartor.artifact.image import MOST_PATHS, Hidden, LayerWalk
from sartor.artifact.members import matters, shown
from sartor.artifact.model import Evidence, NotRead
from sartor.artifact.oci import MOST_LAYERS, Layer
from sartor.artifact.reading import Progress, Walk
from sartor.artifact.source import Invalid
from sartor.errors import ArtifactUnreadableError
from sartor.paths import human_bytes
from sartor.remote.layer_look import look_at
from sartor.remote.layer_plan import declared, why_skip, worth_a_look
from sartor.remote.registry_choice import choose_image, platform_of
from sartor.remote.room import LARGE, ROOM, Room

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sartor.artifact.oci import Descriptor
    from sartor.artifact.reading import NamesWanted
    from sartor.artifact.source import Source
    from sartor.remote.file import RemoteFile
    from sartor.remote.image_reference import ImageReference
    from sartor.remote.registry import Registry
    from sartor.remote.registry_choice import RegistryImage

THREADS = 3
AHEAD = 6
"""Layers that may be read before the one above them is."""
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
        reading = _Reading(registry, image, wanted)
        total = sum(file.size for file in reading.files)
        registry.on_bytes = lambda came: on_bytes(came, total)
        walk = reading.joined()
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
        libraries=sorted(walk.libraries, key=lambda library: library.path),
        not_read=[*image.not_read, *reading.not_read, *walk.not_read],
    )


class _Part(NamedTuple):
    """One layer, read: ``layer`` to read it again, what was found, and what it hides."""

    layer: Layer
    walk: Walk
    seen: LayerWalk
    not_read: list[NotRead]


class _Reading:
    """All layers of one image that have to be read."""

    def __init__(self, registry: Registry, image: RegistryImage, wanted: ImageWanted) -> None:
        self.not_read: list[NotRead] = []
        self.files: list[RemoteFile] = []
        self._registry = registry
        self._room = Room(ROOM)
        self._walk = Walk(wanted.names, Progress(), image.name)
        if len(image.layers) > MOST_LAYERS:
            raise Invalid(image.name, 0, f"{len(image.layers)} layers: more than is read")
        made = declared(image.history, len(image.layers))
        for descriptor, created_by in zip(image.layers, made, strict=True):
            self._plan(descriptor, created_by, wanted)

    def joined(self) -> Walk:
        """What a container sees of all layers."""
        above = Hidden()
        for read in self._parts():
            again = _lost_by_links(read, above)
            part = self._read(read.layer, above) if again else read
            _take_out(part, above)
            self.not_read += part.not_read
            self._walk.join(part.walk)
            above.add(part.seen.here)
            if len(above.gone) > MOST_PATHS:
                raise Invalid(part.layer.name, 0, f"more than {MOST_PATHS} files")
        return self._walk

    def _plan(self, descriptor: Descriptor, created_by: str | None, wanted: ImageWanted) -> None:
        """Read this layer, or say why not."""
        if any(word in descriptor.media_type for word in FOREIGN):
            why = "this layer is not distributed with the image"
            self.not_read.append(NotRead(shown(descriptor.digest), why))
            return
        file = self._registry.blob(descriptor)
        if not wanted.all_layers and worth_a_look(created_by, file.size):
            with self._registry.reading():
                look = look_at(file)
            if reason := why_skip(created_by, look):
                why = (
                    f"{look.fetched} of this layer's {file.size} bytes "
                    f"({human_bytes(file.size)}) were fetched: {reason}; what else it holds or "
                    "removes was not looked at, nor was its digest checked (`--all-layers`)"
                )
                self.not_read.append(NotRead(descriptor.digest, why))
                return
        self.files.append(file)

    def _parts(self) -> Iterator[_Part]:
        """Each layer, the uppermost first, several read at a time."""
        pool = ThreadPoolExecutor(THREADS)
        waiting = deque(
            Layer(f.name, partial(f.stream, 0, f.size), f.size, f.name)
            for f in reversed(self.files)
        )
        running = deque(pool.submit(self._read, waiting.popleft()) for _ in _first(waiting))
        try:
            while running:
                yield running.popleft().result()
                if waiting:
                    running.append(pool.submit(self._read, waiting.popleft()))
        except BaseException:
            self._registry.close()
            raise
        finally:
            pool.shutdown(cancel_futures=True)

    def _read(self, layer: Layer, above: Hidden | None = None) -> _Part:
        notes: list[NotRead] = []
        seen = LayerWalk(layer, above or Hidden(), matters, notes)
        walk = self._walk.another()
        with self._registry.reading():
            for path, source in chain(seen.files(), seen.behind_links()):
                self._meet(walk, path, source)
        return _Part(layer, walk, seen, notes)

    def _meet(self, walk: Walk, path: str, source: Source) -> None:
        with self._room.taking(min(source.size, LARGE)):
            walk.meet(path, source)


def _first(waiting: Sequence[Layer]) -> range:
    return range(min(AHEAD, len(waiting)))


def _lost_by_links(part: _Part, above: Hidden) -> bool:
    """Whether a file is hidden under the name it was read by, and not under another one."""
    return any(
        above.hides(given) and not above.hides(name) for name, given in part.seen.same.items()
    )


def _take_out(part: _Part, above: Hidden) -> None:
    """Forget what the layers above hide."""
    walk = part.walk
    walk.libraries[:] = [lib for lib in walk.libraries if not above.hides(lib.path)]
    walk.not_read[:] = [note for note in walk.not_read if not above.hides(note.path)]
    part.not_read[:] = [note for note in part.not_read if not above.hides(note.path)]
    for folder, texts in walk.texts.items():
        for name in [name for name in texts if above.hides(f"{folder}/{name}")]:
            del texts[name]
    walk.texts = {folder: texts for folder, texts in walk.texts.items() if texts}
