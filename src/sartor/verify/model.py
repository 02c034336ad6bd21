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
    identical have the same. ``shape`` and ``dtype`` are the output's.
    """

    error: float | None
    bound: float
    unit: str
    reference: str
    digest: str | None = None
    shape: list[int] | None = None
    dtype: str | None = None


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
    its version, ``files`` each file with machine code (below the environment) to its sha256, and
    ``lock`` is the sha256 of the ``pylock.toml`` that the environment was held against.
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
    lock: str | None = None
    costs: list[GradeCost] = []

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
