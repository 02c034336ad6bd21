"""Checks that run inside the environment that they are of, in a process of their own.

This package is put on the path of a foreign interpreter (Python 3.9 or newer) which has neither
Sartor nor its dependencies: it imports the standard library, and what it checks. A program is a
module with a function ``checks(settings)`` that returns its `Check`s; `loop` runs them.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, NamedTuple, Optional  # noqa: UP035 - Python 3.9

Settings = Dict[str, Any]  # noqa: UP006


AGAIN = 3
"""Calls beside the judged one, by which an operator is seen to repeat its bits or not."""


class Measure(NamedTuple):
    """The `sartor.verify.model.Measured` of a check."""

    error: float
    bound: float
    unit: str
    reference: str
    digest: Optional[str] = None  # noqa: UP045
    shape: Optional[List[int]] = None  # noqa: UP006, UP045
    dtype: Optional[str] = None  # noqa: UP045
    repeats: Optional[bool] = None  # noqa: UP045

    @property
    def holds(self) -> bool:
        """Whether the error is within the bound; a NaN never is."""
        return self.error <= self.bound


class Result(NamedTuple):
    """What a check that was made says. ``poisoned``: the process can do nothing more.

    ``gpu_bytes``: GPU memory that it took, where others than torch know.
    """

    passed: bool
    detail: str
    measure: Optional[Measure] = None  # noqa: UP045
    hint: Optional[str] = None  # noqa: UP045
    poisoned: bool = False
    gpu_bytes: Optional[int] = None  # noqa: UP045


class Check(NamedTuple):
    """One check. ``run`` returns a `Result` or its detail, or raises; ``seconds`` is its limit.

    ``alone``: it has a process for itself, and others may run at the same time.
    """

    name: str
    grade: str
    run: Callable[[], Any]
    seconds: float = 120.0
    package: Optional[str] = None  # noqa: UP045
    features: List[str] = []  # noqa: UP006
    alone: bool = False


class NotMade(Exception):  # noqa: N818 - not an error
    """Raised by a check that cannot be made here; its text says why."""


class NothingToCheck(Exception):  # noqa: N818 - not an error
    """Raised by a check of something that this machine does not have or use; its text says why."""


def judged(measure: Measure, detail: str = "") -> Result:
    """The result of a comparison: passed where the error is within the bound."""
    return Result(measure.holds, detail, measure)


def repeated(result: Result, again: Callable[[], str]) -> Result:
    """With whether the next calls give the same bits; ``again`` makes one and returns its digest.

    An operator that adds up by atomics, in the order in which its blocks end, need not.
    """
    if result.measure is None or result.measure.digest is None:
        return result
    same = all(again() == result.measure.digest for _ in range(AGAIN))
    return result._replace(measure=result.measure._replace(repeats=same))


def asked_for(checks: List[Check], settings: Settings) -> List[Check]:  # noqa: UP006
    """Those of which a word of the setting ``only`` is in the name; all where it is not given."""
    words = settings.get("only") or [""]
    return [check for check in checks if any(word in check.name for word in words)]
