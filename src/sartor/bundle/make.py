"""Writing a bundle: as plain files, or as parts of one stream. What is whole already is kept."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sartor import __version__
from sartor.bundle import install
from sartor.bundle.collect import collect
from sartor.bundle.install import INSTALLER, MANIFEST, PART, digest_of, fault_of
from sartor.bundle.model import Bundle, BundleState, Installer, Part
from sartor.errors import NotBundlableError, OthersFileError, UntrustedBytesError
from sartor.locks import waiting_lock
from sartor.paths import (
    disk_full,
    existing_parent,
    explain_os_errors,
    free_bytes,
    make_folder,
    not_writable,
    write_atomically,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sartor.bundle.collect import BundleRequest, Collected, Piece
    from sartor.paths import Places
    from sartor.reporter import Reporter

BLOCK = 1 << 20
BEGUN = ".bundle.partial"
"""Lists what a bundle that is being made has, and what the one before it had."""
FOLDERS = frozenset({"sartor", "lock", "wheels", "supply", "model"})
OURS = re.compile(rf"{MANIFEST}|{INSTALLER}|{PART.pattern}|\..*\.partial")
HINT = "name another folder: `-o DIR`"
WAY_OUT = "name a folder that you can write, on a file system with more room: `-o DIR`"


def make(
    asked: BundleRequest, out: Path, split: int | None, places: Places, reporter: Reporter
) -> BundleState:
    """Write the bundle of a lock to ``out``; the same lock gives the same bytes.

    ``split`` is what a part has at most, in bytes. Raises `OthersFileError` where something else
    lies in ``out``, `NotBundlableError`, and what `collect` raises.
    """
    refuse_others(out)
    refuse_unwritable(out)
    found = collect(asked, places, reporter)
    make_folder(out, hint=WAY_OUT)
    key = hashlib.sha256(str(out.resolve()).encode()).hexdigest()[:16]
    make_folder(places.bundles)
    with (
        waiting_lock(places.bundles / f".{key}.lock", reporter, "making this bundle"),
        explain_os_errors(out, WAY_OUT),
    ):
        return write_bundle(found, out, split, reporter)


def write_bundle(found: Collected, out: Path, split: int | None, reporter: Reporter) -> BundleState:
    """Write what was collected to a folder that is there."""
    members = [piece.member for piece in found.pieces]
    total = sum(member.size for member in members)
    code = Path(install.__file__).read_bytes()
    limits(split, total, len(code))
    _check_room(out, total)
    _begin(out, set() if split else {member.path for member in members})
    count = Count(reporter, total)
    parts: list[Part] = []
    if split is None:
        for piece in found.pieces:
            count.file(_placed(piece, out), piece.member.size)
    else:
        parts = write_parts(found.pieces, out, split, count)
    digest = hashlib.sha256(code).hexdigest()
    bundle = Bundle(
        sartor=__version__,
        engine=found.locking.engine,
        version=found.locking.version,
        host=found.locking.host,
        stack=found.stack,
        members=members,
        installer=Installer(name=INSTALLER, size=len(code), sha256=digest),
        digest="0" * 64,
        split=split,
        parts=parts,
        left_out=found.left_out,
        model=found.model,
        notes=found.notes,
    )
    bundle, text = signed(bundle)
    if split is not None and len(text) > split:
        raise _too_small(split, len(text), MANIFEST)
    if fault_of(out / INSTALLER, {"size": len(code), "sha256": digest}):
        write_atomically(out / INSTALLER, code, 0o755)
    _end(out, {part.name for part in parts} or {member.path for member in members}, text)
    return state("made", bundle, [out], written=count.written, kept=count.kept)


def state(action: str, bundle: Bundle, folders: Iterable[Path], **more: object) -> BundleState:
    """What is printed of a bundle."""
    known = {
        "action": action,
        "folders": [str(folder) for folder in folders],
        "engine": bundle.engine,
        "version": bundle.version,
        "host": bundle.host,
        "digest": bundle.digest,
        "members": len(bundle.members),
        "parts": len(bundle.parts),
        "bytes": sum(member.size for member in bundle.members),
        "left_out": bundle.left_out,
        "notes": bundle.notes,
    }
    return BundleState(**{**known, **more})  # type: ignore[arg-type]


def signed(bundle: Bundle) -> tuple[Bundle, bytes]:
    """The manifest with its own digest, and its bytes."""
    import json

    digest = digest_of(msgspec.to_builtins(bundle))
    bundle = msgspec.structs.replace(bundle, digest=digest)
    text = json.dumps(msgspec.to_builtins(bundle), indent=1, sort_keys=True, ensure_ascii=False)
    return bundle, text.encode() + b"\n"


def limits(split: int | None, total: int, installer: int) -> None:
    """Raise `NotBundlableError` for parts that cannot be."""
    if split is None:
        return
    if split < installer:
        raise _too_small(split, installer, INSTALLER)
    if total > split * 10**6:
        raise _too_small(split, -(-total // 10**6), "a part of a million")


def _too_small(split: int, needed: int, what: str) -> NotBundlableError:
    return NotBundlableError(
        f"parts of {split} bytes are too small: `{what}` has {needed}",
        hint=f"take larger ones: `--split {max(needed // 1000 + 1, 100)}K` or more",
    )


def _check_room(out: Path, total: int) -> None:
    there = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    if free_bytes(out) + there < total:
        raise disk_full(out, total, hint=WAY_OUT)


class Count:
    """Files that were written and kept, and the bytes of both."""

    def __init__(self, reporter: Reporter, total: int) -> None:
        self._reporter, self._total = reporter, total
        self._done = self.written = self.kept = 0

    def file(self, was_kept: bool, size: int) -> None:
        """One more is whole."""
        self.kept += was_kept
        self.written += not was_kept
        self._done += size
        self._reporter.progress("bundling", self._done, self._total, "B")


def _placed(piece: Piece, out: Path) -> bool:
    """Have a member as a plain file; whether it was there."""
    path = out / piece.member.path
    row = {"size": piece.member.size, "sha256": piece.member.sha256}
    if fault_of(path, row) is None:
        return True
    make_folder(path.parent, hint=WAY_OUT)
    _write(path, stream([piece], 0, piece.member.size))
    return False


def write_parts(pieces: list[Piece], out: Path, split: int, count: Count) -> list[Part]:
    """The stream of all members, cut; a part that is whole already is not written again."""
    total = sum(piece.member.size for piece in pieces)
    parts = []
    for number, start in enumerate(range(0, total, split)):
        end = min(start + split, total)
        name = f"part-{number:04}"
        path, was_there = out / name, False
        if path.is_file() and path.stat().st_size == end - start:
            sha256 = _digest(stream(pieces, start, end))
            was_there = fault_of(path, {"size": end - start, "sha256": sha256}) is None
        if not was_there:
            sha256 = _write(path, stream(pieces, start, end))
        parts.append(Part(name=name, size=end - start, sha256=sha256))
        count.file(was_there, end - start)
    return parts


def stream(pieces: list[Piece], start: int, end: int) -> Iterator[bytes]:
    """The bytes from ``start`` to ``end`` of all pieces in a row.

    Raises `UntrustedBytesError` where a file that was read whole is not what it was.
    """
    first = 0
    for piece in pieces:
        size = piece.member.size
        begin, stop = max(start - first, 0), min(end - first, size)
        if begin < stop:
            yield from _bytes_of(piece, begin, stop)
        first += size
        if first >= end:
            return


def _bytes_of(piece: Piece, begin: int, stop: int) -> Iterator[bytes]:
    if isinstance(piece.source, bytes):
        yield piece.source[begin:stop]
        return
    whole = hashlib.sha256() if stop - begin == piece.member.size else None
    with piece.source.open("rb") as file:
        file.seek(begin)
        left = stop - begin
        while left and (block := file.read(min(BLOCK, left))):
            left -= len(block)
            if whole is not None:
                whole.update(block)
            yield block
    if left or (whole is not None and whole.hexdigest() != piece.member.sha256):
        raise UntrustedBytesError(
            f"`{piece.source}` is not what it was when it was fetched",
            hint="remove it and run the same command again",
        )


def _write(path: Path, blocks: Iterable[bytes]) -> str:
    """Write a file beside its place, rename it there; its sha256."""
    partial, digest = install.write_beside(path, blocks)
    partial.replace(path)
    return digest


def _digest(blocks: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(block)
    return digest.hexdigest()


def refuse_others(out: Path) -> None:
    """Raise `OthersFileError` where the folder holds what no bundle has."""
    if not out.exists():
        return
    if not out.is_dir():
        raise OthersFileError(f"`{out}` is no folder", hint=HINT)
    names = sorted(p.name for p in out.iterdir() if not OURS.fullmatch(p.name))
    folders = {n for n in names if n in FOLDERS and (out / n).is_dir() and _is_bundle(out)}
    if others := [n for n in names if n not in folders]:
        raise OthersFileError(
            f"`{out}` holds something else than a bundle", found=others[:5], hint=HINT
        )


def refuse_unwritable(out: Path) -> None:
    """Raise `FolderNotWritableError` where nothing can be written, before anything is fetched."""
    there = existing_parent(out)
    if not os.access(there, os.W_OK | os.X_OK):
        raise not_writable(out, PermissionError(errno.EACCES, "not writable", str(out)), WAY_OUT)


def _is_bundle(out: Path) -> bool:
    """Whether a bundle lies there, or the beginning of one."""
    return bool(_listed(out))


def _listed(out: Path) -> set[str]:
    """The files that Sartor wrote there, whole bundle or begun."""
    found: set[str] = set()
    with contextlib.suppress(OSError, msgspec.DecodeError):
        found |= set(msgspec.json.decode((out / BEGUN).read_bytes(), type=list[str]))
    with contextlib.suppress(install.Fault):
        there = install.read_manifest([out])
        found |= {row["path"] for row in there["members"]}
        found |= {row["name"] for row in there["parts"]}
        found.add(MANIFEST)
    return found


def _begin(out: Path, names: set[str]) -> None:
    """Note what will be written; until the end there is no manifest."""
    data = msgspec.json.encode(sorted(_listed(out) | names))
    write_atomically(out / BEGUN, data)
    (out / MANIFEST).unlink(missing_ok=True)


def _end(out: Path, wanted: set[str], manifest: bytes) -> None:
    """Remove what an earlier bundle had and what killed runs left; then it is whole."""
    for name in _listed(out) - wanted:
        (out / name).unlink(missing_ok=True)
    for path in out.iterdir():
        if PART.fullmatch(path.name) and path.name not in wanted:
            path.unlink()
    for partial in out.rglob(".*.partial"):
        if partial != out / BEGUN:
            partial.unlink()
    for folder in FOLDERS:
        for path in sorted((out / folder).rglob("*"), reverse=True):
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()
        with contextlib.suppress(OSError):
            (out / folder).rmdir()
    write_atomically(out / MANIFEST, manifest)
    (out / BEGUN).unlink()
