"""What a source distribution declares without a build: static metadata alone (PEP 643).

The archive is read forward until its ``PKG-INFO`` has come, and nothing of it is written or run.
"""

from __future__ import annotations

import posixpath
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from packaging.utils import parse_sdist_filename
from packaging.version import InvalidVersion, Version

from sartor.artifact.inflate import gunzip
from sartor.artifact.metadata import MOST_METADATA, headers, read_package
from sartor.artifact.source import Invalid
from sartor.artifact.tar import TarReader
from sartor.errors import SartorError
from sartor.plan.known import Unread
from sartor.remote.faults import Dropped

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from sartor.artifact.model import Package
    from sartor.catalog.clients import Clients
    from sartor.index.wheels import IndexFile

MOST = 256 << 20
"""Bytes of an archive that are read to find its ``PKG-INFO``; some have it at their end."""
STATIC_SINCE = Version("2.2")
NEEDED = frozenset({"requires-dist", "requires-python", "provides-extra"})


def sdist_of(files: Iterable[IndexFile], version: str) -> IndexFile | None:
    """The source distribution of one version."""
    for file in files:
        try:
            if parse_sdist_filename(file.name)[1] == Version(version):
                return file
        except ValueError:
            continue
    return None


def static_package(clients: Clients, file: IndexFile) -> Package | Unread:
    """What it declares; `Unread` where that is known after a build alone. Raises nothing."""
    if not file.name.endswith(".tar.gz"):
        return Unread(f"`{file.name}` is read as a `.tar.gz` alone")
    try:
        text = _pkg_info(clients, file)
    except SartorError as error:
        return Unread(error.message)
    except (Invalid, OSError, Dropped) as fault:
        return Unread(f"`{file.name}` cannot be read: {fault}")
    why = None if text is None else not_static(text)
    if text is None or why:
        return Unread(
            f"what `{file.name}` requires is known after a build alone, and none is made to plan: "
            f"{why or 'it has no PKG-INFO'}"
        )
    return read_package(f"{file.name.removesuffix('.tar.gz')}.egg-info", text).package


def not_static(text: bytes) -> str | None:
    """Why a ``PKG-INFO`` does not settle what is required; None where it does."""
    fields = headers(text, "PKG-INFO", [])
    stated = next(iter(fields.get("metadata-version", [])), "")
    try:
        if Version(stated) < STATIC_SINCE:
            return f"its metadata is of version {stated}"
    except InvalidVersion:
        return "its metadata has no version"
    dynamic = NEEDED & {field.lower() for field in fields.get("dynamic", [])}
    return f"`{'`, `'.join(sorted(dynamic))}` is dynamic" if dynamic else None


def _pkg_info(clients: Clients, file: IndexFile) -> bytes | None:
    parts = urlsplit(file.url)
    if parts.scheme == "file":
        with Path(unquote(parts.path)).open("rb") as opened:
            return _found(iter(lambda: opened.read(1 << 20), b""), file.name)
    client = clients(file.url)
    _, stream = client.get(file.url, {})
    try:
        with closing(_at_most(iter(stream), file.name)) as blocks:
            return _found(blocks, file.name)
    finally:
        client.done(stream)


def _at_most(blocks: Iterator[bytes], name: str) -> Generator[bytes, None, None]:
    seen = 0
    for block in blocks:
        seen += len(block)
        if seen > MOST:
            raise Invalid(name, MOST, "its PKG-INFO does not come")
        yield block


def _found(blocks: Iterator[bytes], name: str) -> bytes | None:
    reader = TarReader(gunzip(blocks, name), name)
    for member in reader.members():
        folder, base = posixpath.split(member.path)
        if base == "PKG-INFO" and folder and "/" not in folder and member.kind == "file":
            if member.size > MOST_METADATA:
                raise Invalid(name, member.offset, f"its PKG-INFO has {member.size} bytes")
            return b"".join(reader.data(member))
    return None
