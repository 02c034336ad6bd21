"""What can be had where no published wheel fits: images, PyTorch's builds, recipes, reach.

`facts/images.toml`, `facts/torch_builds.toml`, `facts/recipes.toml` and `facts/reach.toml`.
"""

from __future__ import annotations

import datetime
from functools import cache
from typing import Literal

from packaging.version import Version

from sartor.facts import Fact, read_table
from sartor.facts.versions import within_versions


class ImageFact(Fact, frozen=True):
    """One image of one engine. ``tag`` may hold ``{version}``; ``cuda`` is ``13.0`` or ``13``.

    ``declared`` are the compute capabilities that the makers' build script names (empty: not
    known); ``versions`` bounds of the engine's versions (empty: any). ``run`` is what follows
    `docker run` and its GPU option.
    """

    id: str
    engine: str
    repository: str
    tag: str
    contains: str
    licence: str
    publisher: str
    architectures: list[str]
    versions: str = ""
    cuda: str | None = None
    declared: list[str] = []
    note: str | None = None
    run: str = "{image}"


class TorchBuildFact(Fact, frozen=True):
    """PyTorch's releases of an index and an architecture, and the GPUs they hold code for.

    ``index`` is an id of `facts/indexes.toml`, or ``default``.
    """

    index: str
    versions: str
    cuda: str
    architecture: str
    native: list[str]
    grade: Literal["read", "declared"]
    ptx: list[str] = []


class TorchReleaseFact(Fact, frozen=True):
    """A release of PyTorch; it came out on the day ``built`` or some days after."""

    version: str
    built: datetime.date


class RecipeFact(Fact, frozen=True):
    """How a release is built from its source.

    ``steps`` and ``env`` hold ``{version}``, ``{torch}``, ``{index}``, ``{archs}``,
    ``{cmake_archs}``, ``{jobs}``, ``{python}``, ``{env}``. ``core_hours`` are (least, most) hours
    of one core. ``against``: what it is linked with; ``figures`` says where the numbers are from.
    """

    id: str
    engine: str
    repository: str
    tag: str
    against: Literal["torch", "image", "nothing"]
    steps: list[str]
    compilers: list[str]
    memory_gb_per_job: float
    disk_gb: float
    figures: str
    versions: str = ""
    env: dict[str, str] = {}
    core_hours: list[float] = []
    least_gcc: str | None = None
    note: str | None = None


class CompilesFact(Fact, frozen=True):
    """What an engine's own build compiles for, with a toolkit within those bounds."""

    engine: str
    versions: str
    toolkit: str
    archs: list[str]


class ArchFormFact(Fact, frozen=True):
    """The form in which a build is told of a GPU: ``12.0``, or ``a``: ``12.0a``."""

    engine: str
    compute_capabilities: list[str]
    form: Literal["plain", "a"]
    why: str


class EnvFact(Fact, frozen=True):
    """A variable that a release wants set on some GPUs."""

    engine: str
    versions: str
    compute_capabilities: list[str]
    variable: str
    value: str
    when: Literal["build", "run"]
    why: str


class ReachFact(Fact, frozen=True):
    """The least compute capability of an engine; ``driver_min`` is a branch that goes with it.

    ``projects`` (normalised names) are those of indexes that hold its builds.
    """

    engine: str
    least: str
    formats: list[str]
    versions: str = ""
    driver_min: int | None = None
    projects: list[str] = []


@cache
def images() -> tuple[ImageFact, ...]:
    """The images that makers publish."""
    return read_table("images.toml", "image", ImageFact)


@cache
def torch_builds() -> tuple[TorchBuildFact, ...]:
    """PyTorch's builds."""
    return read_table("torch_builds.toml", "torch_build", TorchBuildFact)


@cache
def torch_releases() -> tuple[TorchReleaseFact, ...]:
    """PyTorch's releases, oldest first."""
    return read_table("torch_builds.toml", "torch_release", TorchReleaseFact)


@cache
def recipes() -> tuple[RecipeFact, ...]:
    """The builds from source."""
    return read_table("recipes.toml", "recipe", RecipeFact)


@cache
def compiles() -> tuple[CompilesFact, ...]:
    """What builds compile for."""
    return read_table("recipes.toml", "compiles", CompilesFact)


@cache
def arch_forms() -> tuple[ArchFormFact, ...]:
    """How builds are told of GPUs."""
    return read_table("recipes.toml", "arch_form", ArchFormFact)


@cache
def env_facts() -> tuple[EnvFact, ...]:
    """Variables that releases want set."""
    return read_table("recipes.toml", "env", EnvFact)


@cache
def reaches() -> tuple[ReachFact, ...]:
    """How far engines reach."""
    return read_table("reach.toml", "reach", ReachFact)


def torch_build(index: str, version: str, architecture: str) -> TorchBuildFact | None:
    """What is known of a torch of an index (`+cu128` aside); None where nothing is."""
    plain = version.partition("+")[0]
    rows = (r for r in torch_builds() if (r.index, r.architecture) == (index, architecture))
    return next((row for row in rows if covers(row.versions, plain)), None)


def recipe_for(engine: str, version: str) -> RecipeFact | None:
    """The recipe of a release; None where the facts have none."""
    rows = (row for row in recipes() if row.engine == engine)
    return next((row for row in rows if covers(row.versions, version)), None)


def archs_compiled(engine: str, version: str, toolkit: str) -> list[str] | None:
    """What a release's build compiles for with a toolkit; None where the facts do not say."""
    for row in compiles():
        if row.engine == engine and covers(row.versions, version) and covers(row.toolkit, toolkit):
            return row.archs
    return None


def named(capability: str, patterns: list[str]) -> bool:
    """Whether ``12.0`` is one of ``12.0``, ``12.*`` or ``*``."""
    return any(
        p in {capability, "*", f"{capability.split('.', maxsplit=1)[0]}.*"} for p in patterns
    )


def arch_name(engine: str, capability: str) -> str:
    """``12.0`` or ``12.0a``, as the engine's build wants it."""
    rows = (row for row in arch_forms() if row.engine == engine)
    row = next((r for r in rows if named(capability, r.compute_capabilities)), None)
    return f"{capability}a" if row is not None and row.form == "a" else capability


def reached(engine: str, version: str, capability: str) -> list[ReachFact]:
    """The rows by which an engine reaches a GPU; none where it does not, or is not known."""
    return [
        row
        for row in reaches()
        if row.engine == engine
        and covers(row.versions, version)
        and Version(capability) >= Version(row.least)
    ]


def reach_known(engine: str, version: str) -> bool:
    """Whether the facts say how far a release reaches."""
    return any(r.engine == engine and covers(r.versions, version) for r in reaches())


def covers(bounds: str, version: str) -> bool:
    """Whether a version is within bounds; of empty bounds each is."""
    return not bounds or within_versions(bounds, version)


def projects_of(engine: str) -> list[str]:
    """The projects of indexes that hold an engine's builds; its own name where none are known."""
    found = [project for row in reaches() if row.engine == engine for project in row.projects]
    return list(dict.fromkeys(found)) or [engine]
