"""Files of an environment replaced or taken away, one after another, each wholly or not at all.

A new file is written in ``sartor-slim/new``, beside what brings the old one back, and the record
says both; then it is renamed to its place, and after it the RECORDs that name it. So the place
never holds half a file, other names of the old one (hard links of caches and of other environments)
keep it, and a program that has it open goes on with it. Whoever is killed in between leaves files
that are whole, and a record that tells by their digests which are slimmed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from sartor import __version__
from sartor.artifact.digest import file_sha256
from sartor.artifact.slimmed import joined
from sartor.errors import DiskFullError, FolderNotWritableError
from sartor.paths import explain_os_errors, make_folder
from sartor.slim.environment import rows
from sartor.slim.environment.patch import Unfit, keep, restored, restored_sha256, turned_round
from sartor.slim.environment.slimmed import (
    FOLDER,
    Before,
    Changed,
    Row,
    Slimmed,
    slimmed_in,
    write_down,
)
from sartor.slim.library.counts import reduced_units
from sartor.slim.library.reduce import LibraryPlan, left, written_library
from sartor.slim.retarget.jobs import NO_COMPILER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sartor.slim.choice import Wanted
    from sartor.slim.retarget.jobs import Compiler

HINT = (
    "free some space on its file system, or give the permission to write there; what is slimmed so "
    "far is whole, and the same command goes on from it"
)


class Owned(msgspec.Struct, frozen=True, kw_only=True):
    """A file that RECORDs name: ``records`` have its line under ``lines`` (each RECORD's own path).

    Paths are below the environment. ``sha256`` is what is in it. ``earlier`` is what was done to it
    before, of which nothing was kept.
    """

    path: str
    project: str
    version: str
    sha256: str
    lines: dict[str, str]
    earlier: Changed | None = None


class InPlace:
    """The changes of one environment. Whoever makes one holds the environment's lock."""

    def __init__(self, root: Path) -> None:
        """Read what was done before, and sweep what a killed run left; `UndoRecordError`."""
        self._root = root
        self._folder = root / FOLDER
        self._new = self._folder / "new"
        self._kept = self._folder / "kept"
        found = slimmed_in(root)
        self.slimmed = found or Slimmed(sartor=__version__)
        self._sweep()

    def _sweep(self) -> None:
        shutil.rmtree(self._new, ignore_errors=True)
        wanted = {one.kept for one in self.slimmed.files}
        with contextlib.suppress(OSError):
            for path in self._kept.iterdir():
                if path.name not in wanted:
                    path.unlink()

    @property
    def kept_bytes(self) -> int:
        """What is kept for undoing takes."""
        names = [one.kept for one in self.slimmed.files if one.kept]
        return sum(_size(self._kept / name) for name in names)

    def slim(
        self, file: Owned, wanted: Wanted, *, keeping: bool, compiler: Compiler = NO_COMPILER
    ) -> LibraryPlan:
        """Reduce a library in its place; it stays where nothing would go.

        Raises `DiskFullError`, `FolderNotWritableError`, and what ``compiler`` raises.
        """
        path = self._root / file.path
        with self._explained():
            make_folder(self._new)
            staged = self._new / "file"
            plan = written_library(path, staged, wanted, compiler)
            if not plan.result.changed:
                staged.unlink()
                return plan
            before = _before(path, file.sha256)
            sha256 = str(file_sha256(staged))
            kept = None
            if keeping and file.earlier is None:
                make_folder(self._kept)
                kept = f"{file.sha256[:16]}-{sha256[:16]}.zst"
                keep(path, turned_round(plan.pieces, before.size), self._kept / kept)
                _on_disk(self._kept / kept)
                if restored_sha256(staged, self._kept / kept) != file.sha256:
                    why = "what would be kept of it does not bring it back"
                    return LibraryPlan(left(plan.result, "check", why), [])
            size = plan.result.bytes_after
            changed = Changed(
                path=file.path,
                change="slimmed",
                project=file.project,
                version=file.version,
                before=before,
                rows=list(self._rows(file, sha256, size)),
                sha256=sha256,
                size=size,
                kept=kept,
                wanted=wanted,
                units=reduced_units(plan.result),
            )
            self._commit(_after(file.earlier, changed), staged)
        return plan

    def remove(self, file: Owned, why: str, *, keeping: bool) -> None:
        """Take a file away, with its lines; raises as `slim`."""
        path = self._root / file.path
        with self._explained():
            make_folder(self._new)
            kept = None
            if keeping and file.earlier is None:
                make_folder(self._kept)
                kept = f"{file.sha256[:16]}-{len(self.slimmed.files)}.removed"
            changed = Changed(
                path=file.path,
                change="removed",
                project=file.project,
                version=file.version,
                before=_before(path, file.sha256),
                rows=[replace(row, now="") for row in self._rows(file, file.sha256, 0)],
                kept=kept,
                why=why,
            )
            self._commit(_after(file.earlier, changed), None)

    def let_go(self) -> None:
        """Give up what is kept for undoing: the record alone stays."""
        files = [replace(one, kept=None) for one in self.slimmed.files]
        self._write(replace(self.slimmed, files=files))
        self._sweep()

    def _rows(self, file: Owned, sha256: str, size: int) -> Iterator[Row]:
        for record, name in file.lines.items():
            data = (self._root / record).read_bytes()
            line = rows.lines_of(data)[name][0]
            yield Row(
                record=record,
                before=line.decode(),
                now=rows.changed_line(line, sha256, size).decode(),
                place=rows.place_of(data, line),
            )

    def _commit(self, changed: Changed, staged: Path | None) -> None:
        """Write the RECORDs beside and what is done into the record; then rename all."""
        path = self._root / changed.path
        records = {row.record for row in changed.rows} - self.slimmed.records.keys()
        new = self._staged_records(changed, undo=False)
        others = [one for one in self.slimmed.files if one.path != changed.path]
        known = {r: _before(self._root / r, str(file_sha256(self._root / r))) for r in records}
        self._write(
            replace(
                self.slimmed,
                sartor=__version__,
                files=[*others, changed],
                records={**self.slimmed.records, **known},
            )
        )
        if staged is not None:
            _owned_by(staged, changed.before)
            _on_disk(staged)
            staged.replace(path)
        elif changed.kept is not None:
            path.replace(self._kept / changed.kept)
        else:
            path.unlink()
        self._place(new)

    def state(self, changed: Changed) -> str:
        """What a file is that was changed: ``slimmed``, ``removed``, ``original``, or ``other``.

        By what is in it: it may have been changed by an installer since, or not at all.
        """
        path = self._root / changed.path
        if path.is_symlink() or (path.exists() and not path.is_file()):
            return "other"
        digest = file_sha256(path)
        if digest is None and changed.change == "removed":
            return "removed" if self._installed(changed) else "other"
        if digest == changed.before.sha256:
            return "original"
        return "slimmed" if digest is not None and digest == changed.sha256 else "other"

    def _installed(self, changed: Changed) -> bool:
        return any((self._root / row.record).is_file() for row in changed.rows)

    def is_of_package(self, changed: Changed) -> bool:
        """Whether a RECORD still says of the file what was written into it when it was changed."""
        for row in changed.rows:
            with contextlib.suppress(OSError):
                data = (self._root / row.record).read_bytes()
                if row.now.encode() in rows.lines_of(data).get(rows.path_of(row.before), []):
                    return True
        return False

    def settle(self) -> dict[str, Changed]:
        """The files that are as the record says, by their paths; it loses all others.

        Where a run ended between a file and its RECORDs these are changed now. A file that an
        installer wrote since is its package's; one that was damaged stays in the record.
        """
        found = {}
        for one in list(self.slimmed.files):
            state = self.state(one)
            if state == one.change:
                self._finish(one)
                found[one.path] = one
            elif state == "original":
                self.bring_back(one)
            elif not self.is_of_package(one):
                self.forget(one)
        return found

    def _finish(self, changed: Changed) -> None:
        with self._explained():
            make_folder(self._new)
            self._place(self._staged_records(changed, undo=False))

    def bring_back(self, changed: Changed) -> None:
        """Have the original in its place, and its lines in the RECORDs.

        Raises `Unfit` where what is kept does not give it, and as `slim`.
        """
        path = self._root / changed.path
        with self._explained():
            make_folder(self._new)
            staged, state = None, self.state(changed)
            if state != "original" and changed.kept is None:
                raise Unfit("nothing was kept of it")
            if state == "slimmed":
                staged = self._new / "file"
                self._restore(path, changed, staged)
            elif state == "removed":
                staged = self._kept / str(changed.kept)
                if file_sha256(staged) != changed.before.sha256:
                    raise Unfit("what was kept of it is gone or damaged")
            new = self._staged_records(changed, undo=True)
            if staged is not None:
                make_folder(path.parent)
                _on_disk(staged)
                staged.replace(path)
            self._place(new)
            self.forget(changed)

    def _restore(self, path: Path, changed: Changed, staged: Path) -> None:
        """The original, written beside and held against its digest."""
        kept = self._kept / str(changed.kept)
        try:
            with staged.open("wb") as file:
                file.writelines(restored(path, kept))
        except FileNotFoundError as error:
            raise Unfit("what was kept of it is gone") from error
        if file_sha256(staged) != changed.before.sha256:
            raise Unfit("what was kept of it is damaged")
        _owned_by(staged, changed.before)
        staged.chmod(changed.before.mode)
        os.utime(staged, ns=(changed.before.mtime_ns, changed.before.mtime_ns))

    def forget(self, changed: Changed) -> None:
        """Take a file out of the record, with what is kept of it; the last takes all along."""
        files = [one for one in self.slimmed.files if one.path != changed.path]
        if files:
            self._write(replace(self.slimmed, files=files))
            self._sweep()
        else:
            self.slimmed = Slimmed(sartor=__version__)
            shutil.rmtree(self._folder)

    def _staged_records(self, changed: Changed, *, undo: bool) -> dict[Path, Path]:
        """The RECORDs with a file's lines changed, written beside: from there to their places."""
        found = {}
        for i, row in enumerate(changed.rows):
            place = self._root / row.record
            try:
                data = place.read_bytes()
            except FileNotFoundError:
                continue
            new = _undone(data, row) if undo else _done(data, row)
            if new != data:
                staged = self._new / f"record-{i}"
                staged.write_bytes(new)
                shutil.copymode(place, staged)
                _owned_by(staged, _before(place, ""))
                was = self.slimmed.records.get(row.record)
                if was is not None and file_sha256(staged) == was.sha256:
                    os.utime(staged, ns=(was.mtime_ns, was.mtime_ns))
                found[staged] = place
        return found

    def _place(self, staged: dict[Path, Path]) -> None:
        for new, place in staged.items():
            new.replace(place)

    def _write(self, slimmed: Slimmed) -> None:
        write_down(self._root, slimmed)
        self.slimmed = slimmed

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            with explain_os_errors(self._root, HINT):
                yield
        except (DiskFullError, FolderNotWritableError) as error:
            error.hint = HINT
            raise
        finally:
            shutil.rmtree(self._new, ignore_errors=True)


def _done(data: bytes, row: Row) -> bytes:
    lines = rows.lines_of(data).get(rows.path_of(row.before), [])
    return rows.with_lines(data, dict.fromkeys(lines, row.now.encode()))


def _undone(data: bytes, row: Row) -> bytes:
    """The line as it was; one that was taken out goes back to its place."""
    lines = rows.lines_of(data).get(rows.path_of(row.before), [])
    if not lines:
        return rows.with_line_at(data, row.place, row.before.encode())
    return rows.with_lines(data, dict.fromkeys(lines, row.before.encode()))


def _after(earlier: Changed | None, changed: Changed) -> Changed:
    """A second change of a file: what it was is what it was before the first."""
    if earlier is None:
        return changed
    was = {row.record: row.before for row in earlier.rows}
    own = [replace(row, before=was.get(row.record, row.before)) for row in changed.rows]
    units = joined(earlier.units, changed.units)
    return replace(changed, before=earlier.before, rows=own, units=units)


def _before(path: Path, sha256: str) -> Before:
    found = path.stat()
    return Before(
        sha256=sha256,
        size=found.st_size,
        mode=found.st_mode & 0o7777,
        mtime_ns=found.st_mtime_ns,
        uid=found.st_uid,
        gid=found.st_gid,
    )


def _owned_by(path: Path, before: Before) -> None:
    """Give a new file to the old one's owner; who may not do that keeps it."""
    found = path.stat()
    if (found.st_uid, found.st_gid) != (before.uid, before.gid):
        with contextlib.suppress(OSError):
            os.chown(path, before.uid, before.gid)


def _on_disk(path: Path) -> None:
    """Wait until a file's bytes are where a machine that loses its power has them."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
