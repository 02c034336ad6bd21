"""The summary of all releases: how much was read of each, and what came and went."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from packaging.version import Version

from sartor.flags.compare import compare
from sartor.flags.facts import readers
from sartor.flags.snapshot import open_snapshot

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sartor.flags.model import OptionSet

HEAD = """# Options of engines, release by release

Read from each release's wheel: the definitions of its options are evaluated, and nothing of the
package is imported or run. `sartor flags vllm==0.32.0` shows the options of one release,
`sartor flags vllm==0.32.0 --diff 0.25.1` what changed between two, `sartor flags --check` judges a
command line, and `sartor flags --translate` moves one to another version or engine.

*Not told* counts what the source alone does not say of options: mostly what the values of an
option may be that the engine parses with a library. Pre-releases are left out below.
"""


def page() -> str:
    """The page as Markdown; raises `ValueError` where no snapshot is shipped."""
    shipped = open_snapshot()
    if shipped is None:
        raise ValueError("no snapshot of options is shipped")
    lines = [HEAD]
    for row in readers():
        project = next(iter(row.platforms))
        sets = [s for s in shipped.sets(project) if not Version(s.version).is_prerelease]
        lines += [f"## {project}", "", *_counts(sets), "", *_changes(sets), ""]
    return "\n".join(lines)


def _counts(sets: list[OptionSet]) -> list[str]:
    rows = ["| version | options | deprecated | environment variables | not told |"]
    rows.append("|---|--:|--:|--:|--:|")
    for one in sets:
        deprecated = sum(o.deprecated is not None for o in one.options)
        rows.append(
            f"| {one.version} | {len(one.options)} | {deprecated} | {len(one.variables)} "
            f"| {len(one.not_read)} |"
        )
    return rows


def _changes(sets: list[OptionSet]) -> list[str]:
    lines = []
    for before, after in reversed(list(pairwise(sets))):
        diff = compare(before, after)
        gone = [f"`{c.name}`" + (f" (→ `{c.after}`)" if c.after else "") for c in diff.removed]
        defaults = [c for c in diff.changed if c.what == "default"]
        parts = [
            ("came", [f"`{name}`" for name in diff.added]),
            ("went", gone),
            ("other default", [f"`{c.name}` ({c.before} → {c.after})" for c in defaults]),
            ("variables that came", [f"`{name}`" for name in diff.variables_added]),
            ("variables that went", [f"`{name}`" for name in diff.variables_removed]),
        ]
        lines += [f"### {after.engine} {after.version}", "", *_parts(parts), ""]
    return lines


def _parts(parts: Iterable[tuple[str, list[str]]]) -> list[str]:
    found = [f"- **{title}**: {', '.join(names)}" for title, names in parts if names]
    return found or ["Nothing came or went."]
