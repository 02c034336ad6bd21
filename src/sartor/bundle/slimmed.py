"""Wheels of a bundle reduced to GPUs: each once for a Sartor, kept beside what was fetched."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sartor import __version__
from sartor.errors import NotSlimmableError, UsageError
from sartor.locks import waiting_lock
from sartor.paths import human_bytes, make_private_folder
from sartor.slim.licence import Forbidden, may_be_changed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sartor.index.files import IndexFile
    from sartor.lock.model import HostClass
    from sartor.paths import Places
    from sartor.reporter import Reporter
    from sartor.slim.choice import Wanted


class Slimmed(msgspec.Struct, frozen=True):
    """By the sha256 of a locked wheel what is carried in its place; why others are as locked."""

    files: dict[str, Path]
    notes: list[str]


def refuse_others(wanted: Wanted, host: HostClass) -> None:
    """Raise `UsageError` where a GPU that the lock is for would be left without code."""
    named = {target.compute_capability for target in wanted.targets}
    lost = [gpu for gpu in dict.fromkeys(host.gpus) if gpu not in named]
    if lost:
        raise UsageError(
            f"the lock is for GPUs of compute capability {', '.join(lost)}, which are not named",
            hint="name them too: " + " ".join(f"`--gpu sm_{gpu.replace('.', '')}`" for gpu in lost),
        )


def slim_all(
    files: Sequence[IndexFile],
    kept: Mapping[str, Path],
    wanted: Wanted,
    places: Places,
    reporter: Reporter,
) -> Slimmed:
    """Reduce every wheel that has device code and may be changed; ``kept`` says where each is.

    Raises what `sartor.slim.wheel.reduce.slim_wheel` raises, but for what may not be changed: that
    is carried as it is, with a note.
    """
    found: dict[str, Path] = {}
    notes: list[str] = []
    forbidden: dict[str, list[str]] = {}
    folder = make_private_folder(places.packages / "slimmed")
    with waiting_lock(folder / ".lock", reporter, "slimming packages"):
        for file in files:
            sha256, project = str(file.sha256), file.name.partition("-")[0]
            decision = may_be_changed(project)
            if isinstance(decision, Forbidden):
                forbidden.setdefault(decision.because, []).append(decision.project)
                continue
            try:
                path = _one(kept[sha256], folder / _key(sha256, wanted), wanted, reporter)
            except NotSlimmableError as error:
                notes.append(error.message)
            else:
                if path is not None:
                    found[sha256] = path
    if found:
        before, after = (
            sum(kept[s].stat().st_size for s in found),
            sum(path.stat().st_size for path in found.values()),
        )
        wheels = "1 wheel" if len(found) == 1 else f"{len(found)} wheels"
        sizes = f"{human_bytes(before)} became {human_bytes(after)}"
        notes.insert(0, f"slimmed to {', '.join(wanted.gpus)}: {wheels}, {sizes}")
    notes += [f"as locked: {', '.join(names)}: {why}" for why, names in forbidden.items()]
    return Slimmed(found, notes)


def _key(sha256: str, wanted: Wanted) -> str:
    """What the bytes of a slimmed wheel depend on."""
    told = msgspec.json.encode([sha256, wanted, __version__])
    return hashlib.sha256(told).hexdigest()[:32]


def _one(source: Path, folder: Path, wanted: Wanted, reporter: Reporter) -> Path | None:
    """The slimmed wheel, made or found; None where nothing of it can be left out."""
    from sartor.slim.wheel.reduce import WheelRequest, slim_wheel

    there = sorted(folder.glob("*.whl"))
    if there:
        return there[0]
    result = slim_wheel(WheelRequest(source, wanted, folder), reporter)
    return Path(result.output) if result.changed and result.output is not None else None
