"""What `sartor slim` says to people of an environment."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from sartor.paths import human_bytes
from sartor.report.words import clean, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sartor.slim.environment.model import InEnvironment, SlimUndone
    from sartor.slim.model import SlimmedTarget

WIDTH = 98


def environment_lines(result: SlimmedTarget, *, dry_run: bool) -> list[str]:
    """What was left, and what undoing costs."""
    found = result.environment
    if found is None:
        return []
    lines: list[str] = []
    for why in dict.fromkeys(package.why for package in found.left):
        own = [package for package in found.left if package.why == why]
        size = human_bytes(sum(package.bytes for package in own))
        names = ", ".join(package.project for package in own)
        lines += wrapped(f"  left alone, {size}: ", f"{names}: {why}", WIDTH, hang=6)
    if not dry_run:
        lines += _undo(found, result.target, changed=result.changed)
    for folder in found.not_touched:
        lines.append(f"  not touched: {clean(folder)}, which is not its own")
    return lines


def _undo(found: InEnvironment, target: str, *, changed: bool) -> Iterator[str]:
    if found.undo is not None:
        again = shlex.join(["sartor", "slim", clean(target), "--undo"])
        text = (
            f"{human_bytes(found.kept_bytes)} are kept for `{again}`; "
            "the same command with `--no-undo` gives them up"
        )
        yield from wrapped("  ", text, WIDTH)
    elif changed:
        yield "  nothing is kept: the way back is to install the packages anew"
    if found.shared_bytes:
        text = (
            f"{human_bytes(found.shared_bytes)} of what was changed have other names (hard links "
            "in uv's cache or other environments), and stay on the disk until those go: "
            "`uv cache prune`, `uv cache clean`"
        )
        yield from wrapped("  ", text, WIDTH)


def undone_lines(found: SlimUndone) -> list[str]:
    """What was brought back, and what was not."""
    count = len(found.restored)
    files = "1 file is as it was" if count == 1 else f"{count} files are as they were"
    size = human_bytes(found.bytes)
    lines = [f"{clean(found.environment)}: {files} before slimming, {size}"]
    lines += [
        f"  {clean(path)}: an installer replaced or removed it since; it is left so"
        for path in found.replaced
    ]
    for one in found.not_undone:
        lines += wrapped(f"  {clean(one.path)}: not brought back: ", one.why, WIDTH, hang=6)
    lines += [f"  {hint}" for hint in dict.fromkeys(one.hint for one in found.not_undone)]
    return lines
