"""`Inspection`: evidence, and what it means on the GPUs that were asked about."""

from __future__ import annotations

from typing import Literal

import msgspec

from sartor.artifact.model import Library, NotRead, Package, TargetKind

Grade = Literal["native", "jit", "missing", "not-applicable", "unknown"]
FeatureGrade = Literal["native", "jit", "partial", "missing", "not-applicable", "unknown"]
Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""The gravest first."""


class Target(msgspec.Struct, frozen=True):
    """One GPU, and its driver, that a verdict is for.

    ``gpu`` is written as an architecture (``sm_120``); ``name`` is the product, where one was
    named. ``driver_cuda`` is the highest CUDA version that the driver supports (``12.9``); None:
    not known, so PTX is called ``jit`` with the driver that it takes. ``count`` is how many of them
    the machine has.
    """

    gpu: str
    compute_capability: str
    name: str | None = None
    driver: str | None = None
    driver_cuda: str | None = None
    count: int = 1


class Reason(msgspec.Struct, frozen=True):
    """Why ``count`` translation units have a grade."""

    grade: Grade
    count: int
    why: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What one library's translation units are on one GPU; the counts add up to all units.

    ``target`` is the index of the GPU in the inspection's ``gpus``.

    ``native``: the unit holds machine code that the GPU runs. ``jit``: it holds PTX that the driver
    compiles at first use. ``missing``: neither. ``not_applicable``: neither, and a dispatch fact
    says that the engine uses the unit on other GPUs only. ``unknown``: it could not be read, or
    how the driver treats it is not settled. ``needs_driver_cuda`` is the lowest CUDA version of a
    driver that loads all that is ``native`` and compiles all that is ``jit``. ``reasons`` are those
    of the grades that are not native, the commonest first; ``because`` has a line for each.
    ``bytes`` are those of the images that are used. ``called`` is False where dispatch facts say
    that the engine calls none of its units on the GPU, though they may load.
    """

    gpu: str
    units: int
    target: int = 0
    native: int = 0
    jit: int = 0
    missing: int = 0
    not_applicable: int = 0
    unknown: int = 0
    native_bytes: int = 0
    jit_bytes: int = 0
    needs_driver_cuda: str | None = None
    because: list[str] = []
    reasons: list[Reason] = []
    called: bool = True


class InspectedLibrary(Library, frozen=True, kw_only=True):
    """A library, and its verdict for each GPU that was asked about.

    ``one_of``: its package loads one of several such libraries, and how it chooses; what they
    hold does not add up.
    """

    verdicts: list[Verdict] = []
    one_of: str | None = None


class Feature(msgspec.Struct, frozen=True, kw_only=True):
    """What one feature of an engine is on one GPU, by the libraries and units that serve it.

    ``target`` is the index of the GPU in the inspection's ``gpus``.

    ``partial``: some of its units hold code for the GPU and some do not, and no dispatch fact
    says that it does without them. ``because`` is a sentence with the commonest reason of each
    grade, ``reasons`` are all of them; ``note`` is what the facts add.
    """

    name: str
    gpu: str
    target: int = 0
    verdict: FeatureGrade
    because: str
    reasons: list[Reason] = []
    note: str | None = None
    package: str | None = None
    needs_driver_cuda: str | None = None


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong, or worth knowing. ``code`` is stable; ``path`` says where."""

    code: str
    severity: Severity
    text: str
    path: str | None = None


class Inspection(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="schema", tag="sartor.inspect/1"
):
    """What `sartor inspect --json` prints for one target.

    ``fetched_bytes`` is what came over the network of a target that is on a server. Of an image
    that is a folder, or in a registry, ``sha256`` is its manifest's and ``size`` its layers'.
    """

    target: str
    kind: TargetKind
    size: int | None = None
    sha256: str | None = None
    platform: str | None = None
    fetched_bytes: int | None = None
    gpus: list[Target] = []
    packages: list[Package] = []
    libraries: list[InspectedLibrary] = []
    features: list[Feature] = []
    findings: list[Finding] = []
    not_checked: list[NotRead] = []


class Inspections(msgspec.Struct, frozen=True, tag_field="schema", tag="sartor.inspections/1"):
    """What `sartor inspect --json` prints for several targets."""

    inspections: list[Inspection]
