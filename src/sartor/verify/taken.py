"""What counts of the packages that an environment's interpreter imports.

A stack may take packages from its interpreter's own (`Stack.there`): these count, and no others
that lie beside them. They were not chosen with the stack: what they lack is no fault of it. And a
proof may be asked of some packages alone, with what they require.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sartor.errors import NoEnvironmentError, did_you_mean
from sartor.verdict.requirements import applies, parse_line
from sartor.verify.installed import installed, versions
from sartor.verify.subject import with_engine

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from sartor.artifact.model import Evidence
    from sartor.verify.installed import Distribution
    from sartor.verify.subject import Subject


def distributions_of(subject: Subject) -> list[Distribution]:
    """Every distribution that counts, in the order in which they are imported."""
    return [d for d in installed(subject.site) if _counts(subject, d.name, d.site)]


def counted(subject: Subject, folder: Path, evidence: Evidence) -> Evidence:
    """Of the evidence of one folder (its paths are relative to that) what counts."""
    whole = subject.taken is None or folder.is_relative_to(subject.path)
    if whole and subject.only is None:
        return evidence
    packages = [p for p in evidence.packages if _counts(subject, p.name, folder)]
    theirs = {path for package in packages for path in package.libraries}
    return msgspec.structs.replace(
        evidence,
        packages=packages,
        libraries=[library for library in evidence.libraries if library.path in theirs],
        not_read=[fault for fault in evidence.not_read if fault.path in theirs],
    )


def narrowed(subject: Subject, projects: Collection[str]) -> Subject:
    """The subject with these projects alone, and with all that they require, as it is installed.

    Raises `NoEnvironmentError` for one that is not there.
    """
    there = {d.name: d for d in reversed(distributions_of(subject))}
    for project in projects:
        if project not in there:
            raise NoEnvironmentError(
                f"`{project}` is not installed in {subject.path}",
                hint=did_you_mean(project, there) or "name a project that is installed",
            )
    found: dict[str, None] = {}
    waiting = [(project, "") for project in projects]
    asked = set(waiting)
    while waiting:
        name, extra = waiting.pop()
        found[name] = None
        more = [pair for pair in _required(subject, there[name], extra) if pair[0] in there]
        waiting += [pair for pair in more if pair not in asked]
        asked |= set(more)
    kept = msgspec.structs.replace(subject, only=sorted(found))
    return with_engine(msgspec.structs.replace(kept, packages=versions(distributions_of(kept))))


def _required(subject: Subject, dist: Distribution, extra: str) -> Iterator[tuple[str, str]]:
    """The projects that a distribution requires, by itself or for an extra, with their extras."""
    for line in dist.package.requires:
        required = parse_line(line)
        if required is not None and applies(required, {**subject.markers, "extra": extra}):
            yield required.name, ""
            for wanted in required.extras:
                yield required.name, wanted


def _counts(subject: Subject, name: str, site: Path) -> bool:
    if subject.only is not None and name not in subject.only:
        return False
    taken = subject.taken
    return taken is None or name in taken or site.is_relative_to(subject.path)
