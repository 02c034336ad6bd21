"""The values of planning: what is asked, what each rule decided, and the `Plan`."""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

from sartor.plan.decision import Accepted, Decision, Rejected, Unchecked
from sartor.plan.outcome import (
    Alternative,
    Compile,
    Conflict,
    PlannedFeature,
    Premise,
    Remedy,
    Share,
    Sizes,
    Strategy,
    SystemPackage,
)

__all__ = ["Accepted", "Decision", "Rejected", "Unchecked"]

Objective = Literal["newest", "proven", "smallest", "fastest-start"]
Allowed = Literal["source", "nightly", "third-party", "image"]
Status = Literal["ready", "needs-source", "impossible"]


class Request(msgspec.Struct, frozen=True):
    """What the user asked for.

    ``engines`` are names with versions as pip takes them (``vllm``, ``vllm==0.32.0``); several
    are to stand in one environment. ``build`` is ``published``, ``native``, or the id of a line;
    ``python`` is ``3.12`` or so; ``context`` is in tokens. ``pins`` are further requirements,
    ``as_of`` (RFC 3339) the moment after which nothing was published, ``indexes`` further indexes
    (``id=address`` or an address). ``served``: only what Sartor can start a server of.
    """

    engines: tuple[str, ...] = ()
    build: str | None = None
    context: int | None = None
    python: str | None = None
    pins: tuple[str, ...] = ()
    as_of: str | None = None
    objective: Objective = "newest"
    allow: tuple[Allowed, ...] = ()
    indexes: tuple[str, ...] = ()
    served: bool = False


class Device(msgspec.Struct, frozen=True):
    """One thing that CUDA can run on: a whole GPU or a MIG instance.

    ``id`` is what ``CUDA_VISIBLE_DEVICES`` takes: a UUID where known, else the index.
    """

    id: str
    name: str
    compute_capability: str | None
    memory_bytes: int | None


class Python(msgspec.Struct, frozen=True):
    """The interpreter that an environment is made with."""

    path: str | None
    version: str | None


class PlannedPackage(msgspec.Struct, frozen=True, kw_only=True):
    """One package of a stack: the very file. ``index`` is an index's alias, ``cuda`` the CUDA
    version that it was built with, ``size`` in bytes; None where that is not known."""

    name: str
    version: str
    filename: str
    sha256: str | None
    index: str
    cuda: str | None = None
    size: int | None = None


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """A source package to compile: its project, its sha256, what CMake is told, for which ISA."""

    project: str
    sha256: str
    cmake_args: list[str]
    isa: str | None = None


class Stack(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that `build` needs, and nothing about the machine that it does not.

    ``requirements`` are the roots of ``packages``. ``supply`` are system libraries that are missing
    and come from a wheel. ``env`` are variables to run it with. ``there`` are packages, with their
    versions, that the interpreter itself has and that are not installed once more. ``slimmed_to``
    are the architectures (``sm_90``) that its packages' device code is reduced to; none: it is not.
    """

    engine: str
    line: str
    label: str
    strategy: Strategy
    version: str
    accelerator: str
    launcher: str | None
    requirements: list[str]
    modules: list[str]
    python: Python
    architecture: str | None
    disk_mb: int
    packages: list[PlannedPackage] = []
    system_packages: list[SystemPackage] = []
    env: dict[str, str] = {}
    leave_out: list[str] = []
    supply: list[str] = []
    source: Recipe | None = None
    there: dict[str, str] = {}
    slimmed_to: list[str] = []


def environment_key(stack: Stack) -> str:
    """16 hexadecimal digits that stand for everything in the stack that makes a difference.

    Names of indexes, words, variables and the room on the disk do not.
    """
    files = sorted((p.filename, p.sha256) for p in stack.packages)
    parts = [files, stack.requirements, stack.leave_out, stack.supply, stack.source, stack.python]
    parts += [stack.architecture, stack.launcher]
    parts += [stack.there] if stack.there else []
    parts += [["slimmed", *stack.slimmed_to]] if stack.slimmed_to else []
    return hashlib.sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()[:16]


class Fit(msgspec.Struct, frozen=True):
    """Where the model goes: the devices (none: main memory), the context, the memory.

    ``needed_bytes`` is the least that it takes, ``cache_bytes`` the KV cache in that.
    """

    context: int
    devices: list[Device] = []
    needed_bytes: int | None = None
    available_bytes: int | None = None
    cache_bytes: int | None = None


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """One release of one line of an engine, in one way of getting it.

    ``version`` is None where its index did not say which there are. ``torch`` is the version that
    it pins, ``cuda`` what that was built with.
    """

    engine: str
    line: str
    label: str
    strategy: Strategy = "release"
    version: str | None = None
    index: str = "default"
    torch: str | None = None
    cuda: str | None = None


class Tried(msgspec.Struct, frozen=True):
    """A candidate with every decision about it, in the order of the rules."""

    candidate: Candidate
    decisions: list[Decision]

    @property
    def rejections(self) -> list[Rejected]:
        """The decisions that rule it out; none means that it may be taken."""
        return [d for d in self.decisions if isinstance(d, Rejected)]

    @property
    def unchecked(self) -> list[Unchecked]:
        """The rules that could not be applied."""
        return [d for d in self.decisions if isinstance(d, Unchecked)]


class IndexReport(msgspec.Struct, frozen=True):
    """An index by its alias, and whether it answered; ``why`` goes with *not reached*."""

    alias: str
    state: Literal["reached", "not reached", "not asked"]
    why: str | None = None


class Plan(msgspec.Struct, frozen=True, kw_only=True, tag_field="schema", tag="sartor.plan/1"):
    """The chosen stack, why it, and every other candidate with what was decided about it.

    ``chosen`` is the stack's candidate with its decisions. ``grades`` says for each aspect what
    its word rests on. ``fit`` is where the model goes (``memory`` in JSON). ``conflict_sets``
    (``conflicts`` in JSON) are the requirements of each of ``conflicts`` (``derivations``);
    ``all_conflicts``: it is proved that there is no other.
    """

    host: str
    request: Request
    status: Status
    model: str | None = None
    stack: Stack | None = None
    chosen: Tried | None = None
    because: list[str] = []
    warnings: list[str] = []
    grades: dict[str, str] = {}
    features: list[PlannedFeature] = []
    first_use_compiles: list[Compile] = []
    sizes: Sizes | None = None
    fit: Fit | None = msgspec.field(default=None, name="memory")
    shares: list[Share] = []
    rejected: list[Tried] = []
    conflict_sets: list[list[Premise]] = msgspec.field(default=[], name="conflicts")
    conflicts: list[Conflict] = msgspec.field(default=[], name="derivations")
    all_conflicts: bool = True
    indexes: list[IndexReport] = []
    alternatives: list[Alternative] = []
    remedies: list[Remedy] = []
    next: list[str] = []
    not_checked: list[str] = []
    facts: str = ""
