"""Everything that belongs to a bundle: what it is, and where its bytes are."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sartor.artifact.digest import sha256_of
from sartor.bundle.model import BundledModel, LeftOut, Member
from sartor.bundle.own import NAME, own_wheel, pins, refuse_python
from sartor.bundle.runtime import Pinned, pinned, supplies, wheels_for
from sartor.bundle.slimmed import Slimmed, refuse_others, slim_all
from sartor.bundle.there import Decided, decide, read_there
from sartor.engines.facts import engine
from sartor.errors import UsageError
from sartor.lock.model import Locking
from sartor.lock.reading import LOCK_NAME, PYLOCK_NAME
from sartor.lock.stack import stack_of_lock
from sartor.locking import read_locked
from sartor.plan.model import Stack
from sartor.remote.fetch import fetch_all
from sartor.slim.choice import Wanted

if TYPE_CHECKING:
    from sartor.bundle.model import Kind
    from sartor.index.files import IndexFile
    from sartor.paths import Places
    from sartor.reporter import Reporter

ORDER: tuple[Kind, ...] = ("wheel", "supply", "model", "sartor", "lock")
"""In the stream: what changes most often stands last, so that the parts before it stay."""


class BundleRequest(msgspec.Struct, frozen=True):
    """What is to be bundled: the lock's folder, the list of what is there, the model.

    ``wanted``: its wheels are reduced to these GPUs; None: they are carried as they are locked.
    """

    lock: Path
    there: Path | None = None
    model: str | None = None
    weights: bool = True
    wanted: Wanted | None = None


class Piece(msgspec.Struct, frozen=True):
    """A member, and its bytes or the file that has them."""

    member: Member
    source: Path | bytes


class Collected(msgspec.Struct, frozen=True):
    """All of a bundle but the form in which it lies on the disk; ``pieces`` in their order."""

    locking: Locking
    stack: Stack
    pieces: list[Piece]
    left_out: list[LeftOut]
    model: BundledModel | None
    notes: list[str]


def collect(asked: BundleRequest, places: Places, reporter: Reporter) -> Collected:
    """Have everything at hand, fetching what is not in the cache; raises why it cannot be."""
    locking = read_locked(asked.lock)
    refuse_python(locking.host.python)
    stack = stack_of_lock(locking)
    left = decide(locking, _there(asked.there)) if asked.there else Decided([], [])
    gone = {one.name for one in left.left_out}
    wheels = {p.name: p for p in locking.packages if p.name not in gone}
    line = next(one for one in engine(stack.engine).line if one.id == stack.line)
    runs, extra = pinned(pins(), locking.host), supplies(line)
    further = wheels_for({*runs, *extra}, locking.host, places, reporter)
    found = [(p.name, p.version, p.file) for p in wheels.values() if p.file is not None]
    kept = fetch_all([f for *_, f in found] + [*further.values()], places, reporter)
    pieces = [_own_piece()]
    pieces += [_wheel("sartor", one, further[one], kept) for one in runs]
    pieces += [_lock_piece(asked.lock, name) for name in (PYLOCK_NAME, LOCK_NAME)]
    slimmed = Slimmed({}, [])
    if asked.wanted is not None:
        refuse_others(asked.wanted, locking.host)
        locked = [file for *_, file in found]
        slimmed = slim_all(locked, kept, asked.wanted, places, reporter)
        stack = msgspec.structs.replace(stack, slimmed_to=[t.gpu for t in asked.wanted.targets])
    for name, v, file in found:
        own = slimmed.files.get(str(file.sha256))
        pieces.append(
            _wheel("wheel", Pinned(name, v), file, kept)
            if own is None
            else _slimmed(Pinned(name, v), file, own)
        )
    pieces += [_wheel("supply", one, further[one], kept) for one in extra]
    model = None
    if asked.model is not None:
        from sartor.bundle.models import model_files

        form = engine(stack.engine).formats[0]
        files = model_files(asked.model, form, places, reporter, weights=asked.weights)
        model = files.model
        pieces += [_file("model", path, source) for path, source in files.files.items()]
    there = {one.name: one.there for one in left.left_out}
    return Collected(
        locking=locking,
        stack=msgspec.structs.replace(stack, there=there),
        pieces=sorted(pieces, key=_place),
        left_out=left.left_out,
        model=model,
        notes=[*left.notes, *slimmed.notes],
    )


def _place(piece: Piece) -> tuple[bool, int, str]:
    """In the stream; Sartor's own wheel is the very last."""
    member = piece.member
    return member.project == NAME, ORDER.index(member.kind), member.path


def _there(path: Path) -> dict[str, str]:
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"`{path}` cannot be read",
            hint="make it on the target: `python3 -m pip list --format=json`",
        ) from error
    return read_there(text, path.name)


def _own_piece() -> Piece:
    name, data = own_wheel()
    digest = hashlib.sha256(data).hexdigest()
    project, version, *_ = name.split("-")
    return Piece(
        Member(
            path=f"sartor/{name}",
            kind="sartor",
            size=len(data),
            sha256=digest,
            project=project,
            version=version,
        ),
        data,
    )


def _wheel(kind: Kind, one: Pinned, file: IndexFile, kept: dict[str, Path]) -> Piece:
    sha256 = str(file.sha256)
    folder = {"sartor": "sartor", "supply": "supply"}.get(kind, "wheels")
    return Piece(
        Member(
            path=f"{folder}/{file.name}",
            kind=kind,
            size=kept[sha256].stat().st_size,
            sha256=sha256,
            project=one.name,
            version=one.version,
        ),
        kept[sha256],
    )


def _slimmed(one: Pinned, file: IndexFile, path: Path) -> Piece:
    """What stands for a locked wheel, and of which it was made."""
    piece = _file("wheel", f"wheels/{path.name}", path)
    member = msgspec.structs.replace(
        piece.member, project=one.name, version=one.version, source=file.sha256
    )
    return msgspec.structs.replace(piece, member=member)


def _lock_piece(folder: Path, name: str) -> Piece:
    return _file("lock", f"lock/{name}", folder / name)


def _file(kind: Kind, path: str, source: Path) -> Piece:
    size = source.stat().st_size
    return Piece(Member(path=path, kind=kind, size=size, sha256=sha256_of(source)), source)
