"""What has changed of the machine that a lock was made for."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from packaging.version import Version

from sartor.lock.model import HostClass, LockChange, NotChecked

if TYPE_CHECKING:
    from sartor.lock.model import Consequence

_GROWS = {
    "glibc": ("glibc", "the wheels were chosen for an older glibc, which a newer one serves"),
    "driver": ("driver", "a newer driver runs all that an older one ran"),
    "cuda": ("the driver's CUDA", "a newer driver runs all that an older one ran"),
}
_SHRINKS = {
    "glibc": "wheels were chosen for a newer glibc and may not load",
    "driver": "machine code was chosen for a newer driver and may not load",
    "cuda": "machine code was chosen for a driver of a newer CUDA and may not load",
}
_FIXED = {
    "architecture": "the files are for another processor",
    "python": "the files were chosen for another Python",
}


def host_changes(
    was: HostClass, now: HostClass | None
) -> tuple[list[LockChange], list[NotChecked]]:
    """What is not as it was, and what is not known."""
    if now is None:
        return [], [NotChecked("host", "it was not looked at")]
    found, unknown = [], []
    for name, because in _FIXED.items():
        before, after = getattr(was, name), getattr(now, name)
        if before != after:
            found.append(_change(name, before, after, "must be planned again", because))
    for name, (shown, because) in _GROWS.items():
        before, after = getattr(was, name), getattr(now, name)
        if before == after:
            continue
        if after is None:
            unknown.append(NotChecked(shown, "it is not known now"))
        elif before is None:
            found.append(_change(shown, None, after, "still holds", "nothing was chosen by it"))
        elif Version(after) > Version(before):
            found.append(_change(shown, before, after, "still holds", because))
        else:
            found.append(_change(shown, before, after, "must be planned again", _SHRINKS[name]))
    if was.unknown_gpus or now.unknown_gpus:
        unknown.append(NotChecked("GPUs", "the compute capability of some is not known"))
    isa, why = _isa(was.isa, now.isa)
    return [*found, *isa, *_gpus(was.gpus, now.gpus)], [*unknown, *why]


def _isa(was: str | None, now: str | None) -> tuple[list[LockChange], list[NotChecked]]:
    """Levels of one processor family are in order: ``x86_64_v2`` before ``x86_64_v3``."""
    if was == now or was is None:
        return [], []
    what = "CPU level"
    if now is None:
        return [], [NotChecked(what, "it is not known now")]
    (family, level), (other, newer) = _level(was), _level(now)
    if family != other:
        because = "the two are of different families of processors"
    elif newer < level:
        because = "code was chosen for instructions that this CPU lacks"
    else:
        return [_change(what, was, now, "still holds", "it has all that the other one had")], []
    return [_change(what, was, now, "must be planned again", because)], []


def _level(isa: str) -> tuple[str, int]:
    family, _, level = isa.rpartition("_v")
    return (family, int(level)) if family and level.isdecimal() else (isa, 1)


def _gpus(was: list[str], now: list[str]) -> list[LockChange]:
    before, after = Counter(was), Counter(now)
    found = []
    for capability in sorted(before | after, key=Version):
        had, has = before[capability], after[capability]
        if had == has:
            continue
        if not had:
            because = "whether the stack serves a GPU of this kind was never read"
        elif not has:
            because = (
                "no GPU of the kind that the stack was chosen for is left; it may be served by a "
                "newer or a smaller one"
            )
        else:
            because = "the kind is the same; how many of them are used is not in the lock"
        again: Consequence = "still holds" if had and has else "must be planned again"
        shown = f"GPUs of compute capability {capability}"
        found.append(_change(shown, str(had), str(has), again, because))
    return found


def _change(
    what: str, was: str | None, now: str | None, consequence: Consequence, because: str
) -> LockChange:
    return LockChange(
        group="host", what=what, was=was, now=now, consequence=consequence, because=because
    )
