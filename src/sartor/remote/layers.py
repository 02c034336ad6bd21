"""Layers of one image, several read at a time.

They are read without knowing what those above them hide; what is hidden is taken out where the
parts are joined, the uppermost first, so that what is left is what a container sees.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from sartor.artifact.image import MOST_PATHS, Hidden, LayerWalk, OpenLayer
from sartor.artifact.members import matters
from sartor.artifact.source import Invalid
from sartor.artifact.stream import StreamedSource
from sartor.remote.room import LARGE, ROOM, Room

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from sartor.artifact.model import NotRead
    from sartor.artifact.reading import Walk
    from sartor.artifact.source import Source

THREADS = 3
AHEAD = 6
"""Layers that may be read before the one above them is."""


class _Part(NamedTuple):
    """One layer, read: ``layer`` to read it again, what was found, and what it hides."""

    layer: OpenLayer
    walk: Walk
    seen: LayerWalk
    not_read: list[NotRead]


class LayersReading:
    """Reads layers into a walk. ``guard`` is entered around what is read of the network.

    ``leave`` is called where one of them cannot be read, so that the others end.
    """

    def __init__(
        self,
        walk: Walk,
        guard: Callable[[], AbstractContextManager[None]],
        leave: Callable[[], None],
    ) -> None:
        self.not_read: list[NotRead] = []
        self._walk = walk
        self._guard = guard
        self._leave = leave
        self._room = Room(ROOM)

    def read(self, layers: Sequence[OpenLayer]) -> None:
        """What a container sees of the layers, the lowest given first; raises `Invalid`."""
        above = Hidden()
        for found in self._parts(layers):
            again = _lost_by_links(found, above)
            part = self._read(found.layer, above) if again else found
            _take_out(part, above)
            self.not_read += part.not_read
            self._walk.join(part.walk)
            above.add(part.seen.here)
            if len(above.gone) > MOST_PATHS:
                raise Invalid(part.layer.name, 0, f"more than {MOST_PATHS} files")

    def _parts(self, layers: Sequence[OpenLayer]) -> Iterator[_Part]:
        """Each layer, the uppermost first."""
        waiting = deque(reversed(layers))
        pool = ThreadPoolExecutor(THREADS)
        first = [waiting.popleft() for _ in range(min(AHEAD, len(waiting)))]
        running = deque(pool.submit(self._read, layer) for layer in first)
        try:
            while running:
                yield running.popleft().result()
                if waiting:
                    running.append(pool.submit(self._read, waiting.popleft()))
        except BaseException:
            self._leave()
            raise
        finally:
            pool.shutdown(cancel_futures=True)

    def _read(self, layer: OpenLayer, above: Hidden | None = None) -> _Part:
        notes: list[NotRead] = []
        seen = LayerWalk(layer, above or Hidden(), matters, notes)
        walk = self._walk.another()
        with self._guard():
            for path, source in chain(seen.files(), seen.behind_links()):
                with self._room.taking(min(source.size, LARGE)):
                    walk.meet(path, source)
                    _to_its_end(source)
        return _Part(layer, walk, seen, notes)


def _to_its_end(source: Source) -> None:
    """Let a digest of the file itself be checked; a fault of the bytes was said, or will be."""
    if isinstance(source, StreamedSource):
        with suppress(Invalid):
            source.finish()


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
