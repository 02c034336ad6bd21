"""The values of planning: what is asked, what each rule decided, and the `Plan`."""

from __future__ import annotations

import hashlib

import msgspec

from sartor.plan.decision import Accepted, Decision, Rejected, Unchecked

__all__ = ["Accepted", "Decision", "Rejected", "Unchecked"]


class Request(msgspec.Struct, frozen=True):
    """What the user asked for. ``engine`` is a canonical name, ``context`` is in tokens.

    ``build`` is ``published``, ``native``, or the id of one build; ``python`` is ``3.12`` or so.
    """

    engine: str | None = None
    build: str | None = None
    context: int | None = None
    python: str | None = None


class Device(msgspec.Struct, frozen=True):
    """One thing that CUDA can run on: a whole GPU or a MIG instance.

    ``id`` is what ``CUDA_VISIBLE_DEVICES`` takes: a UUID where known, else the index.
    """

    id: str
    name: str
    compute_capability: str | None
    memory_bytes: int | None


class IndexUse(msgspec.Struct, frozen=True):
    """An index that the engine's makers publish, for ``packages`` alone.

    ``state`` is ``reached``, ``not reached`` or ``not asked``; ``why`` goes with *not reached*.
    """

    id: str
    url: str
    packages: list[str]
    state: str = "not asked"
    why: str | None = None
    optional: bool = False


class Python(msgspec.Struct, frozen=True):
    """The interpreter that an environment is made with."""

    path: str | None
    version: str | None


class Stack(msgspec.Struct, frozen=True):
    """Everything that `build` needs, and nothing about the machine that it does not.

    ``supply`` are system libraries that are missing and come from a wheel; ``isa`` and
    ``compute_capabilities`` are what a build from source is compiled for.
    """

    engine: str
    build: str
    label: str
    how: str
    version: str
    accelerator: str
    launcher: str
    requirements: list[str]
    modules: list[str]
    python: Python
    architecture: str | None
    disk_mb: int
    leave_out: list[str] = []
    indexes: list[IndexUse] = []
    supply: list[str] = []
    source_project: str | None = None
    source_sha256: str | None = None
    cmake_args: list[str] = []
    isa: str | None = None


def environment_key(stack: Stack) -> str:
    """16 hexadecimal digits that stand for everything in the stack that makes a difference.

    The state of an index and the room on the disk do not.
    """
    plain = msgspec.structs.replace(stack, indexes=[], label="", disk_mb=0)
    return hashlib.sha256(msgspec.json.encode(plain, order="sorted")).hexdigest()[:16]


class Fit(msgspec.Struct, frozen=True):
    """Where the model goes: the devices (none: main memory), the context, the memory.

    ``needed_bytes`` is the least that it takes, ``cache_bytes`` the KV cache in that.
    """

    context: int
    devices: list[Device] = []
    needed_bytes: int | None = None
    available_bytes: int | None = None
    cache_bytes: int | None = None


class Candidate(msgspec.Struct, frozen=True):
    """One build of one engine with every decision about it, in the order of the rules."""

    engine: str
    build: str
    label: str
    decisions: list[Decision]

    @property
    def rejections(self) -> list[Rejected]:
        """The decisions that rule it out; none means that it may be taken."""
        return [d for d in self.decisions if isinstance(d, Rejected)]

    @property
    def unchecked(self) -> list[Unchecked]:
        """The rules that could not be applied."""
        return [d for d in self.decisions if isinstance(d, Unchecked)]


class Plan(msgspec.Struct, frozen=True, tag_field="schema", tag="sartor.plan/1"):
    """The chosen stack, why it, and every candidate with what was decided about it.

    Everything in it is declared (package metadata, makers' documents); ``grade`` says so.
    """

    host: str
    model: str | None
    stack: Stack
    fit: Fit
    because: list[str]
    warnings: list[str]
    candidates: list[Candidate]
    not_checked: list[str]
    grade: str = "declared"
