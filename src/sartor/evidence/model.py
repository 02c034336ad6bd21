"""The documents that `sartor evidence` prints."""

from __future__ import annotations

from typing import Literal

import msgspec

from sartor.artifact.model import Evidence, TargetKind
from sartor.evidence.row import Extent, Names, Origin, Row

Where = Literal["store", "snapshot", "file"]
Outcome = Literal["added", "replaced", "same", "kept", "known", "conflict", "newer", "failed"]
Check = Literal["same", "different", "not-checked"]


class KeptEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of one file; see `sartor.evidence.row.Row`.

    ``is_current``: today's readers would say the same; else it is read again when it is needed.
    ``stated_by`` is None where the sha256 was computed of the whole file; else an index stated it,
    and parts of the file were read. ``evidence`` is there where one file was asked for.
    """

    sha256: str
    name: str
    size: int
    kind: TargetKind
    project: str | None
    version: str | None
    read_at: str
    reader: int
    names: Names
    extent: Extent
    origin: Origin
    is_current: bool
    where: Where
    stated_by: str | None = None
    evidence: Evidence | None = None


class EvidenceList(msgspec.Struct, frozen=True, tag_field="schema", tag="sartor.evidence-list/1"):
    """What `sartor evidence show` prints: what is kept, by project, version and name."""

    rows: list[KeptEvidence]


class Scanned(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one file or row. ``why`` says what failed, or where two differ.

    ``known``: it was there, and nothing was read. ``kept``: the row that is there says more.
    ``conflict``: the two say different things of the same bytes; the one that was there stays.
    ``newer``: a newer Sartor's readers wrote it, which this one does not understand.
    """

    name: str
    outcome: Outcome
    sha256: str | None = None
    why: str | None = None


class ScanDocument(msgspec.Struct, frozen=True, tag_field="schema", tag="sartor.evidence-scan/1"):
    """What `sartor evidence scan` and `import` print: one entry for each file or row."""

    rows: list[Scanned]


class ExportDocument(
    msgspec.Struct, frozen=True, tag_field="schema", tag="sartor.evidence-exported/1"
):
    """What `sartor evidence export` prints: the file, how many rows and bytes, and its sha256."""

    file: str
    rows: int
    bytes: int
    sha256: str


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """Whether what is kept of a file is what its bytes say now. ``why``: how they differ."""

    name: str
    sha256: str | None
    outcome: Check
    why: list[str] = []


class VerifyDocument(
    msgspec.Struct, frozen=True, tag_field="schema", tag="sartor.evidence-verified/1"
):
    """What `sartor evidence verify` prints: one entry for each file or row."""

    rows: list[Verified]


def kept(row: Row, where: Where, evidence: Evidence | None = None) -> KeptEvidence:
    """A row as documents show it."""
    return KeptEvidence(
        sha256=row.sha256,
        name=row.name,
        size=row.size,
        kind=row.kind,
        project=row.project,
        version=row.version,
        read_at=row.read_at,
        reader=row.reader,
        names=row.names,
        extent=row.extent,
        origin=row.origin,
        is_current=row.is_current,
        where=where,
        stated_by=row.stated_by,
        evidence=evidence,
    )
