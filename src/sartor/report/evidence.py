"""What `sartor evidence` says to people."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING

from sartor.evidence.model import EvidenceList, ExportDocument, ScanDocument, VerifyDocument
from sartor.matrix.model import SupportMap
from sartor.paths import human_bytes
from sartor.report.table import table
from sartor.report.words import clean

if TYPE_CHECKING:
    import msgspec

    from sartor.evidence.model import KeptEvidence, Scanned, Verified

SHORT = 12
WRONG = {"failed", "conflict", "newer", "different"}
NONE_KEPT = "nothing is kept yet: `sartor evidence scan FILE` and `sartor inspect` read into it"


def status(document: msgspec.Struct) -> int:
    """1 where something failed, or is disputed; else 0."""
    if isinstance(document, (ScanDocument, VerifyDocument)):
        return int(any(row.outcome in WRONG for row in document.rows))
    return 0


def evidence_lines(document: msgspec.Struct) -> list[str]:
    """The document as text."""
    match document:
        case EvidenceList():
            return list_lines(document.rows)
        case ScanDocument() | VerifyDocument():
            return outcome_lines(document.rows)
        case ExportDocument():
            size = human_bytes(document.bytes)
            return [
                f"{document.rows} files' evidence, {size}, in {clean(document.file)}",
                f"sha256 {document.sha256}",
            ]
        case SupportMap():
            from sartor.report.inspection import layout_for
            from sartor.report.map.lines import map_lines

            return map_lines(document, layout_for(sys.stdout, detail=False, kernels=False).width)
        case _:
            raise TypeError(type(document).__name__)


def list_lines(rows: list[KeptEvidence]) -> list[str]:
    """One line for each file, or all that is known of those that were asked for."""
    if not rows:
        return [NONE_KEPT]
    cells = [["sha256", "file", "size", "kernels", "read", "remarks"]]
    cells += [
        [
            row.sha256[:SHORT],
            clean(row.name),
            human_bytes(row.size),
            row.names,
            row.read_at[:10],
            ", ".join(remarks(row)),
        ]
        for row in rows
    ]
    details = [line for row in rows for line in detail_lines(row)]
    return [*table(cells), *(details or ["", counts(rows)])]


def counts(rows: list[KeptEvidence]) -> str:
    """How many files are kept, and where: ``3 files: 1 in the snapshot, 2 in the store``."""
    places = Counter(str(row.where) for row in rows)
    where = ", ".join(f"{count} in the {place}" for place, count in sorted(places.items()))
    return f"{len(rows)} file{'s' if len(rows) > 1 else ''}: {where}"


def remarks(row: KeptEvidence) -> list[str]:
    """What is worth knowing of a row."""
    found: list[str] = [] if row.where == "store" else [row.where]
    found += [] if row.origin == "read" else [row.origin]
    found += [] if row.stated_by is None else ["read in parts: its index states the sha256"]
    found += [] if row.extent == "complete" else [f"{row.extent}: not all was read"]
    return found + ([] if row.is_current else ["old: it is read again when it is needed"])


def detail_lines(row: KeptEvidence) -> list[str]:
    """What was read, as `sartor inspect` shows it without a GPU; nothing where it was not asked."""
    if row.evidence is None:
        return []
    from sartor.report.inspection import layout_for, report_lines
    from sartor.verdict.inspection import judge

    layout = layout_for(sys.stdout, detail=True, kernels=False)
    return ["", f"sha256 {row.sha256}", *report_lines([judge(row.evidence, [])], layout)]


def outcome_lines(rows: list[Scanned] | list[Verified]) -> list[str]:
    """One line for each file and what became of it, then how many of each."""
    lines = []
    for row in rows:
        whys = [row.why] if isinstance(row.why, str) else row.why or []
        lines.append(f"{row.outcome:11}  {clean(row.name)}")
        lines += [f"             {clean(why)}" for why in whys]
    counts = Counter(str(row.outcome) for row in rows)
    lines.append(", ".join(f"{count} {name}" for name, count in counts.items()) or "nothing to do")
    return lines
