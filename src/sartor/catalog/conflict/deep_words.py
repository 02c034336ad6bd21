"""Why requirements of several projects conflict: by what all versions within bounds require."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.artifact.model import Package
from sartor.catalog.conflict.direct import empty_sets
from sartor.catalog.conflict.lines import allows, read_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from packaging.version import Version

    from sartor.catalog.conflict.direct import Direct
    from sartor.catalog.conflict.lines import Constraint, Line
    from sartor.catalog.oracle import Oracle

MOST_VERSIONS = 12
MOST_NAMED = 4


def explained(
    ends: Sequence[Constraint], direct: Direct, oracle: Oracle | None
) -> list[str] | None:
    """Sentences where each version that one project can have excludes another's; else None.

    Reads the metadata of `MOST_VERSIONS` versions at most.
    """
    if oracle is None or any(c.url is not None for c in ends):
        return None
    for project in sorted({c.project for c in ends}):
        said = _all_exclude(project, ends, direct, oracle)
        if said is not None:
            return said
    return None


def _all_exclude(
    project: str, ends: Sequence[Constraint], direct: Direct, oracle: Oracle
) -> list[str] | None:
    candidates = direct.seed.candidates[project]
    if candidates is None:
        return None
    own = [c for c in ends if c.project == project]
    within = [v for v in candidates.versions if all(allows(c, v) for c in own)]
    versions = [v for v in within if candidates.usable(v)]
    if not 0 < len(versions) <= MOST_VERSIONS:
        return None
    others = [c for c in ends if c.project != project]
    by_line: dict[Line, list[Version]] = {}
    for version in versions:
        line = _excluding(project, version, others, direct, oracle)
        if line is None:
            return None
        by_line.setdefault(line, []).append(version)
    listed = _listed(project, versions)
    said = [f"What can be had of {project} within these bounds is {listed}."]
    for line, those in by_line.items():
        verb = "requires" if len(those) == 1 else "require"
        said.append(f"{_listed(project, those)} {verb} {line.text}.")
    agree = sorted({line.project for line in by_line})
    return [*said, f"No version of {' or '.join(agree)} is that and what is required beside it."]


def _excluding(
    project: str,
    version: Version,
    others: Sequence[Constraint],
    direct: Direct,
    oracle: Oracle,
) -> Line | None:
    """A requirement of that version which the other constraints exclude."""
    seed = direct.seed
    package = oracle.metadata(project, str(version), seed.question.machine)
    if not isinstance(package, Package):
        return None
    for text in package.requires:
        try:
            line = read_line(text, seed.markers)
        except ValueError:
            continue
        beside = [c for c in others if line is not None and c.project == line.project]
        if line is None or not beside or line.project in seed.left_out:
            continue
        if empty_sets([*beside, line.constraint], seed.candidates[line.project])[0]:
            return line
    return None


def _listed(project: str, versions: Sequence[Version]) -> str:
    """The versions, the oldest first; of many the first and the last, and how many."""
    ordered = sorted(versions)
    if len(ordered) > MOST_NAMED:
        return f"{project} {ordered[0]} to {ordered[-1]} ({len(ordered)} versions)"
    names = [str(v) for v in ordered]
    last = names.pop()
    return f"{project} {', '.join(names)} and {last}" if names else f"{project} {last}"
