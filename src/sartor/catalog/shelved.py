"""What was read of wheels before: evidence, and the parts that it shows for GPUs."""

from __future__ import annotations

import contextlib
import hashlib
from typing import TYPE_CHECKING, Literal

import msgspec

import sartor
from sartor.artifact.source import Invalid
from sartor.catalog.kept_plans import ROOT, marks, state
from sartor.evidence.row import READER_VERSION
from sartor.evidence.shelf import Shelf
from sartor.plan.known import Parts
from sartor.remote.address import address_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sartor.artifact.model import Evidence, Package
    from sartor.artifact.reading import Names
    from sartor.evidence.row import Row
    from sartor.kept import KeptFiles
    from sartor.paths import Places
    from sartor.plan.known import PartsQuestion
    from sartor.reporter import Reporter

JUDGES = ("artifact", "evidence", "facts", "matrix", "verdict")
"""Rooms whose code and facts decide what the parts of a wheel are."""


class Judged(msgspec.Struct, frozen=True):
    """What is kept of a wheel: its parts, None where nothing that was read can be judged."""

    parts: Parts | None


class Shelved:
    """Asks the user's store and the shipped snapshot. From one thread; close it.

    ``address`` gives the address at which a sha256 was met: evidence whose sha256 an index stated
    speaks for that address alone.
    """

    def __init__(
        self,
        places: Places | None,
        kept: KeptFiles,
        reporter: Reporter,
        address: Callable[[str], str | None],
    ) -> None:
        self._places = places
        self._kept = kept
        self._reporter = reporter
        self._address = address
        self._opened: Shelf | None = None
        self._marks: dict[str, str] = {}
        self._decoded: dict[tuple[str, str | None], tuple[Row, Evidence] | None] = {}

    def close(self) -> None:
        """Give the stores back."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def marks(self) -> dict[str, str]:
        """What changes with the rows that are kept, as it was before the first was looked at."""
        return self._marks

    def evidence(self, sha256: str) -> Evidence | None:
        """What was read of a file; None where nothing was."""
        found = self._found(sha256)
        return found[1] if found else None

    def reading(self, sha256: str) -> tuple[Row, Evidence] | None:
        """What was read of a file, and the row of the store that it is from."""
        return self._found(sha256)

    def package(self, sha256: str) -> Package | None:
        """What a wheel declares, as it was read; None where it was not."""
        from sartor.evidence.fit import with_compilers

        for row in self._shelf.rows(sha256):
            usable = row.kind == "wheel" and row.is_current and row.extent != "partial"
            if not usable or row.stated_by not in {None, self._stated_by(sha256)}:
                continue
            with contextlib.suppress(Invalid):
                packages = row.packages()
                if len(packages) == 1:
                    return with_compilers(packages[0])
        return None

    def parts(self, question: PartsQuestion) -> Parts | None:
        """The parts of a wheel for each target; None where it was never read.

        Judging a large wheel takes tens of milliseconds, so what came of it is kept, for as long
        as neither the rows nor the facts nor the code change.
        """
        rows = self._shelf.rows(question.sha256)
        if not rows:
            return None
        name = self._name(question, rows)
        kept = self._kept.get_as(name, Judged)
        if kept is None:
            kept = Judged(self._judged(question))
            self._kept.put(name, msgspec.json.encode(kept))
        return kept.parts

    def _judged(self, question: PartsQuestion) -> Parts | None:
        from sartor.matrix.parts import parts_of

        found = self._found(question.sha256)
        if found is None:
            return None
        row, evidence = found
        has_features, targets = parts_of(evidence, question.targets)
        are: Literal["features", "libraries"] = "features" if has_features else "libraries"
        return Parts(are=are, targets=targets, read_at=row.read_at)

    def _found(self, sha256: str) -> tuple[Row, Evidence] | None:
        """The row and its evidence, which takes milliseconds to decode and is asked for twice."""
        key = sha256, self._stated_by(sha256)
        if key not in self._decoded:
            self._decoded[key] = self._shelf.look_up(sha256, None, wanted_names, key[1])
        return self._decoded[key]

    def _stated_by(self, sha256: str) -> str | None:
        address = self._address(sha256)
        return address_digest(address) if address else None

    @property
    def _shelf(self) -> Shelf:
        if self._opened is None:
            self._opened = Shelf.of(self._places, self._reporter)
            if self._places is not None:
                own = self._places.evidence
                self._marks = marks([own, own.with_name(f"{own.name}-wal")])
        return self._opened

    def _name(self, question: PartsQuestion, rows: Sequence[Row]) -> str:
        own = msgspec.json.encode(
            [
                question,
                self._stated_by(question.sha256),
                [(row.read_at, row.reader, row.stated_by, _digest(row.document)) for row in rows],
                sartor.__version__,
                READER_VERSION,
                [state(ROOT / room) for room in JUDGES],
            ]
        )
        return f"{question.sha256[:32]}-{_digest(own)[:32]}.json"


def wanted_names(path: str) -> Names:
    """The kernels' names that parts are judged by."""
    from sartor.verdict.dispatch import wants_names

    return "one" if wants_names(path) else "none"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
