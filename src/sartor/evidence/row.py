"""`Row`: the evidence of one file as the store and exports keep it, and which of two is better."""

from __future__ import annotations

import datetime
import hashlib
import posixpath
import re
from typing import TYPE_CHECKING, Literal

import msgspec
import zstandard

from sartor.artifact.model import Evidence, Package, TargetKind
from sartor.artifact.source import Invalid

if TYPE_CHECKING:
    from sartor.artifact.model import Library

Names = Literal["none", "one", "all"]
Extent = Literal["partial", "faults", "complete"]
Origin = Literal["read", "imported"]

READER_VERSION = 1
"""What evidence means. Raise it with every change of a reader that changes what it says of a file:
rows of an older one are then read again, or said to be old."""
MOST_DOCUMENT = 64 << 20
"""Bytes of one document as JSON; the largest known, with every kernel's name, has some 10 MB."""
MOST_WINDOW = 8 << 20
"""Bytes that a zstd frame may want to look back; what is written here wants 4 MiB at most."""
LEVEL = 9
SHA256 = re.compile(r"[0-9a-f]{64}")
KEPT_KINDS: frozenset[TargetKind] = frozenset({"wheel", "zip", "library", "cubin", "fatbin", "ptx"})
"""A folder has no sha256, and what is read of an image depends on the platform asked for."""
LEVELS: tuple[Names, ...] = ("none", "one", "all")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of one file. All but ``document`` can be seen without opening that.

    ``sha256`` is the file's, ``name`` the file's own, without a folder. ``reader`` is the
    `READER_VERSION` that read it and ``globs`` the digest of the facts' globs that were looked for.
    ``names``: of which images kernels' names were read: of none, of one per unit for those
    libraries that want it (``named`` counts them), or of all. ``extent``: ``complete``; ``faults``,
    where the whole file was at hand and some of it could not be read; ``partial``, where it was
    not. ``document`` is the `Evidence` as JSON, compressed with zstd and with a checksum.
    ``stated_by``: None where the sha256 was computed of the whole file. Else parts of it were read
    at an address (this is a digest of that), whose index states that sha256: the row answers there
    alone, for nobody saw whether other bytes are under that hash.
    """

    sha256: str
    name: str
    size: int
    kind: TargetKind
    project: str | None
    version: str | None
    read_at: str
    reader: int
    globs: str
    names: Names
    named: int
    extent: Extent
    origin: Origin
    document: bytes
    stated_by: str | None = None

    def evidence(self) -> Evidence:
        """The evidence, with the file's name for a target; `Invalid` where it is damaged."""
        return decoded(plain(self.document, self.sha256), self.sha256)

    def packages(self) -> list[Package]:
        """The evidence's packages alone, which come four times faster; raises as `evidence`."""
        data = plain(self.document, self.sha256)
        try:
            return msgspec.json.decode(data, type=_Packages).packages
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Invalid(self.sha256, 0, f"its document is no evidence: {error}") from error

    @property
    def is_current(self) -> bool:
        """Whether today's readers and facts would say the same."""
        return self.reader == READER_VERSION and self.globs == globs_of(self.project)


class _Packages(msgspec.Struct):
    """The part of a document that `Row.packages` wants."""

    packages: list[Package] = []


def row_of(
    evidence: Evidence, names: Names, *, whole: bool = True, stated_by: str | None = None
) -> Row:
    """The row of evidence that has a ``sha256`` and a size.

    ``names`` is ``all`` only where they were read of every library. ``whole``: the whole file was
    at hand. ``stated_by``: see `Row`. Raises `Invalid` where there is no sha256, the kind is not
    kept, or it is too large.
    """
    stored = without_place(evidence)
    try:
        data = msgspec.json.encode(stored)
    except UnicodeEncodeError as error:
        raise Invalid(ascii(stored.target), 0, "its name is no text") from error
    check_keepable(stored, len(data))
    package = main_package(stored)
    project = package.name if package else None
    return Row(
        sha256=str(stored.sha256),
        name=stored.target,
        size=stored.size or 0,
        kind=stored.kind,
        project=project,
        version=package.version if package else None,
        read_at=now(),
        reader=READER_VERSION,
        globs=globs_of(project),
        names=names,
        named=sum(has_names(library) for library in stored.libraries),
        extent=extent_of(stored, whole=whole),
        origin="read",
        document=packed(data),
        stated_by=stated_by,
    )


def check_keepable(evidence: Evidence, size: int) -> None:
    """Raises `Invalid` for evidence that has no place in the store."""
    reason = None
    if evidence.sha256 is None or not SHA256.fullmatch(evidence.sha256):
        reason = "it has no sha256"
    elif evidence.size is None or not 0 <= evidence.size < 1 << 62:
        reason = "it has no size"
    elif evidence.kind not in KEPT_KINDS:
        reason = f"evidence of a target of the kind `{evidence.kind}` is not kept"
    elif size > MOST_DOCUMENT:
        reason = f"its document would have {size} bytes"
    if reason:
        raise Invalid(evidence.target, 0, reason)


def without_place(evidence: Evidence) -> Evidence:
    """The evidence with the file's name for a target: no folder of this machine stays in it."""
    return msgspec.structs.replace(evidence, target=posixpath.basename(evidence.target))


def check_names(evidence: Evidence, names: Names) -> None:
    """Raises `Invalid` where a level of names is claimed that the libraries do not show."""
    with_units = [library for library in evidence.libraries if library.units]
    named = [has_names(library) for library in with_units]
    if (names == "none" and any(named)) or (names == "all" and not all(named)):
        raise Invalid(evidence.target, 0, f"it says `{names}` of the kernels' names")


def main_package(evidence: Evidence) -> Package | None:
    """The distribution that a wheel is; None for any other file, and where there are several."""
    one = evidence.kind == "wheel" and len(evidence.packages) == 1
    return evidence.packages[0] if one else None


def extent_of(evidence: Evidence, *, whole: bool) -> Extent:
    """How much of the file the evidence speaks of."""
    faults = evidence.not_read or any(library.not_read for library in evidence.libraries)
    if not faults:
        return "complete"
    return "faults" if whole else "partial"


def has_names(library: Library) -> bool:
    """Whether kernels' names were read of the library, or tried; one without units has none."""
    if library.kind in {"elf", "fatbin"}:  # a unit that stands for several has no offset
        return any(unit.offset is not None for unit in library.units)
    return any(unit.kernels is not None for unit in library.units)


def rank(row: Row) -> tuple[int, bool, bool, bool, int, int, bool, bool, str, str]:
    """Rows of one file in order: the greater says more, or says it of its own, and replaces.

    More names may come with faults that were not met without them: names count first. Of rows that
    answer at one address alone the later counts: there it is asked for now.
    """
    return (
        row.reader,
        row.globs == globs_of(row.project),
        row.extent != "partial",
        row.stated_by is None,
        LEVELS.index(row.names),
        row.named,
        row.extent == "complete",
        row.origin == "read",
        row.read_at if row.stated_by else "",
        row.stated_by or "",
    )


def globs_of(project: str | None) -> str:
    """A digest of the globs that facts look for in a distribution's files; empty without any.

    Which of them a wheel's ``RECORD`` matches is in its evidence, so that other globs make it old.
    """
    wanted = wanted_globs(project) if project else []
    return hashlib.sha256("\n".join(wanted).encode()).hexdigest()[:16] if wanted else ""


def wanted_globs(project: str) -> list[str]:
    """The globs of the facts about a distribution, sorted."""
    from sartor.facts.packages import facts_about

    about = facts_about(project)
    return sorted({glob for row in (about.compiler if about else ()) for glob in row.files})


def packed(data: bytes, level: int = LEVEL) -> bytes:
    """One zstd frame with its size and a checksum."""
    return zstandard.ZstdCompressor(level, write_checksum=True).compress(data)


def plain(document: bytes, name: str) -> bytes:
    """What `packed` was given; raises `Invalid`, and takes at most `MOST_DOCUMENT` bytes."""
    try:
        size = zstandard.frame_content_size(document)
        if not 0 <= size <= MOST_DOCUMENT:
            raise Invalid(name, 0, f"its document claims {size} bytes")
        return zstandard.ZstdDecompressor(max_window_size=MOST_WINDOW).decompress(document)
    except zstandard.ZstdError as error:
        raise Invalid(name, 0, f"its document is damaged: {error}") from error


def decoded(data: bytes, sha256: str) -> Evidence:
    """Evidence out of JSON, if it is of the file ``sha256`` and holds together; else `Invalid`."""
    try:
        evidence = msgspec.json.decode(data, type=Evidence)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(sha256, 0, f"its document is no evidence: {error}") from error
    if evidence.sha256 != sha256:
        raise Invalid(sha256, 0, f"its document is of another file, {evidence.sha256}")
    if "/" in evidence.target or evidence.target in {"", ".", ".."}:
        raise Invalid(sha256, 0, "its target is no file's name")
    for library in evidence.libraries:
        check_indices(library, sha256)
    return evidence


def check_indices(library: Library, name: str) -> None:
    """Raises `Invalid` where a unit speaks of an image that the library does not have."""
    end = len(library.images)
    for unit in library.units:
        spoken = [unit.images, unit.kernels_read, *(unit.kernels or {}).values()]
        if any(not 0 <= index < end for indices in spoken for index in indices):
            raise Invalid(name, 0, "a unit of its document has images that the library has not")
        if unit.count < 1 or unit.bytes < 0:
            raise Invalid(name, 0, "a unit of its document has a negative count or size")


def now() -> str:
    """UTC, to the second, as RFC 3339 writes it."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
