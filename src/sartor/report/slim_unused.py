"""What `sartor slim` says to people of files that are of no use, or to some alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.paths import human_bytes
from sartor.report.words import few, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sartor.slim.model import SlimmedTarget, UnusedFiles, UnusedKind

WIDTH = 98
NAMED = 6
HEADS: dict[UnusedKind, str] = {
    "tests": "no use known",
    "one-interpreter": "of use to one Python alone",
    "compiling": "of use where code is compiled",
    "on-request": "of use on request",
    "one-of": "one of them is of use",
}


def unused_lines(result: SlimmedTarget, *, dry_run: bool) -> Iterator[str]:
    """A line for each reason; tests are named as one."""
    rows = result.unused
    keys = [(_head(row, dry_run=dry_run), _why(row, result.kind)) for row in rows]
    for head, why in dict.fromkeys(keys):
        own = [row for row, key in zip(rows, keys, strict=True) if key == (head, why)]
        count = sum(row.files for row in own)
        files = "1 file" if count == 1 else f"{count} files"
        projects = list(dict.fromkeys(row.project for row in own))
        whose = "" if result.kind == "wheel" else f" of {few(projects, NAMED)}"
        size = human_bytes(sum(row.bytes for row in own))
        packed = [row.packed_bytes for row in own if row.packed_bytes is not None]
        size += f" ({human_bytes(sum(packed))} in the wheel)" if packed else ""
        yield from wrapped(f"  {head}, {size}: ", f"{files}{whose}: {why}", WIDTH, hang=6)
    yield from _options(result, dry_run=dry_run)


def _options(result: SlimmedTarget, *, dry_run: bool) -> Iterator[str]:
    """What would remove more."""
    rows = result.unused
    could = [row for row in rows if row.removable and not row.removed]
    if could and not any(row.removed for row in rows):
        size = human_bytes(sum(row.bytes for row in could))
        in_place = result.kind == "environment" and dry_run
        option = "--in-place --remove-unused" if in_place else "--remove-unused"
        yield f"  `{option}` removes {size} of what cannot be used"
    if any(row.kind == "one-interpreter" and row.named_by is None for row in rows):
        yield "  `--python VERSION --remove-unused` removes what is of no use to that Python"


def _head(row: UnusedFiles, *, dry_run: bool) -> str:
    """What stands before the size."""
    if row.removed:
        return "would be removed" if dry_run else "removed"
    if row.named_by is not None:
        return "perhaps " + HEADS[row.kind] if row.kind in HEADS else "no use known"
    return HEADS.get(row.kind, "of no use")


def _why(row: UnusedFiles, kind: str) -> str:
    """One reason for the modules of several Pythons."""
    why = row.why
    if row.kind == "one-interpreter":
        why = "modules for one of the Pythons that the wheel is for"
    elif row.kind == "other-interpreter":
        rest = "" if kind == "wheel" else ", which this one does not look for"
        why = f"modules for other Pythons{rest}"
    return why if row.named_by is None else f"{why}; `{row.named_by}` names them: they stay"
