"""One form for each lock: in order, without credentials, everything that is needed there."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from msgspec.structs import replace
from packaging.utils import InvalidName, canonicalize_name
from packaging.version import InvalidVersion, Version

from sartor.errors import NotLockableError
from sartor.lock.model import DEFAULT
from sartor.lock.places import is_file, without_credentials
from sartor.lock.toml_text import moment

if TYPE_CHECKING:
    from sartor.index.wheels import IndexFile
    from sartor.lock.model import LockedPackage, Locking, Source


def canonical(locking: Locking) -> Locking:
    """The lock in its one form; raises `NotLockableError` where something is lacking.

    Lists without an order of their own are sorted. A package is a file with a sha256, or a commit.
    """
    packages = sorted(map(_package, locking.packages), key=lambda p: p.name)
    names = [p.name for p in packages]
    twice = sorted({n for n in names if names.count(n) > 1})
    known = {index.alias for index in locking.indexes}
    faults = [f"{name}: it is there twice" for name in twice]
    faults += [f for p in packages for f in _faults(p, known)]
    if faults:
        raise NotLockableError(
            "what was planned cannot be locked",
            found=faults,
            hint="a lock needs the sha256 of every file: plan again, with an index that states it",
        )
    indexes = [replace(i, url=None if i.url is None else plain(i.url)) for i in locking.indexes]
    return replace(
        locking,
        host=replace(locking.host, gpus=sorted(locking.host.gpus, key=_numbers)),
        packages=packages,
        indexes=sorted(indexes, key=lambda i: i.alias),
        leave_out=sorted(map(canonicalize_name, locking.leave_out)),
        system=sorted(locking.system, key=lambda s: s.soname),
        env=dict(sorted(locking.env.items())),
        facts=dict(sorted(locking.facts.items())),
        as_of=None if locking.as_of is None else when(locking.as_of),
    )


def plain(url: str) -> str:
    """An address without credentials; a ``file:`` address as it is."""
    return url if is_file(url) else without_credentials(url)


def when(text: str) -> str:
    """A time of RFC 3339 in UTC; raises `NotLockableError`."""
    try:
        parsed = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise NotLockableError(
            f"`{text}` is no time of RFC 3339", hint="write it as 2026-11-20T00:00:00Z"
        ) from error
    return moment(parsed if parsed.tzinfo else parsed.replace(tzinfo=datetime.UTC))


def is_wheel(file: IndexFile) -> bool:
    """Whether a file is a wheel; any other is a source distribution."""
    return file.name.endswith(".whl")


def local_path(package: LockedPackage) -> str | None:
    """The address of a file of this machine that no index of its own serves; None for others."""
    file = package.file
    return file.url if file is not None and package.index == DEFAULT and is_file(file.url) else None


def _package(package: LockedPackage) -> LockedPackage:
    try:
        name = canonicalize_name(package.name, validate=True)
        version = str(Version(package.version))
    except (InvalidName, InvalidVersion) as error:
        raise NotLockableError(
            f"`{package.name}=={package.version}` is no name of a project and its version",
            hint="name the packages as their index does",
        ) from error
    file, source = package.file, package.source
    return replace(
        package,
        name=name,
        version=version,
        requires=sorted(package.requires),
        file=None if file is None else _file(file),
        source=None if source is None else _source(source),
    )


def _file(file: IndexFile) -> IndexFile:
    uploaded = None if file.uploaded is None else when(file.uploaded)
    return replace(file, url=plain(file.url), uploaded=uploaded)


def _source(source: Source) -> Source:
    return replace(source, repository=plain(source.repository))


def _faults(package: LockedPackage, indexes: set[str]) -> list[str]:
    name = package.name
    if package.file is None:
        return [] if package.source else [f"{name}: it has neither a file nor a source"]
    faults = [] if package.file.sha256 else [f"{name}: its index states no sha256 of the file"]
    if package.index not in indexes:
        faults.append(f"{name}: nothing is said of its index `{package.index}`")
    return faults


def _numbers(version: str) -> tuple[list[int], str]:
    """The order of versions; of two ways to write one number, that of their letters."""
    return [int(part) for part in version.split(".")], version
