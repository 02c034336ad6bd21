"""Every document that ``--json`` prints or that is kept beside an environment, and its schema."""

from __future__ import annotations

from typing import Any

import msgspec

from sartor.artifact.model import Evidence
from sartor.build.model import Environment
from sartor.bundle.model import Bundle, BundleState
from sartor.errors import ErrorDocument, UsageError, did_you_mean
from sartor.evidence.model import EvidenceList, ExportDocument, ScanDocument, VerifyDocument
from sartor.fit.model import FitReport
from sartor.flags.model import FlagFindings, OptionsDiff, OptionSet, Translation
from sartor.host.model import Host
from sartor.lock.model import LockChanges, LockDocument
from sartor.matrix.model import SupportMap
from sartor.models.model import Model
from sartor.plan.model import Plan
from sartor.serve.model import Endpoint, LogsDocument, StatusDocument, StopDocument
from sartor.slim.environment.model import SlimUndone
from sartor.slim.environment.slimmed import Slimmed
from sartor.slim.model import Slimming
from sartor.slim.wheel.provenance import SlimmedWheel
from sartor.verdict.model import Inspection, Inspections
from sartor.verify.model import Report, ReportComparison


class VersionDocument(msgspec.Struct, frozen=True, tag_field="schema", tag="sartor.version/1"):
    """What `sartor --version --json` prints."""

    version: str
    python: str


class SchemaDocument(msgspec.Struct, frozen=True, tag_field="schema", tag="sartor.schema/1"):
    """What `sartor schema` prints: the JSON Schema (2020-12) of each document, by its name."""

    schemas: dict[str, dict[str, Any]]


DOCUMENTS: tuple[type[msgspec.Struct], ...] = (
    Bundle,
    BundleState,
    Endpoint,
    Environment,
    ErrorDocument,
    Evidence,
    EvidenceList,
    ExportDocument,
    FitReport,
    FlagFindings,
    Host,
    Inspection,
    Inspections,
    LockChanges,
    LockDocument,
    LogsDocument,
    Model,
    OptionSet,
    OptionsDiff,
    Plan,
    Report,
    ReportComparison,
    ScanDocument,
    SchemaDocument,
    SlimUndone,
    Slimmed,
    SlimmedWheel,
    Slimming,
    StatusDocument,
    StopDocument,
    SupportMap,
    Translation,
    VerifyDocument,
    VersionDocument,
)


def document_name(document: type[msgspec.Struct]) -> str:
    """The name and version that stand in the document's ``schema`` member."""
    return str(document.__struct_config__.tag)


def schemas(name: str | None = None) -> SchemaDocument:
    """The schema of one document, or of all; raises `UsageError` for an unknown name.

    A name may be given without its version, and without ``sartor.``.
    """
    known = {document_name(d): d for d in DOCUMENTS}
    chosen = {n: d for n, d in known.items() if name in {None, *_ways_to_write(n)}}
    if not chosen:
        raise UsageError(
            f"there is no document `{name}`",
            found=[f"documents: {', '.join(known)}"],
            hint=did_you_mean(str(name), known),
        )
    return SchemaDocument({n: _schema(d) for n, d in chosen.items()})


def _ways_to_write(name: str) -> set[str]:
    short = name.removeprefix("sartor.")
    return {name, short, name.partition("/")[0], short.partition("/")[0]}


def _schema(document: type[msgspec.Struct]) -> dict[str, Any]:
    generated = msgspec.json.schema(document)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **generated}
