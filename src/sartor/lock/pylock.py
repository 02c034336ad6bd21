"""``pylock.toml`` (PEP 751): what pip and uv install from, and where each file is."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

from sartor.errors import LockFileError
from sartor.index.wheels import IndexFile
from sartor.lock import toml_text
from sartor.lock.canonical import is_wheel
from sartor.lock.places import absolute, is_file, relative
from sartor.lock.reading import LOCK_NAME, PYLOCK_NAME
from sartor.verdict.requirements import parse_line

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import PurePath

    from packaging.pylock import PackageSdist, PackageWheel, Pylock

    from sartor.lock.model import LockedPackage, Locking, Source

HEAD = """\
# Made by `sartor lock`, with {lock} beside it. To install what it says:
#   uv pip sync --preview-features pylock {name}
#   pip install --requirements {name}    (pip 26.1 or newer)
"""


def pylock_text(locking: Locking, lock_sha256: str, folder: PurePath) -> str:
    """The file for a canonical lock, for ``folder``; ``lock_sha256`` is that of ``sartor.lock``."""
    urls = {index.alias: index.url for index in locking.indexes}
    head = {
        "lock-version": "1.0",
        "environments": [environment(locking)],
        "requires-python": f"=={locking.host.python}.*",
        "created-by": "sartor",
    }
    here = {package.name for package in locking.packages}
    rows = [_row(p, urls.get(p.index), here, folder) for p in locking.packages]
    own = {"schema": "sartor.pylock/1", "lock": LOCK_NAME, "sha256": lock_sha256}
    # Without packages an array of tables would not be there at all, and it must be.
    lines = toml_text.lines_of(head if rows else {**head, "packages": []})
    lines += toml_text.arrays("packages", rows) + toml_text.table("tool.sartor", own)
    return HEAD.format(name=PYLOCK_NAME, lock=LOCK_NAME) + "\n".join([*lines, ""])


def environment(locking: Locking) -> str:
    """The marker of the machines that a lock is for."""
    return (
        f"platform_machine == '{locking.host.architecture}' and "
        "platform_python_implementation == 'CPython' and sys_platform == 'linux'"
    )


def _row(package: LockedPackage, index: str | None, here: set[str], folder: PurePath) -> Any:
    row: dict[str, Any] = {"name": package.name, "version": package.version}
    wanted = sorted({r.name for line in package.requires if (r := parse_line(line))} & here)
    row["dependencies"] = [{"name": name} for name in wanted] or None
    if package.file is None:
        return row | {"vcs": None if package.source is None else _vcs(package.source, folder)}
    file = _file(package.file, folder)
    if index is not None and not is_file(index):
        row["index"] = index
    return row | ({"wheels": [file]} if is_wheel(package.file) else {"sdist": file})


def _file(file: IndexFile, folder: PurePath) -> dict[str, Any]:
    local = is_file(file.url)
    uploaded = None if file.uploaded is None else datetime.datetime.fromisoformat(file.uploaded)
    return {
        "name": file.name,
        "path" if local else "url": relative(file.url, folder) if local else file.url,
        "upload-time": uploaded,
        "size": file.size,
        "hashes": {"sha256": file.sha256},
    }


def _vcs(source: Source, folder: PurePath) -> dict[str, Any]:
    local = is_file(source.repository)
    where = relative(source.repository, folder) if local else source.repository
    return {
        "type": "git",
        "path" if local else "url": where,
        "requested-revision": source.revision,
        "commit-id": source.commit,
        "subdirectory": source.subdirectory,
    }


def files_of(pylock: Pylock, folder: PurePath, name: str) -> dict[str, IndexFile]:
    """Project → its file, of those that have one; raises `LockFileError`.

    What the index said of a file besides is in ``sartor.lock``.
    """
    found = {}
    for package in pylock.packages:
        files: Sequence[PackageWheel | PackageSdist] = [*(package.wheels or [])]
        files = files or [s for s in [package.sdist] if s]
        if len(files) > 1:
            raise LockFileError(
                f"`{name}` has {len(files)} files for {package.name}, where Sartor writes one",
                hint="make both files anew: `sartor lock`",
            )
        if files:
            found[str(package.name)] = _index_file(files[0], folder)
    return found


def _index_file(file: PackageWheel | PackageSdist, folder: PurePath) -> IndexFile:
    when = file.upload_time
    if when is not None and when.tzinfo is None:
        when = when.replace(tzinfo=datetime.UTC)
    return IndexFile(
        name=file.filename,
        url=file.url or absolute(file.path or "", folder),
        size=file.size,
        sha256=file.hashes.get("sha256"),
        uploaded=None if when is None else toml_text.moment(when),
    )
