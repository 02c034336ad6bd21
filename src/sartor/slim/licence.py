"""Whether a package's files may be changed: by its name, and the facts about licences."""

from __future__ import annotations

from fnmatch import fnmatchcase

import msgspec

from sartor import facts
from sartor.facts.packages import normalized


class Allowed(msgspec.Struct, frozen=True, tag=True):
    """No licence that is known forbids it."""


class Forbidden(msgspec.Struct, frozen=True, tag=True):
    """The licence forbids it. ``source`` is where that is written."""

    project: str
    because: str
    source: str


def may_be_changed(project: str) -> Allowed | Forbidden:
    """The decision for a project, whose name may be written in any way."""
    name = normalized(project)
    for fact in facts.forbidding_licences():
        if any(fnmatchcase(name, glob) for glob in fact.projects):
            return Forbidden(name, fact.because, fact.source)
    return Allowed()
