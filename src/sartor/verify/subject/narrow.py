"""A proof of some packages alone, with all that they require."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sartor.errors import NoEnvironmentError, did_you_mean
from sartor.verdict.requirements import applies, parse_line
from sartor.verify.subject.find import with_engine
from sartor.verify.subject.installed import versions
from sartor.verify.subject.taken import distributions_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from sartor.verify.subject.installed import Distribution
    from sartor.verify.subject.model import Subject


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
