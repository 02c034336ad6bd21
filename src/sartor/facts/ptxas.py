"""What ptxas is told, and where it comes from: `facts/ptxas.toml`."""

from __future__ import annotations

from functools import cache

from sartor.facts import Fact, read_table

FILE = "ptxas.toml"


class OptionFact(Fact, frozen=True):
    """One option by its names; ``value``: one follows, joined or apart.

    ``keep`` is False where it changes no code; ``relocatable``: what it makes is for a linker.
    """

    names: list[str]
    value: bool = False
    keep: bool = True
    relocatable: bool = False


class WheelFact(Fact, frozen=True):
    """The project whose wheels hold the ptxas of a major version of CUDA, as ``member``."""

    major: int
    project: str
    member: str


class CarriedFact(Fact, frozen=True):
    """Where another package keeps a ptxas, below an environment's site-packages."""

    member: str


class MemoryFact(Fact, frozen=True):
    """The memory that compiling takes: ``bytes``, and ``per_byte`` of the text."""

    bytes: int
    per_byte: int


@cache
def options() -> dict[str, OptionFact]:
    """Every option by each of its names."""
    return {name: fact for fact in read_table(FILE, "option", OptionFact) for name in fact.names}


@cache
def wheels() -> tuple[WheelFact, ...]:
    """The wheels that hold one."""
    return read_table(FILE, "wheel", WheelFact)


@cache
def carried() -> tuple[CarriedFact, ...]:
    """Where other packages have one."""
    return read_table(FILE, "carried", CarriedFact)


@cache
def memory() -> MemoryFact:
    """What compiling takes."""
    return read_table(FILE, "memory", MemoryFact)[0]
