"""Whether files may be changed: by their package's name or their own, and facts about licences."""

from __future__ import annotations

import posixpath
from fnmatch import fnmatchcase

import msgspec

from sartor import facts
from sartor.facts.packages import normalized


class Allowed(msgspec.Struct, frozen=True, tag=True):
    """No licence that is known forbids it."""


class Forbidden(msgspec.Struct, frozen=True, tag=True):
    """The licence forbids it, of a project or a library. ``source`` is where that is written."""

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


def library_may_be_changed(path: str) -> Allowed | Forbidden:
    """The decision for a library, whichever project carries it."""
    name = posixpath.basename(path)
    for fact in facts.forbidding_licences():
        if any(fnmatchcase(name, glob) for glob in fact.libraries):
            return Forbidden(name, fact.because, fact.source)
    return Allowed()
