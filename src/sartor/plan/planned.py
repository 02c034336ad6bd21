"""What planning gives. Apart from the planner, so that a plan that was kept is read without it."""

from __future__ import annotations

import msgspec

from sartor.errors import ErrorDocument
from sartor.index.files import IndexFile
from sartor.plan.model import Plan


class Locked(msgspec.Struct, frozen=True):
    """One package of a resolution: the very file that the machine would get, and its index."""

    name: str
    version: str
    file: IndexFile
    index: str


class Resolution(msgspec.Struct, frozen=True):
    """What the resolver chose; ``pylock`` is its own lock (PEP 751), which holds addresses."""

    packages: list[Locked]
    pylock: str


class Planned(msgspec.Struct, frozen=True):
    """A plan, and the resolver's answer for its stack: the lock with its addresses.

    ``error`` is what was met where the user's own index, or the resolver, could not be asked.
    ``is_built``: its environment is there.
    """

    plan: Plan
    resolution: Resolution | None = None
    error: ErrorDocument | None = None
    is_built: bool = False
