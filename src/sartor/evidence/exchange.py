"""Evidence as one file, to be carried to another machine; `docs/evidence.md` describes it.

A zstd stream of JSON lines: a header, a line for each row by sha256, and an end that counts the
rows and holds the sha256 of all lines before it, so that a file that was cut off is noticed. The
same rows give the same bytes.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import msgspec
import zstandard

from sartor.artifact.source import FileSource, Invalid
from sartor.evidence.row import (
    LEVEL,
    MOST_DOCUMENT,
    MOST_WINDOW,
    Extent,
    Names,
    Row,
    check_keepable,
    check_names,
    decoded,
    has_names,
    main_package,
    packed,
    plain,
)
from sartor.paths import explain_os_errors, make_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import BinaryIO

Struct = TypeVar("Struct", bound=msgspec.Struct)

FORMAT: Literal["sartor.evidence-export/1"] = "sartor.evidence-export/1"
IN_PIECE = 512
"""Bytes that are decompressed at a time: a few of zstd's may stand for 128 KiB each."""
MOST_LINE = MOST_DOCUMENT + (1 << 16)
MOST_ROWS = 1 << 20
MOST_PLAIN = 16 << 30
"""Bytes of all lines together: what bounds the time that a hostile file can take."""


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first line."""

    schema: Literal["sartor.evidence-export/1"]


Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Time = Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]
Number = Annotated[int, msgspec.Meta(ge=0, le=1 << 31)]
Digest = Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{16})?$")]
Address = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16}$")]


class Line(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True
):
    """One row: what a machine that reads it cannot know from the evidence itself."""

    sha256: Sha256
    read_at: Time
    reader: Number
    globs: Digest
    names: Names
    extent: Extent
    stated_by: Address | None = None
    evidence: msgspec.Raw


class End(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The last line: how many rows there are, and the sha256 of all lines before this one."""

    rows: Number
    sha256: Sha256


class Written(msgspec.Struct, frozen=True):
    """How much was written, and the sha256 of the file."""

    rows: int
    bytes: int
    sha256: str


def write_export(path: Path, rows: Iterable[Row]) -> Written:
    """Write ``rows``, which are in order, beside ``path`` and rename it there.

    Raises `Invalid` for a damaged row, `DiskFullError` and `FolderNotWritableError`.
    """
    make_folder(path.absolute().parent)
    with explain_os_errors(path):
        handle, name = tempfile.mkstemp(dir=path.absolute().parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                count = _write(file, rows)
            os.chmod(name, 0o644)  # noqa: PTH101 - the descriptor's file, by its name
            with Path(name).open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = Path(name).stat().st_size
            os.replace(name, path)  # noqa: PTH105
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    return Written(count, size, digest)


def _write(file: BinaryIO, rows: Iterable[Row]) -> int:
    digest, count = hashlib.sha256(), 0
    compressor = zstandard.ZstdCompressor(LEVEL, write_checksum=True)
    with compressor.stream_writer(file, closefd=False) as stream:

        def write(line: msgspec.Struct) -> None:
            data = msgspec.json.encode(line) + b"\n"
            digest.update(data)
            stream.write(data)

        write(Header(FORMAT))
        for row in rows:
            write(as_line(row))
            count += 1
        write(End(count, digest.hexdigest()))
    return count


def as_line(row: Row) -> Line:
    """The line of a row; raises `Invalid` where its document is damaged."""
    return Line(
        sha256=row.sha256,
        read_at=row.read_at,
        reader=row.reader,
        globs=row.globs,
        names=row.names,
        extent=row.extent,
        stated_by=row.stated_by,
        evidence=msgspec.Raw(plain(row.document, row.sha256)),
    )


def read_export(path: Path) -> Iterator[Row]:
    """The rows of an export, one by one; raises `Invalid` where the file does not hold together.

    What was yielded before that is void: whoever merges goes through the file once before. Holds
    one row at a time. Raises `OSError` where the file cannot be opened.
    """
    with FileSource(path) as source:
        lines = _lines(source)
        digest, count, last = hashlib.sha256(), 0, ""
        header = next(lines, b"")
        _as(Header, header, source.name, "its first line is no header of exported evidence")
        digest.update(header)
        for line in lines:
            if line.startswith(b'{"rows"'):
                _check_end(line, lines, source.name, End(count, digest.hexdigest()))
                return
            row = _row(_as(Line, line, source.name, f"row {count + 1} is none"))
            if row.sha256 <= last:
                raise Invalid(source.name, 0, f"row {count + 1} is not in order")
            digest.update(line)
            count, last = count + 1, row.sha256
            if count > MOST_ROWS:
                raise Invalid(source.name, 0, f"more than {MOST_ROWS} rows")
            yield row
    raise Invalid(source.name, 0, f"it ends after {count} rows, without its last line")


def _check_end(line: bytes, lines: Iterator[bytes], name: str, found: End) -> None:
    end = _as(End, line, name, "its last line is none")
    if end != found:
        reason = f"its last line speaks of {end.rows} rows, {end.sha256}; they are {found.rows}"
        raise Invalid(name, 0, f"{reason}, {found.sha256}")
    if next(lines, None) is not None:
        raise Invalid(name, 0, "something follows its last line")


def _row(line: Line) -> Row:
    """The row of a line: all that can be seen in the evidence is taken from there."""
    evidence = decoded(bytes(line.evidence), line.sha256)
    data = msgspec.json.encode(evidence)
    check_keepable(evidence, len(data))
    check_names(evidence, line.names)
    package = main_package(evidence)
    faults = bool(evidence.not_read or any(lib.not_read for lib in evidence.libraries))
    if faults == (line.extent == "complete"):
        raise Invalid(line.sha256, 0, f"it says `{line.extent}` of what was read")
    return Row(
        sha256=line.sha256,
        name=evidence.target,
        size=evidence.size or 0,
        kind=evidence.kind,
        project=package.name if package else None,
        version=package.version if package else None,
        read_at=line.read_at,
        reader=line.reader,
        globs=line.globs,
        names=line.names,
        named=sum(has_names(library) for library in evidence.libraries),
        extent=line.extent,
        origin="imported",
        document=packed(data),
        stated_by=line.stated_by,
    )


def _as(kind: type[Struct], line: bytes, name: str, otherwise: str) -> Struct:
    try:
        return msgspec.json.decode(line, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(name, 0, f"{otherwise}: {error}") from error


def _lines(source: FileSource) -> Iterator[bytes]:
    """The lines with their ends, in bounded memory."""
    held = bytearray()
    for piece in _plain_pieces(source):
        start = len(held)
        held += piece
        while (end := held.find(b"\n", start)) >= 0:
            yield bytes(held[: end + 1])
            del held[: end + 1]
            start = 0
        if len(held) > MOST_LINE:
            raise Invalid(source.name, 0, f"a line of more than {MOST_LINE} bytes")
    if held:
        raise Invalid(source.name, 0, "it ends in the middle of a line")


def _plain_pieces(source: FileSource) -> Iterator[bytes]:
    """What the one zstd frame holds, piece by piece; nothing may follow it."""
    total = at = 0
    inflate = zstandard.ZstdDecompressor(max_window_size=MOST_WINDOW).decompressobj()
    try:
        while at < source.size:
            if inflate.eof:
                raise Invalid(source.name, at, "something follows the compressed lines")
            step = min(IN_PIECE, source.size - at)
            piece = inflate.decompress(source.read(at, step))
            at += step
            total += len(piece)
            if total > MOST_PLAIN:
                raise Invalid(source.name, at, f"more than {MOST_PLAIN} bytes when decompressed")
            yield piece
    except zstandard.ZstdError as error:
        raise Invalid(source.name, at, f"it is not compressed as it should be: {error}") from error
    if not inflate.eof or inflate.unused_data:
        what = "it is cut off" if not inflate.eof else "something follows the compressed lines"
        raise Invalid(source.name, source.size, what)
