"""Which rows are meant by what people type: a sha256, a package, a file, or nothing for all."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from sartor.artifact.digest import file_sha256
from sartor.errors import NoSuchEvidenceError, closest
from sartor.facts.packages import normalized
from sartor.remote.reference import remote_target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from packaging.requirements import Requirement

    from sartor.evidence.model import Where
    from sartor.evidence.row import Row
    from sartor.evidence.store import Store

    Stores = Iterable[tuple[Where, Store]]

SHORT_SHA256 = re.compile(r"[0-9a-f]{8,64}")


def selected(stores: Stores, selection: str | None) -> Iterator[tuple[Where, Row]]:
    """The rows that are meant, with their documents, store by store and in the order of sha256.

    One that is in several stores is taken from the first. Raises `NoSuchEvidenceError` where a
    selection means none.
    """
    wanted = means(selection)
    seen: set[str] = set()
    for where, store in stores:
        chosen = [r.sha256 for r in store.rows(documents=False) if wanted(r)]
        for sha256 in chosen:
            row = None if sha256 in seen else store.get(sha256)
            if row is not None:
                seen.add(sha256)
                yield where, row
    if selection is not None and not seen:
        raise no_such(stores, selection)


def means(selection: str | None) -> Callable[[Row], bool]:
    """Whether a row is meant."""
    if selection is None:
        return lambda _: True
    if SHORT_SHA256.fullmatch(selection.lower()):
        return lambda row: row.sha256.startswith(selection.lower())
    path = Path(selection)
    if ("/" in selection or path.suffix) and path.is_file():
        digest = file_sha256(path)
        return lambda row: row.sha256 == digest
    remote = remote_target(selection, is_there=False)
    if isinstance(remote, str):
        name = unquote(urlsplit(remote).path).rpartition("/")[2]
        return lambda row: row.name == name
    if remote is None:
        return lambda row: row.name == path.name
    return lambda row: row.name == path.name or _is_of(row, remote)


def _is_of(row: Row, wanted: Requirement) -> bool:
    """Whether a row is of a project, in a version that is meant."""
    from packaging.version import InvalidVersion

    if row.project != normalized(wanted.name):
        return False
    try:
        return wanted.specifier.contains(row.version or "", prereleases=True)
    except InvalidVersion:
        return not wanted.specifier


def no_such(stores: Stores, selection: str) -> NoSuchEvidenceError:
    """The error for a selection that means nothing, with what comes close."""
    rows = [row for _, store in stores for row in store.rows(documents=False)]
    names = {f"{row.project}=={row.version}" if row.project else row.name for row in rows}
    near = closest(selection, names)
    hint = f"did you mean {' or '.join(f'`{name}`' for name in near)}? " if near else ""
    return NoSuchEvidenceError(
        f"no evidence is kept of `{selection}`",
        found=[f"{len(rows)} files are kept"],
        hint=f"{hint}`sartor evidence scan FILE` reads a file into the store",
    )
