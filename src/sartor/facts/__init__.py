"""Facts: TOML files with a source and a date in every row, read once into frozen values."""

from __future__ import annotations

import datetime
import hashlib
import os
import threading
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
import tomli
from packaging.version import Version

Row = TypeVar("Row", bound="Fact")
Converted = TypeVar("Converted")
_CONVERTING = threading.Lock()


class Fact(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One row. ``source`` is a URL, or says who measured what; ``checked_on`` is the day."""

    source: str
    checked_on: datetime.date


class GpuFact(Fact, frozen=True):
    """One product. Sizes are the maker's: ``memory_gb`` in GB, bandwidth in GB/s.

    ``name`` is what NVML reports, ``id`` the short name that people type, and ``aliases`` the other
    ways to write it, in the same spelling as ``id`` (lower case, hyphens). ``host_architecture`` is
    the processor's where the GPU only exists beside one kind (Jetson, GB10, the Grace boards).
    """

    name: str
    id: str
    compute_capability: str
    architecture: str
    klass: Literal["data-center", "workstation", "consumer", "embedded", "integrated"] = (
        msgspec.field(name="class")
    )
    memory_gb: float
    aliases: list[str] = []
    mobile: bool = False
    memory_bandwidth_gbs: float | None = None
    unified_memory: bool = False
    host_architecture: str | None = None
    driver_min_branch: int | None = None


class ArchFact(Fact, frozen=True):
    """One compute capability: the toolkits that can compile for it and the drivers that know it.

    No ``max_toolkit``: the newest still can. No ``last_driver_branch``: the newest still does, or
    the driver comes with the board (``tegra``). ``family`` is the suffix form whose cubins it
    shares (``120f``), ``also_known_as`` the number that older toolkits gave it.
    """

    compute_capability: str
    architecture: str
    min_toolkit: str
    tegra: bool
    max_toolkit: str | None = None
    last_driver_branch: int | None = None
    family: str | None = None
    also_known_as: str | None = None


class ToolkitFact(Fact, frozen=True):
    """One CUDA toolkit: its own driver, the oldest its major runs on, the PTX ISA it writes.

    ``public`` is False for a version that drivers report and that had no toolkit of its own.
    """

    version: str
    minor_compat_driver_min: str
    ptx_isa: str
    driver_linux_min: str | None = None
    public: bool = True


class DriverBranchFact(Fact, frozen=True):
    """One driver branch and the highest CUDA version that it supports.

    ``end_of_life``: nothing is mended after it (None: not known).
    """

    branch: int
    cuda_max: str
    kind: Literal["LTS", "production", "new feature", "developer"] | None = None
    first_linux: str | None = None
    end_of_life: datetime.date | None = None


class CompressionFact(Fact, frozen=True):
    """One way in which device code is compressed; ``driver_min``: older drivers cannot read it."""

    name: str
    driver_min: str | None = None


class LibraryFact(Fact, frozen=True):
    """One system library: the packages that hold it, and a wheel that carries a copy.

    ``wheel`` is a requirement, ``member`` a glob inside it, used where nobody may install the
    system's package.
    """

    soname: str
    packages: dict[str, str] = {}
    wheel: str | None = None
    member: str | None = None
    licence: str | None = None


class DistributionFact(Fact, frozen=True):
    """How a distribution, and those that are ``like`` it, install packages; compilers' names."""

    id: str
    like: list[str]
    install: str
    compilers: str


class LicenceFact(Fact, frozen=True):
    """Projects (globs on normalised names) whose licence forbids to change their files.

    ``libraries`` are globs on the names of such files where other projects carry them.
    """

    projects: list[str]
    because: str
    libraries: list[str] = []


class CompilerDefectFact(Fact, frozen=True):
    """CPU features that some versions of a compiler get wrong.

    ``affected`` are version specifiers, any of which is enough.
    """

    compiler: str
    affected: list[str]
    features: list[str]
    symptom: str


class FamilyFact(Fact, frozen=True):
    """One family of models: what its ``config.json`` means where it is silent.

    ``layer_period`` is the run of layer kinds that repeats, where layers differ. ``gated_mlp``: the
    feed-forward part has three matrices. ``query_gate``: the query projection is twice as wide.
    ``precise_state``: vLLM keeps its recurrent state in 32 bits.
    """

    model_type: str
    defaults: dict[str, int | bool | str]
    layer_period: list[str] = []
    gated_mlp: bool = True
    query_gate: bool = False
    precise_state: bool = False


class IndexFact(Fact, frozen=True):
    """One package index that makers publish themselves. ``projects`` are normalised names.

    ``cuda`` is the version that its builds are for (None: several, or none). ``layout``: a
    ``simple`` index is asked under ``url``, the others for one release or commit, which stands in
    ``url`` as ``{version}`` or ``{commit}``. ``trust`` is ``third-party`` where the publisher is
    not the engine's maker. ``versions`` are bounds of what it is known to have (empty: not known),
    ``since`` the day on which it was first seen.
    """

    id: str
    url: str
    publisher: str
    projects: list[str] = []
    cuda: str | None = None
    channel: Literal["stable", "nightly"] = "stable"
    layout: Literal["simple", "per-version", "per-commit"] = "simple"
    trust: Literal["maker", "third-party"] = "maker"
    versions: str = ""
    since: datetime.date | None = None
    note: str | None = None


class ShownGpu(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A GPU of the published map: the word that means it, what it is called there, and beside which
    others it stands."""

    gpu: str
    label: str
    group: str


class ShownProject(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A distribution (a normalised name) of the published map, and what it is called there."""

    name: str
    title: str


class MapChoice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the published map shows, in its order."""

    first_driver_branch: int
    usual_machine: str
    gpu: list[ShownGpu]
    project: list[ShownProject]


FOLDER = Path(__file__).parent
"""What holds the TOML files."""


@cache
def read_facts(file: str) -> dict[str, Any]:
    """What a file of facts holds, its path below `FOLDER` given.

    A row's ``source`` that is a key of the file's ``[sources]`` table stands for the text there.
    """
    content = tomli.loads((FOLDER / file).read_text("utf-8"))
    sources: dict[str, str] = content.get("sources", {})
    for rows in content.values():
        for row in rows if isinstance(rows, list) else ():
            if isinstance(row, dict) and "source" in row:
                row["source"] = sources.get(row["source"], row["source"])
    return content


def files_of_facts(folder: str) -> list[str]:
    """The files of facts in a folder below `FOLDER`, by name."""
    names = sorted(os.listdir(FOLDER / folder))  # noqa: PTH208 - of names, for each command
    return [f"{folder}/{name}" for name in names if name.endswith(".toml")]


def digest() -> str:
    """A sha256 of all facts: the same wherever the same files are."""
    return hashlib.sha256(msgspec.json.encode(digests(), order="sorted")).hexdigest()


def digests() -> dict[str, str]:
    """Each file of facts, by its path below `FOLDER`, and its sha256."""
    return {
        file.relative_to(FOLDER).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(FOLDER.rglob("*.toml"))
    }


def converted(row: Any, kind: type[Converted]) -> Converted:
    """A value of that kind; raises `msgspec.ValidationError`.

    One at a time: msgspec 0.22 learns a type when it first meets it, and two threads that meet one
    at once may end the process. Readers that share the facts are several threads.
    """
    with _CONVERTING:
        return msgspec.convert(row, kind)


def read_table(file: str, key: str, row_type: type[Row]) -> tuple[Row, ...]:
    """The rows ``[[key]]`` of ``file``; raises `msgspec.ValidationError` naming the file."""
    try:
        return tuple(converted(row, row_type) for row in read_facts(file)[key])
    except msgspec.ValidationError as error:
        raise msgspec.ValidationError(f"{file}, [[{key}]]: {error}") from error


@cache
def gpus() -> tuple[GpuFact, ...]:
    """Every product."""
    return read_table("gpus.toml", "gpu", GpuFact)


@cache
def archs() -> tuple[ArchFact, ...]:
    """Every compute capability."""
    return read_table("archs.toml", "arch", ArchFact)


class DriverRange(msgspec.Struct, frozen=True):
    """The drivers that drive a GPU: from a CUDA version and branch on, to a last branch if any."""

    first_cuda: str
    first_branch: int | None
    last_branch: int | None


@cache
def driver_range(compute_capability: str | None) -> DriverRange | None:
    """Which drivers know a compute capability; None where the facts lack it.

    None also of a Tegra part, whose driver comes with its board.
    """
    row = next((row for row in archs() if row.compute_capability == compute_capability), None)
    if row is None or row.tegra:
        return None
    first = branch_for_cuda(row.min_toolkit)
    return DriverRange(row.min_toolkit, first, row.last_driver_branch)


@cache
def toolkits() -> tuple[ToolkitFact, ...]:
    """Every CUDA toolkit, oldest first."""
    return read_table("cuda.toml", "toolkit", ToolkitFact)


@cache
def driver_branches() -> tuple[DriverBranchFact, ...]:
    """Every driver branch, oldest first."""
    return read_table("cuda.toml", "driver_branch", DriverBranchFact)


@cache
def compressions() -> tuple[CompressionFact, ...]:
    """Every known compression of device code."""
    return read_table("cuda.toml", "compression", CompressionFact)


@cache
def libraries() -> tuple[LibraryFact, ...]:
    """The system libraries that engines need."""
    return read_table("libraries.toml", "library", LibraryFact)


@cache
def distributions() -> tuple[DistributionFact, ...]:
    """The distributions that are known; the first stands for those that are not."""
    return read_table("distributions.toml", "distribution", DistributionFact)


@cache
def forbidding_licences() -> tuple[LicenceFact, ...]:
    """The licences under which nothing may be changed."""
    return read_table("licences.toml", "forbids_modification", LicenceFact)


@cache
def compiler_defects() -> tuple[CompilerDefectFact, ...]:
    """What compilers get wrong."""
    return read_table("compilers.toml", "defect", CompilerDefectFact)


@cache
def families() -> dict[str, FamilyFact]:
    """The families of models, by ``model_type``."""
    rows = read_table("families.toml", "family", FamilyFact)
    return {row.model_type: row for row in rows}


@cache
def indexes() -> tuple[IndexFact, ...]:
    """The package indexes that engines publish themselves."""
    return read_table("indexes.toml", "index", IndexFact)


@cache
def map_choice() -> MapChoice:
    """What the published map shows."""
    return msgspec.convert(read_facts("map.toml"), MapChoice)


@cache
def branch_for_cuda(version: str) -> int | None:
    """The oldest driver branch that supports a CUDA version; None where none is known to."""
    wanted = Version(version)
    return next((b.branch for b in driver_branches() if Version(b.cuda_max) >= wanted), None)


def cuda_of_driver(version: str) -> str | None:
    """The highest CUDA version that a driver supports, by its branch; None where not known.

    A branch between two known ones supports what the older of them does.
    """
    branch = int(version.split(".", 1)[0])
    known = [row for row in driver_branches() if row.branch <= branch]
    return known[-1].cuda_max if known else None
