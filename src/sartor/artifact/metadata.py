"""What a distribution declares: ``METADATA``, ``WHEEL``, ``RECORD`` and the wheel's file name.

Metadata is read as leniently as pip reads it and never refused: what cannot be used becomes a
`NotRead` beside the package. The texts are cut into lines here, for a parser of e-mail takes
seconds over what a hostile file may hold.
"""

from __future__ import annotations

import fnmatch
import io
import posixpath
import re
from itertools import product
from typing import TYPE_CHECKING

import msgspec
from packaging.version import Version

from sartor.artifact.members import LIBRARY_WORDS, is_library
from sartor.artifact.model import NotRead, Package
from sartor.facts.packages import facts_about, normalized
from sartor.facts.versions import within_versions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MOST_METADATA = 16 << 20
"""Bytes of METADATA, PKG-INFO or WHEEL that are read; the largest known have under 1 MiB."""
MOST_RECORD = 64 << 20
"""Bytes of RECORD that are read; PyTorch's, with some 13,000 files, has 1.4 MB."""
MOST_HEADERS = 20_000
"""Header lines that are looked at. One distribution with all its extras has a few hundred."""
MOST_LIBRARIES = 1 << 16
"""Libraries of one package."""
MOST_TAGS = 1000
"""Tags that one wheel may expand to: ``py2.py3-none-any`` is two, the widest known some forty."""
MOST_NAME = 256
"""Letters of a wheel's name; file systems allow 255."""
MOST_PATH = 4096
"""Letters of a path; Linux allows no more."""


class Reading(msgspec.Struct, frozen=True):
    """A package, and what of its metadata could not be used."""

    package: Package
    not_read: list[NotRead] = []


def read_package(
    path: str,
    metadata: bytes | None,
    wheel: bytes | None = None,
    record: bytes | None = None,
    *,
    file_name: str | None = None,
) -> Reading:
    """The package whose ``.dist-info`` (``.egg-info``) is at ``path`` in the target.

    The three texts are those of ``METADATA`` (``PKG-INFO``), ``WHEEL`` and ``RECORD``; None for one
    that is not there. ``file_name`` is the wheel's own. Raises nothing: the name and the version
    come from the folder's name where the metadata does not say them.
    """
    notes: list[NotRead] = []
    fields = headers(metadata or b"", posixpath.join(path, "METADATA"), notes)
    if metadata is None:
        notes.append(NotRead(path, "there is no METADATA in it"))
    name, version = identity(path, fields, notes)
    globs = recorded_globs(record or b"", name)
    package = Package(
        name=name,
        version=version,
        path=path,
        fact_files=globs,
        compilers=named_compilers(name, version, globs),
        tags=written_tags(wheel, path, notes),
        file_tags=file_tags(file_name, notes) if file_name else [],
        requires=fields.get("requires-dist", []),
        requires_python=next(iter(fields.get("requires-python", [])), None),
        libraries=recorded_libraries(record, path, notes),
    )
    return Reading(package, notes)


def headers(data: bytes, path: str, notes: list[NotRead]) -> dict[str, list[str]]:
    """The values of each header by its name in small letters, up to the first empty line.

    A line that begins with white space goes on with the one before. Lines that are no header are
    passed over, as pip's parser does.
    """
    found: dict[str, list[list[str]]] = {}
    current: list[str] | None = None
    for number, raw in enumerate(io.BytesIO(data[:MOST_METADATA])):
        if number == MOST_HEADERS:
            notes.append(NotRead(path, f"more than {MOST_HEADERS} lines of headers"))
            break
        line = raw.decode("utf-8", "replace").rstrip("\r\n")
        if not line:
            break
        if line[0] in " \t":
            if current is not None:
                current.append(line.strip())
            continue
        name, colon, value = line.partition(":")
        current = [value.strip()] if colon else None
        if current is not None:
            found.setdefault(name.strip().lower(), []).append(current)
    return {name: [" ".join(filter(None, v)) for v in values] for name, values in found.items()}


def identity(path: str, fields: dict[str, list[str]], notes: list[NotRead]) -> tuple[str, str]:
    """Name (normalised) and version: the first declared, else those in the folder's name."""
    stem = posixpath.basename(path).removesuffix(".dist-info").removesuffix(".egg-info")
    in_folder = dict(zip(("name", "version"), stem.split("-"), strict=False))
    values = []
    for field in ("name", "version"):
        declared = next((value for value in fields.get(field, []) if value), None)
        if declared is None and fields:
            notes.append(NotRead(path, f"its METADATA has no `{field.title()}`"))
        values.append(declared or in_folder.get(field) or "")
    name, version = values[0][:MOST_NAME], values[1][:MOST_NAME]
    try:
        Version(version)
    except ValueError:  # `InvalidVersion`, or a number of more digits than Python reads
        notes.append(NotRead(path, f"`{version[:80]}` is no version"))
    return normalized(name), version


def written_tags(wheel: bytes | None, path: str, notes: list[NotRead]) -> list[str]:
    """The tags of a ``WHEEL`` text, each expanded, in their order."""
    if wheel is None:
        return []
    where = posixpath.join(path, "WHEEL")
    found: dict[str, None] = {}
    for text in headers(wheel, where, notes).get("tag", []):
        parts = [part.split(".") for part in text.split("-")]
        if len(parts) != 3:
            notes.append(NotRead(where, f"`{text[:80]}` is no tag"))
            continue
        if len(parts[0]) * len(parts[1]) * len(parts[2]) + len(found) > MOST_TAGS:
            notes.append(NotRead(where, f"more than {MOST_TAGS} tags"))
            break
        found.update(("-".join(tag), None) for tag in product(*parts))
    return list(found)


def file_tags(file_name: str, notes: list[NotRead]) -> list[str]:
    """The tags that a wheel's file name stands for, sorted."""
    if len(file_name) > MOST_NAME:
        notes.append(NotRead(file_name[:80], f"a name of over {MOST_NAME} letters"))
        return []
    from packaging.utils import parse_wheel_filename

    try:
        tags = parse_wheel_filename(file_name)[3]
    except ValueError as error:  # `InvalidWheelFilename`, mostly
        notes.append(NotRead(file_name, f"its name is not that of a wheel: {error}"))
        return []
    return sorted(str(tag) for tag in tags)


def recorded_libraries(record: bytes | None, path: str, notes: list[NotRead]) -> list[str]:
    """The libraries that a ``RECORD`` lists, as paths in the target; those outside are left out."""
    if record is None:
        notes.append(NotRead(path, "it has no RECORD: which libraries are its own is not known"))
        return []
    root = posixpath.dirname(path)
    found: dict[str, None] = {}
    for line in lines_with(record_text(record), LIBRARY_WORDS):
        if not is_library(listed := recorded_path(line)):
            continue
        if len(found) == MOST_LIBRARIES:
            notes.append(NotRead(path, f"its RECORD lists more than {MOST_LIBRARIES} libraries"))
            break
        if inside := within(root, listed):
            found[inside] = None
    return list(found)


def lines_with(text: str, words: Iterable[str]) -> Iterator[str]:
    """The lines that hold one of the words, in their order: few of many, so they are searched."""
    starts = set[int]()
    for word in words:
        at = text.find(word)
        while at >= 0:
            starts.add(text.rfind("\n", 0, at) + 1)
            end = text.find("\n", at)
            at = text.find(word, end) if end >= 0 else end
    for start in sorted(starts):
        end = text.find("\n", start)
        yield text[start : end if end >= 0 else None]


def record_text(record: bytes) -> str:
    """As much of a ``RECORD`` as is read, whatever its bytes are."""
    return record[:MOST_RECORD].decode("utf-8", "surrogateescape")


def recorded_globs(record: bytes, distribution: str) -> list[str]:
    """The globs by which facts tell builds of a distribution apart and which its files match."""
    about = facts_about(distribution)
    wanted = {glob for row in (about.compiler if about else ()) for glob in row.files}
    if not wanted:
        return []
    text = f"\n{record_text(record)}"
    whole = {glob for glob in wanted if not set(glob) & set("*?[")}
    found = {glob for glob in whole if f"\n{glob}," in text}
    patterns = {glob: re.compile(fnmatch.translate(glob)) for glob in wanted - whole}
    for line in text.split("\n") if patterns else ():
        listed = recorded_path(line)
        found |= {g for g in patterns if g not in found and patterns[g].match(listed[:MOST_PATH])}
    return sorted(found)


def named_compilers(distribution: str, version: str, globs: list[str]) -> list[str]:
    """The compilers that facts name for a package with files of ``globs``, sorted."""
    about = facts_about(distribution)
    return sorted(
        {
            name
            for row in (about.compiler if about else ())
            if (not row.distributions or distribution in row.distributions)
            and within_versions(row.versions, version)
            and (not row.files or set(row.files) & set(globs))
            for name in (*row.compilers, *row.any_of)
        }
    )


def recorded_path(line: str) -> str:
    """The path in one line of a RECORD: what stands before the hash and the size."""
    text = line.rstrip("\r\n")
    parts = text.rsplit(",", 2)
    listed = parts[0] if len(parts) == 3 else text.partition(",")[0]
    if len(listed) >= 2 and listed[0] == listed[-1] == '"':
        listed = listed[1:-1].replace('""', '"')
    return listed.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def within(root: str, listed: str) -> str | None:
    """``listed`` seen from the target; None for an absolute path and one that leads out."""
    path = posixpath.normpath(posixpath.join(root, listed))
    return None if path.startswith(("/", "..")) and not root.startswith("/") else path
