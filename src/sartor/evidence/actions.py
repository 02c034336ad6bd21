"""What `sartor evidence` does, one function for each of its words."""

from __future__ import annotations

import os
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sartor.artifact.digest import file_sha256
from sartor.artifact.members import shown
from sartor.artifact.source import Invalid
from sartor.errors import (
    ArtifactUnreadableError,
    EvidenceFileError,
    IndexRefusedError,
    IndexUnreachableError,
    NoSuchTargetError,
    UntrustedBytesError,
)
from sartor.evidence.compare import differences
from sartor.evidence.exchange import read_export, write_export
from sartor.evidence.model import (
    EvidenceList,
    ExportDocument,
    KeptEvidence,
    ScanDocument,
    Scanned,
    Verified,
    VerifyDocument,
    kept,
)
from sartor.evidence.reading import evidence_of
from sartor.evidence.row import KEPT_KINDS, READER_VERSION
from sartor.evidence.select import selected
from sartor.evidence.shelf import Shelf
from sartor.evidence.snapshot import open_snapshot
from sartor.evidence.store import open_store
from sartor.index.wheels import Fits
from sartor.remote.reference import remote_target
from sartor.remote.targets import Keeping, Remotes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from packaging.requirements import Requirement
    from packaging.version import Version

    from sartor.artifact.model import Evidence
    from sartor.artifact.reading import Names, NamesWanted
    from sartor.evidence.model import Where
    from sartor.evidence.row import Row
    from sartor.evidence.store import Store
    from sartor.index.wheels import IndexFile
    from sartor.matrix.model import SupportMap
    from sartor.paths import Places
    from sartor.reporter import Reporter

FAILURES = (
    ArtifactUnreadableError,
    IndexRefusedError,
    IndexUnreachableError,
    NoSuchTargetError,
    UntrustedBytesError,
)
"""Of one file; others are scanned all the same."""


@contextmanager
def opened(places: Places, *, make: bool = False) -> Iterator[list[tuple[Where, Store]]]:
    """The user's store, where it is there or is made, and the snapshot, in that order."""
    with ExitStack() as stack:
        stores: list[tuple[Where, Store]] = []
        own = open_store(places.evidence, make=make)
        if own is not None:
            stores.append(("store", stack.enter_context(closing(own))))
        shipped = open_snapshot()
        if shipped is not None:
            stores.append(("snapshot", stack.enter_context(closing(shipped))))
        yield stores


def show(places: Places, selection: str | None) -> EvidenceList:
    """What is kept; of a selection with its evidence. Raises `NoSuchEvidenceError`."""
    with opened(places) as stores:
        rows = [_shown(row, where, selection) for where, row in selected(stores, selection)]
    return EvidenceList(sorted(rows, key=_in_order))


def _in_order(row: KeptEvidence) -> tuple[str, bool, Version | str, str]:
    """By project, version as versions count (those that are none first), and name."""
    from packaging.version import InvalidVersion, Version

    try:
        return row.project or "", True, Version(row.version or ""), row.name
    except InvalidVersion:
        return row.project or "", False, row.version or "", row.name


def _shown(row: Row, where: Where, selection: str | None) -> KeptEvidence:
    try:
        return kept(row, where, None if selection is None else row.evidence())
    except Invalid as fault:
        raise damaged_row(fault) from fault


def map_of(
    places: Places, selection: str | None, gpus: Sequence[str], driver: str | None
) -> SupportMap:
    """What all wheels that are meant are on GPUs, without any those of the published map.

    Raises `NoSuchEvidenceError`, and what `sartor.verdict.targets.resolve` raises.
    """
    from sartor.facts import map_choice
    from sartor.matrix.shown import no_machine
    from sartor.matrix.support import support_map
    from sartor.verdict.targets import Asked, resolve

    names = list(gpus) or [shown.gpu for shown in map_choice().gpu]
    targets = resolve(Asked(gpus=names, driver=driver), no_machine).gpus
    with opened(places) as stores:
        try:
            return support_map((row for _, row in selected(stores, selection)), targets)
        except Invalid as fault:
            raise damaged_row(fault) from fault


def damaged_row(fault: Invalid) -> EvidenceFileError:
    """The error for a row whose document cannot be opened."""
    return EvidenceFileError(
        f"the row of `{fault.name}` is damaged: {shown(fault.reason)}",
        hint="`sartor evidence scan --again FILE` reads it again",
    )


class Remotely(NamedTuple):
    """How projects are scanned: their wheels for ``python`` (``3.12``), with ``refresh`` by what
    the indexes say now."""

    python: str | None = None
    refresh: bool = False


def scan(
    places: Places,
    targets: Sequence[str],
    reporter: Reporter,
    *,
    all_names: bool = False,
    again: bool = False,
    remotely: Remotely = Remotely(),  # noqa: B008 - it is frozen
) -> ScanDocument:
    """Read into the store: wheels, libraries, the wheels below a folder, projects and addresses.

    What is there is passed over, unless ``again``. Kernels' names are read where facts tell units
    apart by them, or of all libraries. What cannot be read stands among the rows as ``failed``.
    Raises what opening the store raises, `NoSuchTargetError` for a folder without wheels, and
    `UsageError`.
    """
    from sartor.verdict.dispatch import wants_names

    def names(path: str) -> Names:
        return "all" if all_names else "one" if wants_names(path) else "none"

    wanted = list(_wanted(targets))
    with opened(places, make=True) as stores:
        own = next(store for where, store in stores if where == "store")
        own.check_writable()
        shelf = Shelf(own, None, reporter, strict=True)
        keeping = Keeping(shelf, places.listings, remotely.refresh, again)
        found: list[Scanned] = []
        with closing(Remotes(reporter, keeping=keeping)) as remotes:
            for number, target in enumerate(wanted):
                reporter.progress("read", number, len(wanted), "targets")
                if isinstance(target, Path):
                    read = partial(evidence_of, target, names, shelf, again=again)
                    found.append(_outcome(target.name, shelf, read))
                else:
                    fits = Fits(python=remotely.python)
                    found += _scanned_remotely(target, remotes, shelf, names, fits)
    return ScanDocument(found)


def _wanted(targets: Sequence[str]) -> Iterator[Path | Requirement | str]:
    """Each file, project and address."""
    for target in targets:
        remote = remote_target(target, is_there=os.path.lexists(target))
        if remote is None:
            yield from wheels_below(Path(target))
        else:
            yield remote


def _scanned_remotely(
    target: Requirement | str, remotes: Remotes, shelf: Shelf, names: NamesWanted, fits: Fits
) -> Iterator[Scanned]:
    """Each wheel of a project, or the one at an address."""
    try:
        chosen = remotes.choose(target, fits)
    except FAILURES as error:
        yield Scanned(name=str(target), outcome="failed", why=error.message)
        return
    for file in chosen.wheels:
        yield _outcome(file.name, shelf, partial(_evidence, remotes, file, names))


def _evidence(remotes: Remotes, file: IndexFile, names: NamesWanted) -> Evidence:
    return remotes.read_wheel(file, names).evidence


def _outcome(name: str, shelf: Shelf, read: Callable[[], Evidence]) -> Scanned:
    """What became of one file that is read by way of the shelf."""
    shelf.forget_last()
    try:
        evidence = read()
    except FAILURES as error:
        return Scanned(name=name, outcome="failed", why=error.message)
    if shelf.put is not None:
        return Scanned(name=name, outcome=shelf.put, sha256=evidence.sha256)
    if evidence.kind not in KEPT_KINDS:
        why = f"what is read of a target of the kind `{evidence.kind}` is not kept"
        return Scanned(name=name, outcome="failed", why=why)
    if shelf.refusal is not None:
        return Scanned(name=name, outcome="failed", why=shelf.refusal)
    return Scanned(name=name, outcome="known", sha256=evidence.sha256)


def wheels_below(target: Path) -> list[Path]:
    """A file as it is; of a folder its wheels, at whatever depth, by path."""
    if not target.is_dir():
        return [target]
    found = sorted(path for path in target.rglob("*.whl") if path.is_file())
    if not found:
        raise NoSuchTargetError(
            f"there is no wheel in the folder `{target}`",
            found=["a folder has no sha256 that its evidence could be kept by"],
            hint=f"`sartor inspect {target}` reads an environment; here files are named, or a "
            "folder of wheels",
        )
    return found


def export(places: Places, file: Path, selection: str | None) -> ExportDocument:
    """Write the user's rows that are meant to a file. Raises `NoSuchEvidenceError`, and for a row
    that is damaged `EvidenceFileError`."""
    with opened(places) as stores:
        own = [(where, store) for where, store in stores if where == "store"]
        rows = (row for _, row in selected(own, selection))
        try:
            written = write_export(file, rows)
        except Invalid as fault:
            raise damaged_row(fault) from fault
    return ExportDocument(str(file), written.rows, written.bytes, written.sha256)


def import_file(places: Places, file: Path) -> ScanDocument:
    """Take the rows of an export into the store, if all of it holds together.

    What is there stays where the two disagree. Raises `EvidenceFileError` and `NoSuchTargetError`,
    and then nothing was taken.
    """
    for _ in rows_of(file):
        pass
    with opened(places, make=True) as stores:
        own = next(store for where, store in stores if where == "store")
        own.check_writable()
        return ScanDocument([merged(own, row) for row in rows_of(file)])


def rows_of(file: Path) -> Iterator[Row]:
    """The rows of an export; raises the errors of the house."""
    try:
        yield from read_export(file)
    except Invalid as fault:
        raise EvidenceFileError(
            f"`{file}` is not taken: {shown(fault.reason)}",
            found=[shown(str(fault))],
            hint="fetch or export it again: it is cut off, changed on the way, or no export",
        ) from fault
    except OSError as error:
        raise NoSuchTargetError(
            f"`{file}` cannot be opened: {error.strerror}", hint="check the path"
        ) from error


def merged(own: Store, row: Row) -> Scanned:
    """Put a row of another machine into the store, where nothing there speaks against it."""
    if row.reader > READER_VERSION:
        return Scanned(name=row.name, outcome="newer", sha256=row.sha256)
    why: list[str] = []

    def objection(there: Row, evidence: Evidence) -> bool:
        partial = "partial" in {there.extent, row.extent}
        why.extend(differences(evidence, row.evidence(), partial=partial))
        return bool(why)

    outcome = own.put(row, objection=objection)
    return Scanned(name=row.name, outcome=outcome, sha256=row.sha256, why="; ".join(why) or None)


def verify(
    places: Places, targets: Sequence[str], reporter: Reporter, folder: Path | None = None
) -> VerifyDocument:
    """Read files again and compare with what is kept of them.

    ``targets`` are files, folders of wheels, or selections of rows, whose files are looked for by
    name in ``folder``. No target: every row of the user's, and those of the snapshot whose file is
    in ``folder``. Other rows whose file is not there are not checked.
    """
    found: list[Verified] = []
    with opened(places) as stores:
        files = [target for target in targets if Path(target).exists()]
        named = [file for target in files for file in wheels_below(Path(target))]
        found += [_verified(file, stores, reporter) for file in named]
        selections: list[str | None] = [t for t in targets if t not in files]
        for selection in selections or ([] if targets else [None]):
            rows = [
                row
                for where, row in selected(stores, selection)
                if selection or where == "store" or _is_there(row, folder)
            ]
            found += [_verified_row(row, stores, reporter, folder) for row in rows]
    return VerifyDocument(found)


def _is_there(row: Row, folder: Path | None) -> bool:
    """Whether a file of that name is in the folder."""
    return folder is not None and (folder / row.name).is_file()


def _verified_row(
    row: Row, stores: Sequence[tuple[Where, Store]], reporter: Reporter, folder: Path | None
) -> Verified:
    if folder is None or not _is_there(row, folder):
        why = f"no file `{row.name}` was given to compare with"
        return Verified(name=row.name, sha256=row.sha256, outcome="not-checked", why=[why])
    file = folder / row.name
    if file_sha256(file) != row.sha256:
        why = f"`{file}` is another file of that name"
        return Verified(name=row.name, sha256=row.sha256, outcome="not-checked", why=[why])
    return _verified(file, stores, reporter)


def _verified(file: Path, stores: Sequence[tuple[Where, Store]], reporter: Reporter) -> Verified:
    digest = file_sha256(file)
    if digest is None:
        raise NoSuchTargetError(f"`{file}` cannot be read", hint="check the path")
    row = next((r for _, store in stores if (r := store.get(digest)) is not None), None)
    if row is None:
        why = ["nothing is kept of it"]
        return Verified(name=file.name, sha256=digest, outcome="not-checked", why=why)
    try:
        there = row.evidence()
    except Invalid as fault:
        return Verified(name=file.name, sha256=digest, outcome="different", why=[str(fault)])
    reporter.detail(f"reading {file}")
    why = differences(there, _read_alike(file, row, there), partial=row.extent == "partial")
    if why and not row.is_current:
        why = ["an older reader wrote it", *why]
    return Verified(name=file.name, sha256=digest, outcome="different" if why else "same", why=why)


def _read_alike(file: Path, row: Row, there: Evidence) -> Evidence:
    """The file read now, with the names that were read then."""
    from sartor.artifact.reading import read_evidence
    from sartor.evidence.fit import at_least, renamed

    here = there if file.name == row.name else renamed(there, file.name)
    return read_evidence(file, at_least(row, here, lambda _: "none"))
