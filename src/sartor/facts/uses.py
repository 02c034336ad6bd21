"""Files of packages that are of use to some alone: `facts/uses.toml`, read once."""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import cache
from typing import Literal

from sartor.facts import Fact, read_table
from sartor.facts.packages import normalized

FILE = "uses.toml"


class UseFact(Fact, frozen=True):
    """Files of projects, as globs where ``*`` takes any folder, and who uses them.

    ``compiling``: whoever compiles code there; ``on-request``: whoever sets what ``why`` names;
    ``one-of``: one of them is taken.
    """

    kind: Literal["compiling", "on-request", "one-of"]
    projects: list[str]
    files: list[str]
    why: str

    def has(self, path: str) -> bool:
        """Whether a file of one of the projects is meant, whatever folder its path begins from."""
        below = f"/{path}"
        return any(fnmatchcase(below, f"*/{glob}") for glob in self.files)


@cache
def uses() -> tuple[UseFact, ...]:
    """Every row."""
    return read_table(FILE, "use", UseFact)


def uses_of(project: str) -> tuple[UseFact, ...]:
    """The rows of a project, whose name may be written in any way."""
    name = normalized(project)
    return tuple(fact for fact in uses() if name in fact.projects)
