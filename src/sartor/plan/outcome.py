"""The parts of a plan beside the stack itself: conflicts, features, costs, ways out, remedies."""

from __future__ import annotations

from typing import Literal

import msgspec

Strategy = Literal["release", "index", "image", "ahead-of-time", "source", "engine"]
"""Ways to a stack, the cheapest first."""
Trust = Literal["maker", "index", "third-party", "nightly", "own build"]


class Premise(msgspec.Struct, frozen=True):
    """One requirement of a conflict: ``torch==2.14.1``, and how it comes about.

    ``chain`` leads to it from what was asked for: ``["sglang==0.5.23", "sglang-kernel==0.4.10",
    "torch==2.14.1"]``; of what was asked for itself it has one entry. ``source`` is the file whose
    metadata says the last step (None: the request).
    """

    requirement: str
    chain: list[str]
    source: str | None = None


class Conflict(msgspec.Struct, frozen=True):
    """Requirements that cannot hold together, though they can without any one of them.

    ``about`` is the project on which they disagree, where it is one; ``because`` a derivation that
    a person can follow, a sentence a line. ``checked_by`` ``uv``: it was asked too, and said that
    all of them together have no solution and that without any one of them there is one.
    """

    premises: list[Premise]
    because: list[str]
    about: str | None = None
    checked_by: Literal["uv"] | None = None


class Found(msgspec.Struct, frozen=True):
    """The conflicts of a question, those with the fewest requirements first.

    ``complete``: it is proved that there is no other one. ``not_looked_at`` says what stands
    against that; ``calls`` is how often the resolver was asked.
    """

    conflicts: list[Conflict]
    complete: bool
    not_looked_at: list[str] = []
    calls: int = 0


class PlannedFeature(msgspec.Struct, frozen=True, kw_only=True):
    """One feature of a package of the stack on one kind of GPU, read from its machine code.

    ``gpu`` is an architecture (``sm_120``); ``verdict`` and the rest are those of `sartor inspect`.
    """

    package: str
    name: str
    gpu: str
    verdict: str
    because: str
    core: bool = False
    needs_driver_cuda: str | None = None


class Compile(msgspec.Struct, frozen=True, kw_only=True):
    """What is compiled when the stack first runs: ``what``, by which compiler, on which GPU.

    ``units`` are translation units where they were counted, ``bytes`` their PTX; ``seconds`` is an
    estimate from (least, most), None where there is no measurement to estimate from.
    """

    package: str
    what: str
    compiler: str
    gpu: str | None = None
    units: int | None = None
    bytes: int | None = None
    seconds: tuple[float, float] | None = None
    because: str


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes: of the files to fetch, of those whose size is not known how many, installed."""

    download_bytes: int
    files: int
    files_of_unknown_size: int = 0
    installed_bytes: int | None = None


class SystemPackage(msgspec.Struct, frozen=True, kw_only=True):
    """A library of the system that the stack needs and that its packages do not bring.

    ``state``: on this host. ``packages``: who has it, by distribution; ``wheel`` is the requirement
    that has a copy, where nobody may install a system's package.
    """

    soname: str
    state: Literal["there", "missing", "not checked"]
    packages: dict[str, str] = {}
    wheel: str | None = None
    needed_by: list[str] = []


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What a way out takes; None: not known. ``because`` says where the figures are from."""

    seconds: float | None = None
    disk_bytes: int | None = None
    trust: Trust
    because: str


class Alternative(msgspec.Struct, frozen=True, kw_only=True):
    """Another way to a stack: what it is, its cost, the commands, and what of it was checked.

    ``needs`` is the word of ``--allow`` that lets the planner take it (None: none).
    """

    strategy: Strategy
    what: str
    because: str
    cost: Cost
    commands: list[str] = []
    needs: Literal["source", "nightly", "third-party", "image"] | None = None
    checked: list[str] = []
    not_checked: list[str] = []


class Remedy(msgspec.Struct, frozen=True, kw_only=True):
    """A change of the host, and what it would unlock.

    ``kind`` is what is to be changed: ``driver``, ``kernel-modules``, ``container-toolkit``,
    ``cuda-compat``, ``system-library``, ``compiler``, ``python``, ``glibc``, ``disk`` …
    """

    kind: str
    what: str
    unlocks: list[str]
    because: str
    commands: list[str] = []
    evidence: str


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """GPUs of one kind of a machine, each by its name, and whether the stack serves them."""

    gpus: list[str]
    compute_capability: str | None
    served: bool
    because: str
