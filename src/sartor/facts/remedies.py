"""What can be changed on a machine: `facts/remedies.toml`."""

from __future__ import annotations

from functools import cache
from typing import Literal

from sartor.facts import Fact, read_table

FILE = "remedies.toml"


class ModulesFact(Fact, frozen=True):
    """Which kernel modules of the driver an architecture takes."""

    architecture: str
    needs: Literal["open", "proprietary", "either"]


class DriverInstallFact(Fact, frozen=True):
    """How a distribution installs a driver branch (``{branch}``); none: it was not confirmed."""

    distribution: str
    open: list[str]
    proprietary: list[str]


class CommandsFact(Fact, frozen=True):
    """Commands for one thing."""

    commands: list[str]


class ContainerFact(CommandsFact, frozen=True):
    """How GPUs are passed to containers; ``start`` is how one is then started."""

    start: list[str]


class ForwardFact(CommandsFact, frozen=True):
    """NVIDIA's `cuda-compat`: the classes of GPUs that it works on, as in `facts/gpus.toml`."""

    classes: list[str]


class ForwardBaseFact(Fact, frozen=True):
    """The driver branches on which `cuda-compat` of a CUDA version is said to work."""

    cuda: str
    branches: list[int]


class JetpackFact(Fact, frozen=True):
    """The JetPack that brings a CUDA version to a Tegra part."""

    compute_capability: str
    jetpack: str
    cuda: str
    note: str | None = None


class PythonFact(Fact, frozen=True):
    """How an interpreter is fetched, and which are preferred."""

    preferred: list[str]
    command: str


class GlibcFact(Fact, frozen=True):
    """The C library of a distribution."""

    distribution: str
    glibc: str


class MigFact(CommandsFact, frozen=True):
    """How MIG instances are made; ``off``: how MIG is switched off."""

    off: list[str]


class PtxasFact(CommandsFact, frozen=True):
    """GPUs for which Triton needs another ptxas than its own."""

    compute_capabilities: list[str]
    why: str


@cache
def modules_for(architecture: str) -> ModulesFact | None:
    """What an architecture takes; None where the facts do not say."""
    rows = read_table(FILE, "modules", ModulesFact)
    return next((row for row in rows if row.architecture == architecture), None)


@cache
def driver_install(distribution: str) -> DriverInstallFact | None:
    """How a distribution installs a driver branch."""
    rows = read_table(FILE, "driver_install", DriverInstallFact)
    return next((row for row in rows if row.distribution == distribution), None)


@cache
def nouveau() -> CommandsFact:
    """How `nouveau` is kept from binding a GPU."""
    return read_table(FILE, "nouveau", CommandsFact)[0]


@cache
def container() -> ContainerFact:
    """How GPUs are passed to containers."""
    return read_table(FILE, "container", ContainerFact)[0]


@cache
def forward() -> ForwardFact:
    """`cuda-compat`."""
    return read_table(FILE, "forward", ForwardFact)[0]


@cache
def forward_bases() -> tuple[ForwardBaseFact, ...]:
    """The branches on which `cuda-compat` works, by CUDA version, oldest first."""
    return read_table(FILE, "forward_base", ForwardBaseFact)


@cache
def jetpacks() -> tuple[JetpackFact, ...]:
    """What JetPack brings."""
    return read_table(FILE, "jetpack", JetpackFact)


@cache
def python() -> PythonFact:
    """Interpreters."""
    return read_table(FILE, "python", PythonFact)[0]


@cache
def glibcs() -> tuple[GlibcFact, ...]:
    """The C libraries of distributions."""
    return read_table(FILE, "distribution_glibc", GlibcFact)


@cache
def mig() -> MigFact:
    """MIG."""
    return read_table(FILE, "mig", MigFact)[0]


@cache
def toolkit() -> CommandsFact:
    """How a CUDA toolkit is installed."""
    return read_table(FILE, "toolkit", CommandsFact)[0]


@cache
def ptxas() -> PtxasFact:
    """Another ptxas for Triton."""
    return read_table(FILE, "ptxas", PtxasFact)[0]


@cache
def compute_cache() -> CommandsFact:
    """Where the driver keeps what it compiled."""
    return read_table(FILE, "cache", CommandsFact)[0]
