"""``sartor.lock``: what ``pylock.toml`` has no room for. The two together are a `Locking`."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from sartor.errors import LockFileError
from sartor.lock import toml_text
from sartor.lock.canonical import canonical
from sartor.lock.model import (
    HostClass,
    LockedIndex,
    LockedPackage,
    Locking,
    Name,
    Read,
    Sha256,
    Source,
    Strategy,
    SystemPackage,
)
from sartor.lock.places import absolute, is_file, relative
from sartor.lock.pylock import files_of, pylock_text
from sartor.lock.reading import AGAIN, LOCK_NAME, PYLOCK_NAME, toml_of, typed, valid_pylock

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import PurePath

    from packaging.pylock import Pylock

    from sartor.index.wheels import IndexFile

SCHEMA = "sartor.lock/1"
HEAD = f"""\
# Made by `sartor lock`: why {PYLOCK_NAME}, beside it, is as it is. Not to be edited.
# What has changed since: `sartor plan --locked`
"""


class _System(SystemPackage, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """A system's library as the file has it."""


class _Package(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"
):
    """A package as the file has it; its file's address, size and time are in ``pylock.toml``."""

    name: Name
    version: str
    index: str
    sha256: Sha256 | None = None
    requires_python: str | None = None
    yanked: str | None = None
    metadata_sha256: Sha256 | None = None
    source: Source | None = None
    evidence: Read | None = None
    requires: list[str] = []


class _LockFile(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"
):
    """The file."""

    schema: Literal["sartor.lock/1"]
    sartor: str
    engine: str
    version: str
    strategy: Strategy
    as_of: str | None = None
    roots: list[str]
    leave_out: list[str] = []
    host: HostClass
    env: dict[str, str] = {}
    facts: dict[str, Sha256] = {}
    index: list[LockedIndex] = []
    system: list[_System] = []
    package: list[_Package] = []
    trace: list[str] = []


def lock_texts(locking: Locking, folder: PurePath) -> dict[str, str]:
    """The two files, by name, for ``folder``: the same bytes for the same lock.

    Raises `NotLockableError` where something is lacking.
    """
    locking = canonical(locking)
    own = _text(_as_file(locking, folder))
    pylock = pylock_text(locking, hashlib.sha256(own.encode()).hexdigest(), folder)
    valid_pylock(toml_of(pylock.encode(), PYLOCK_NAME), PYLOCK_NAME)
    return {PYLOCK_NAME: pylock, LOCK_NAME: own}


def read_lock(pylock: bytes, own: bytes, folder: PurePath) -> Locking:
    """What the two files of ``folder`` say; raises `LockFileError` with what is wrong, and where.

    Neither is trusted: both are bounded and typed, and must be of one lock.
    """
    file = _own(own)
    tables = toml_of(pylock, PYLOCK_NAME)
    parsed = valid_pylock(tables, PYLOCK_NAME)
    stated = _section(tables)
    if stated.get("sha256") != hashlib.sha256(own).hexdigest():
        raise LockFileError(
            f"`{PYLOCK_NAME}` and `{LOCK_NAME}` are not of one lock",
            found=[
                f"`{PYLOCK_NAME}` was made with a `{LOCK_NAME}` of sha256 {stated.get('sha256')}",
                f"the one beside it has {hashlib.sha256(own).hexdigest()}",
            ],
            hint=AGAIN,
        )
    return _joined(file, parsed, folder)


def is_ours(name: str, data: bytes) -> bool:
    """Whether Sartor made a file of that name, be it whole or damaged."""
    if name == LOCK_NAME:
        return data.startswith(HEAD.split(":", 1)[0].encode()) or b'schema = "sartor.lock/' in data
    try:
        return bool(_section(toml_of(data, name)))
    except LockFileError:
        return data.startswith(b"# Made by `sartor lock`")


def _own(data: bytes) -> _LockFile:
    tables = toml_of(data, LOCK_NAME)
    schema = tables.get("schema")
    if schema != SCHEMA:
        raise LockFileError(
            f"`{LOCK_NAME}` is of the schema `{schema}`",
            found=[f"this Sartor reads `{SCHEMA}`"],
            hint="use the Sartor that made it, or a newer one"
            if str(schema).startswith("sartor.lock/")
            else AGAIN,
        )
    return typed(tables, _LockFile, data.decode("utf-8"), LOCK_NAME)


def _section(tables: Mapping[str, Any]) -> dict[str, Any]:
    tool = tables.get("tool")
    section = tool.get("sartor") if isinstance(tool, dict) else None
    return section if isinstance(section, dict) else {}


def _joined(file: _LockFile, pylock: Pylock, folder: PurePath) -> Locking:
    files = files_of(pylock, folder, PYLOCK_NAME)
    ours = {p.name: (p.version, p.sha256) for p in file.package}
    theirs = {
        str(p.name): (str(p.version), files[p.name].sha256 if p.name in files else None)
        for p in pylock.packages
    }
    if differing := sorted(n for n in ours.keys() | theirs.keys() if ours.get(n) != theirs.get(n)):
        raise LockFileError(
            f"`{PYLOCK_NAME}` and `{LOCK_NAME}` do not have the same packages",
            found=[f"they differ in {', '.join(differing[:5])}"],
            hint=AGAIN,
        )
    packages = [_package(p, files.get(p.name), folder) for p in file.package]
    return Locking(
        host=file.host,
        engine=file.engine,
        version=file.version,
        strategy=file.strategy,
        roots=file.roots,
        packages=packages,
        sartor=file.sartor,
        indexes=[msgspec.structs.replace(i, url=_absolute(i.url, folder)) for i in file.index],
        leave_out=file.leave_out,
        system=[SystemPackage(**msgspec.structs.asdict(s)) for s in file.system],
        env=file.env,
        facts=file.facts,
        trace=[_decoded(text) for text in file.trace],
        as_of=file.as_of,
    )


def _package(package: _Package, file: IndexFile | None, folder: PurePath) -> LockedPackage:
    source = package.source
    if source is not None:
        url = _absolute(source.repository, folder) or ""
        source = msgspec.structs.replace(source, repository=url)
    if file is not None:
        file = msgspec.structs.replace(
            file,
            requires_python=package.requires_python,
            yanked=package.yanked,
            metadata_sha256=package.metadata_sha256,
        )
    return LockedPackage(
        name=package.name,
        version=package.version,
        index=package.index,
        file=file,
        source=source,
        requires=package.requires,
        evidence=package.evidence,
    )


def _decoded(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise LockFileError(f"`{LOCK_NAME}`: trace: {error}", hint=AGAIN) from error


def _absolute(url: str | None, folder: PurePath) -> str | None:
    return absolute(url, folder) if url is not None and "://" not in url else url


def _relative(url: str | None, folder: PurePath) -> str | None:
    return relative(url, folder) if url is not None and is_file(url) else url


def _as_file(locking: Locking, folder: PurePath) -> _LockFile:
    return _LockFile(
        schema="sartor.lock/1",
        sartor=locking.sartor,
        engine=locking.engine,
        version=locking.version,
        strategy=locking.strategy,
        as_of=locking.as_of,
        roots=locking.roots,
        leave_out=locking.leave_out,
        host=locking.host,
        env=locking.env,
        facts=locking.facts,
        index=[msgspec.structs.replace(i, url=_relative(i.url, folder)) for i in locking.indexes],
        system=[_System(**msgspec.structs.asdict(s)) for s in locking.system],
        package=[_as_row(p, folder) for p in locking.packages],
        trace=[json.dumps(t, sort_keys=True, ensure_ascii=False) for t in locking.trace],
    )


def _as_row(package: LockedPackage, folder: PurePath) -> _Package:
    file, source = package.file, package.source
    if source is not None:
        url = _relative(source.repository, folder) or ""
        source = msgspec.structs.replace(source, repository=url)
    return _Package(
        name=package.name,
        version=package.version,
        index=package.index,
        sha256=None if file is None else file.sha256,
        requires_python=None if file is None else file.requires_python,
        yanked=None if file is None else file.yanked,
        metadata_sha256=None if file is None else file.metadata_sha256,
        source=source,
        evidence=package.evidence,
        requires=package.requires,
    )


def _text(file: _LockFile) -> str:
    """Keys before tables, and tables of one kind together, as TOML wants it."""
    plain = _said(msgspec.to_builtins(file))
    plain.setdefault("roots", [])
    tables: list[str] = []
    for name in ("host", "env", "facts"):
        tables += toml_text.table(name, _said(plain.pop(name))) if name in plain else []
    for name in ("index", "system", "package"):
        tables += toml_text.arrays(name, map(_said, plain.pop(name, [])))
    lines = [*toml_text.lines_of(plain), *tables]
    return HEAD + "\n".join([*lines, ""])


def _said(entries: Mapping[str, Any]) -> dict[str, Any]:
    """The entries that say something: what is empty is read back as it was."""
    return {key: value for key, value in entries.items() if value not in (None, [], {})}
