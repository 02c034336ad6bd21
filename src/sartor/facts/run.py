"""What holds when a stack runs: `facts/run.toml`, read once."""

from __future__ import annotations

from functools import cache

from sartor.facts import Fact, read_table

FILE = "run.toml"


class EssentialFact(Fact, frozen=True):
    """Distributions that are of no use on a GPU without the machine code of others.

    Of ``needs`` those count that are there.
    """

    distributions: list[str]
    needs: list[str]


class DriverCompileFact(Fact, frozen=True):
    """Seconds that the driver takes for each MB (10⁶ bytes) of PTX text, where it was measured."""

    least_seconds_per_mb: float
    most_seconds_per_mb: float
    measured_on: str


class VariableFact(Fact, frozen=True):
    """A variable that a stack with one of ``distributions`` is to be run with.

    ``beside``: others that must be there, too. ``without``: compilers of which at least one is not
    known to be there. ``available``: compilers that are all there. ``files``: globs of
    `facts/packages` of which the distribution holds one (empty: always).
    """

    name: str
    value: str
    distributions: list[str]
    because: str
    versions: str = ""
    beside: list[str] = []
    without: list[str] = []
    available: list[str] = []
    files: list[str] = []


@cache
def essentials() -> tuple[EssentialFact, ...]:
    """What needs whose machine code."""
    return read_table(FILE, "essential", EssentialFact)


@cache
def driver_compiles() -> DriverCompileFact:
    """How long the driver compiles PTX."""
    return read_table(FILE, "driver_compile", DriverCompileFact)[0]


@cache
def variables() -> tuple[VariableFact, ...]:
    """The variables to run with."""
    return read_table(FILE, "variable", VariableFact)


def essential_to(roots: frozenset[str]) -> set[str]:
    """``roots``, and the distributions without whose machine code one of them is of no use."""
    found: set[str] = set()
    waiting = set(roots)
    while waiting:
        found |= waiting
        waiting = {
            name for row in essentials() if waiting & set(row.distributions) for name in row.needs
        } - found
    return found
