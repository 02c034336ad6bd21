"""What planning asks of the world, and the answers: the pure planner's only way to know anything.

`plan` is given a `Known`. Where an answer is lacking it gives back a `Wanted`; whoever called it
gets those answers, all at once, and calls it again. So a plan is a function of its arguments, and
what it was made from can be kept, repeated and tested without a network.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from sartor.artifact.model import Evidence, Package
from sartor.errors import ErrorDocument
from sartor.index.files import IndexFile
from sartor.matrix.model import Part
from sartor.plan.outcome import Found
from sartor.plan.planned import Locked, Resolution
from sartor.verdict.model import Target

__all__ = ["Locked", "Resolution"]

DEFAULT = "default"
"""The id that stands for the indexes that the user's own pip or uv is configured with."""

IndexState = Literal["reached", "not reached", "not asked"]


class ListingQuestion(msgspec.Struct, frozen=True):
    """Which files of ``project`` (a normalised name) are on ``index``?

    ``index`` is `DEFAULT`, an id of `facts/indexes.toml`, or an address that the user gave.
    """

    index: str
    project: str


class Listing(msgspec.Struct, frozen=True):
    """The files of a project on an index; none where it does not have the project.

    ``why`` goes with *not reached*: then nothing is known, and nothing is *missing*; ``error`` is
    what was met.
    """

    index: str
    project: str
    state: IndexState
    files: list[IndexFile] = []
    why: str | None = None
    error: ErrorDocument | None = None


class MetadataQuestion(msgspec.Struct, frozen=True):
    """What does the METADATA of this wheel declare?"""

    index: str
    file: IndexFile


class Unread(msgspec.Struct, frozen=True):
    """An answer that could not be had, and why; ``error`` is what was met on the way to it."""

    why: str
    error: ErrorDocument | None = None


class Machine(msgspec.Struct, frozen=True):
    """What wheels are chosen for: ``x86_64``, ``2.35`` (None: not known), ``3.12``."""

    architecture: str
    glibc: str | None
    python: str


class IndexPin(msgspec.Struct, frozen=True):
    """An index that serves these projects (normalised names) in place of the user's own."""

    index: str
    projects: tuple[str, ...]


class Assumed(msgspec.Struct, frozen=True):
    """A version that is taken to require these ``Requires-Dist`` lines, whatever it declares."""

    name: str
    version: str
    requires: tuple[str, ...] = ()


class ResolveQuestion(msgspec.Struct, frozen=True):
    """One consistent set for ``requirements`` on a machine, by the real resolver.

    ``as_of`` (RFC 3339): nothing that was uploaded later. ``leave_out`` are projects that are
    declared and not wanted. ``from_source`` are those of which a source distribution may be taken;
    of all others wheels alone, so that no package's code is run; with ``may_build`` theirs is,
    where nothing else says what they require. ``assumed``: the resolver does not
    read the metadata of these versions, as is needed to learn which of their lines conflict.
    """

    requirements: tuple[str, ...]
    machine: Machine
    as_of: str | None = None
    indexes: tuple[IndexPin, ...] = ()
    leave_out: tuple[str, ...] = ()
    prereleases: bool = False
    from_source: tuple[str, ...] = ()
    may_build: bool = False
    assumed: tuple[Assumed, ...] = ()


class Unsolvable(msgspec.Struct, frozen=True):
    """There is no such set: the resolver's own words."""

    why: str


Resolved = Resolution | Unsolvable | Unread


class PartsQuestion(msgspec.Struct, frozen=True):
    """What has the wheel of that sha256 for each of these GPUs, feature by feature?"""

    sha256: str
    targets: tuple[Target, ...]


class Parts(msgspec.Struct, frozen=True):
    """The parts of a wheel for each target; ``core`` says whether the facts name its core.

    ``read_at`` is when its machine code was read, ``are`` what the parts are.
    """

    are: Literal["features", "libraries"]
    targets: list[list[Part]]
    read_at: str


class Wanted(msgspec.Struct, frozen=True):
    """What is not known yet; all of it may be asked at once."""

    listings: tuple[ListingQuestion, ...] = ()
    metadata: tuple[MetadataQuestion, ...] = ()
    parts: tuple[PartsQuestion, ...] = ()
    evidence: tuple[str, ...] = ()
    resolutions: tuple[ResolveQuestion, ...] = ()
    conflicts: tuple[ResolveQuestion, ...] = ()


class Known(msgspec.Struct, frozen=True):
    """The answers so far. Of parts and evidence None says that the wheel's were never read.

    ``evidence`` is by sha256, ``conflicts`` those of an unsolvable question.
    """

    listings: dict[ListingQuestion, Listing] = {}
    metadata: dict[MetadataQuestion, Package | Unread] = {}
    parts: dict[PartsQuestion, Parts | None] = {}
    evidence: dict[str, Evidence | None] = {}
    resolutions: dict[ResolveQuestion, Resolved] = {}
    conflicts: dict[ResolveQuestion, Found] = {}
