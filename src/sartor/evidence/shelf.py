"""`Shelf`: the user's own store and the shipped snapshot, asked in that order by whoever reads.

A store that cannot be used is said once, and then everything is read from the files.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from sartor.artifact.source import Invalid
from sartor.closing import Closing
from sartor.errors import SartorError
from sartor.evidence.fingerprint import fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Self, TypeVar

    from sartor.artifact.model import Evidence
    from sartor.artifact.reading import Names, NamesWanted
    from sartor.evidence.row import Row
    from sartor.evidence.store import Put, Store
    from sartor.paths import Places
    from sartor.reporter import Reporter

    Answer = TypeVar("Answer")


class Shelf(Closing):
    """Where evidence is looked for, and kept. Use it as a context, and from one thread.

    ``put`` and ``refusal`` say what became of what was kept last.
    """

    def __init__(
        self, own: Store | None, shipped: Store | None, reporter: Reporter, *, strict: bool = False
    ) -> None:
        """``strict``: what a store raises is passed on."""
        self._own = own
        self._shipped = shipped
        self._reporter = reporter
        self._strict = strict
        self.put: Put | None = None
        self.refusal: str | None = None

    @classmethod
    def of(cls, places: Places | None, reporter: Reporter) -> Self:
        """The user's; with ``places`` of None nothing is looked for or kept (``--no-store``)."""
        shelf = cls(None, None, reporter)
        if places is not None:
            from sartor.evidence.snapshot import open_snapshot
            from sartor.evidence.store import open_store

            shelf._own = shelf._tried(lambda: open_store(places.evidence))
            shelf._shipped = shelf._tried(open_snapshot)
        return shelf

    def close(self) -> None:
        """Give the stores back."""
        for store in self._stores():
            store.close()

    def rows(self, sha256: str) -> list[Row]:
        """The rows of a file, the user's own first, none of them opened."""
        found = (self._tried(partial(store.get, sha256)) for store in self._stores())
        return [row for row in found if row is not None]

    def find(
        self, sha256: str, target: str, names: NamesWanted, stated_by: str | None = None
    ) -> Evidence | None:
        """What is known of the file ``sha256``, as reading it at ``target`` would say it.

        None where nothing is, or too little: names of kernels, a partial reading, an old one.
        ``stated_by``: see `sartor.evidence.row.Row`.
        """
        found = self.look_up(sha256, target, names, stated_by)
        return found[1] if found else None

    def look_up(
        self, sha256: str, target: str | None, names: NamesWanted, stated_by: str | None = None
    ) -> tuple[Row, Evidence] | None:
        """As `find`, with the row that it comes from; ``target`` None: under the row's own name."""
        from sartor.evidence.fit import fitted

        for store, row, evidence in self._known(sha256):
            found = fitted(row, evidence, target or row.name, names, stated_by)
            if found is not None:
                self._reporter.detail(f"{row.name}: known from `{store.path}`, read {row.read_at}")
                return row, found
        return None

    def widened(self, sha256: str, names: NamesWanted) -> NamesWanted:
        """The names to read of a file that is read again: those wanted, and those once read."""
        from sartor.evidence.fit import at_least

        for _, row, evidence in self._known(sha256):
            names = at_least(row, evidence, names)
        return names

    def keep(
        self,
        evidence: Evidence,
        names: Names,
        *,
        whole: bool = True,
        again: bool = False,
        stated_by: str | None = None,
    ) -> None:
        """Put into the store what was read; ``names`` is ``all`` where all were read of all.

        ``whole``: the whole file was at hand, so that what is not read of it never will be.
        ``stated_by``: see `sartor.evidence.row.Row`.
        """
        own = self._own
        if own is not None and own.writable:
            from sartor.evidence.row import row_of

            try:
                row = row_of(evidence, names, whole=whole, stated_by=stated_by)
            except Invalid as fault:
                self.refusal = fault.reason
                self._reporter.detail(f"not kept: {fault}")
                return
            self.put = self._tried(lambda: own.put(row, again=again))

    def options(self, sha256: str, reader: int) -> bytes | None:
        """What is kept of a wheel's options, as that reader read them."""
        for store in self._stores():
            found = self._tried(partial(store.options, sha256, reader))
            if found is not None:
                return found
        return None

    def keep_options(
        self, sha256: str, project: str, version: str, reader: int, document: bytes
    ) -> None:
        """Put what was read of a wheel's options into the user's store."""
        own = self._own
        if own is not None and own.writable:
            self._tried(lambda: own.put_options(sha256, project, version, reader, document))

    def forget_last(self) -> None:
        """Begin with another file: nothing was put."""
        self.put = self.refusal = None

    def may_know(self, size: int) -> bool:
        """Whether it knows of a file of that size, so that a digest is worth its time."""
        return any(self._tried(partial(store.has_size, size)) for store in self._stores())

    def digest(self, path: Path) -> str | None:
        """The sha256 of a file that was seen before, and did not change since."""
        own, mark = self._own, fingerprint(path)
        if own is None or mark is None:
            return None
        return self._tried(lambda: own.digest(mark.text))

    def remember(self, path: Path, before: str, sha256: str) -> None:
        """Know a file again, if it is as it was ``before``."""
        own, mark = self._own, fingerprint(path)
        if own is None or mark is None or not own.writable:
            return
        if mark.text == before and mark.is_settled:
            self._tried(lambda: own.remember(mark.text, sha256))

    def _known(self, sha256: str) -> Iterator[tuple[Store, Row, Evidence]]:
        for store in self._stores():
            row = self._tried(partial(store.get, sha256))
            if row is None:
                continue
            try:
                evidence = row.evidence()
            except Invalid as fault:
                self._reporter.warn(f"a row of `{store.path}` is passed over: {fault.reason}")
                continue
            yield store, row, evidence

    def _stores(self) -> list[Store]:
        return [store for store in (self._own, self._shipped) if store is not None]

    def _tried(self, act: Callable[[], Answer]) -> Answer | None:
        """What ``act`` gives; where the store fails it is said, and the store is left alone."""
        try:
            return act()
        except SartorError as error:
            if self._strict:
                raise
            self._reporter.warn(f"{error.message}; the evidence store is not used ({error.hint})")
            if self._own is not None:
                self._own.close()
                self._own = None
            return None
