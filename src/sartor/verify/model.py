"""The `Report`: what was proved of an environment, check by check, and how far that reaches."""

from __future__ import annotations

from typing import Literal

import msgspec

Grade = Literal["resolves", "loads", "launches", "golden"]
GRADES: tuple[Grade, ...] = ("resolves", "loads", "launches", "golden")
"""The lowest first; each stands on those before it."""


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """How far an output was from its reference, and how far it may be.

    ``error`` (None: not a finite number) and ``bound`` are in ``unit``; ``reference`` says what was
    computed, and where. ``digest`` is the sha256 of the output's bytes: two stacks that should be
    identical have the same, where the operator ``repeats``: whether further calls with the same
    inputs gave the same bytes (None: not tried). ``shape`` and ``dtype`` are the output's.
    """

    error: float | None
    bound: float
    unit: str
    reference: str
    digest: str | None = None
    shape: list[int] | None = None
    dtype: str | None = None
    repeats: bool | None = None


class _Outcome(msgspec.Struct, frozen=True, kw_only=True, tag_field="outcome"):
    """``check`` is the check's name, the same in every report; it belongs to ``grade``.

    ``package`` is the project whose files were tried, ``features`` the names of its features that
    rest on the check. ``seconds`` is wall time; ``gpu_bytes`` the most GPU memory that was taken.
    """

    check: str
    grade: Grade
    package: str | None = None
    features: list[str] = []
    seconds: float | None = None
    gpu_bytes: int | None = None


class Passed(_Outcome, frozen=True, kw_only=True, tag="passed"):
    """The check was made and held."""

    detail: str = ""
    measured: Measured | None = None


class Failed(_Outcome, frozen=True, kw_only=True, tag="failed"):
    """The check was made and did not hold.

    ``detail`` says what came instead (of a program that died its last words), ``hint`` what to do.
    """

    detail: str
    hint: str | None = None
    measured: Measured | None = None


class NotChecked(_Outcome, frozen=True, kw_only=True, tag="not checked"):
    """The check was not made, and why. It says nothing about what would have come out.

    The environment cannot have the check's grade, nor a higher one.
    """

    why: str
    hint: str | None = None


class NotApplicable(_Outcome, frozen=True, kw_only=True, tag="not applicable"):
    """There is nothing to check on this machine, and why: it does not bear on the grade."""

    why: str


Outcome = Passed | Failed | NotChecked | NotApplicable


class FeatureProof(msgspec.Struct, frozen=True, kw_only=True):
    """How far one feature of a package is proved; ``grade`` None: not even as far as *resolves*.

    ``foretold`` is what its machine code promises on the GPU (native, jit, …; None: it has none, or
    there is no GPU); ``because`` names the checks that set the grade.
    """

    package: str
    feature: str
    grade: Grade | None
    foretold: str | None = None
    because: list[str] = []


class ProvedGpu(msgspec.Struct, frozen=True, kw_only=True):
    """A GPU that was there: its product name, compute capability (``9.0``) and memory in bytes."""

    name: str
    compute_capability: str | None = None
    memory_bytes: int | None = None


class ProvedOn(msgspec.Struct, frozen=True, kw_only=True):
    """The machine: ``driver`` and ``cuda`` (the highest that it supports) are NVIDIA's."""

    cpu: str
    architecture: str
    cores: int
    memory_bytes: int
    gpus: list[ProvedGpu] = []
    driver: str | None = None
    cuda: str | None = None
    glibc: str | None = None
    kernel: str | None = None


class GradeCost(msgspec.Struct, frozen=True, kw_only=True):
    """What a grade's checks took: wall time, and the most GPU memory of any one of them."""

    grade: Grade
    seconds: float
    checks: int
    gpu_bytes: int | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True, tag_field="schema", tag="sartor.report/2"):
    """What was proved of one environment, on which machine, and when (RFC 3339, UTC).

    ``grade`` is the highest grade of which, and of those before it, every check passed or was not
    applicable; ``asked`` the highest that was tried. ``packages`` maps each installed project to
    its version, ``files`` each file with machine code (below the environment) to its sha256,
    ``slimmed`` those that Sartor slimmed to the GPUs (``sm_90, sm_120``) that it names, and
    ``lock`` is the sha256 of the ``pylock.toml`` that the environment was held against. ``seconds``
    is the wall time of all of it; ``costs`` of checks that ran side by side add up to more.
    """

    environment: str
    python: str
    grade: Grade | None
    asked: Grade
    outcomes: list[Outcome]
    machine: ProvedOn
    made_at: str
    sartor: str
    features: list[FeatureProof] = []
    packages: dict[str, str] = {}
    files: dict[str, str] = {}
    slimmed: dict[str, str] = {}
    lock: str | None = None
    costs: list[GradeCost] = []
    seconds: float | None = None

    @property
    def failures(self) -> list[Failed]:
        """The checks that did not hold."""
        return [o for o in self.outcomes if isinstance(o, Failed)]


def reached(outcomes: list[Outcome]) -> Grade | None:
    """The highest grade of which, and of those before it, nothing failed or was left unchecked.

    A grade of which no check was made, or none could apply, is not reached.
    """
    best: Grade | None = None
    for grade in GRADES:
        own = [o for o in outcomes if o.grade == grade]
        stopped = any(isinstance(o, Failed | NotChecked) for o in own)
        if stopped or not any(isinstance(o, Passed) for o in own):
            return best
        best = grade
    return best


Said = Literal["passed", "failed", "not checked", "not applicable"]
Digests = Literal["equal", "different", "not repeated", "not recorded"]


class ReportSide(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two reports: of what, where, when, and how far."""

    environment: str
    python: str
    made_at: str
    sartor: str
    grade: Grade | None
    asked: Grade
    machine: ProvedOn


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is not the same in both; None: it is not there. ``why`` they differ."""

    what: str
    a: str | None
    b: str | None
    why: str | None = None


class CheckDifference(msgspec.Struct, frozen=True, kw_only=True):
    """A check that came out otherwise, or that one report lacks (None).

    ``why`` is what the second report says of it, else the first. ``worse``: see
    `ReportComparison.worse`.
    """

    check: str
    grade: Grade
    a: Said | None
    b: Said | None
    worse: bool
    why: str = ""


class MeasuredPair(msgspec.Struct, frozen=True, kw_only=True):
    """A check that both measured: the errors against their references, in ``unit``.

    ``outputs`` says whether the output's bits are identical; they are not repeated where they
    differ in one report already, from call to call.
    """

    check: str
    unit: str
    error_a: float
    error_b: float
    bound_a: float
    bound_b: float
    outputs: Digests


class FeatureDifference(msgspec.Struct, frozen=True, kw_only=True):
    """A feature that is proved to another grade, or that one report lacks."""

    package: str
    feature: str
    a: Grade | None
    b: Grade | None
    in_a: bool = True
    in_b: bool = True


class CostPair(msgspec.Struct, frozen=True, kw_only=True):
    """What a grade's checks took: seconds of wall time, and the most GPU memory of one of them."""

    grade: Grade
    seconds_a: float | None
    seconds_b: float | None
    gpu_bytes_a: int | None = None
    gpu_bytes_b: int | None = None


class ReportComparison(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="schema", tag="sartor.report-comparison/1"
):
    """Two reports side by side; what is the same in both is counted, what is not is listed.

    ``worse``: a check that passed in A failed in B or was not made, one that A lacks failed in B,
    or B's grade is below A's though as much was asked. ``files`` are files with machine code.
    """

    a: ReportSide
    b: ReportSide
    worse: bool
    same_checks: int
    same_files: int
    machine: list[Difference] = []
    packages: list[Difference] = []
    files: list[Difference] = []
    checks: list[CheckDifference] = []
    measured: list[MeasuredPair] = []
    features: list[FeatureDifference] = []
    costs: list[CostPair] = []
