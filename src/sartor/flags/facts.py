"""The facts about engines' flags: where they are defined, what they mean, what holds together."""

from __future__ import annotations

from functools import cache

import msgspec

from sartor.facts import Fact, read_table

FILE = "flags.toml"


class Platform(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a package is built for.

    ``objects`` are names that depend on the machine, with the class whose object stands there.
    """

    name: str
    objects: dict[str, str] = {}


class ReaderFact(Fact, frozen=True, kw_only=True):
    """Where an engine's package defines its options and variables.

    ``platforms`` are the packages that hold it. ``entries`` are functions (``module:Class.name``),
    the first that is there counts; with ``subparsers`` it takes the object that makes a parser.
    ``registers`` are modules that are evaluated for what they register.
    ``variables`` is the module that lists the environment variables; ``prefixes`` begin their
    names; where ``searched``, all files are for what they ask. ``members`` begin the paths of files
    that are fetched at once. ``commands`` and ``modules`` begin a command line.
    """

    engine: str
    platforms: dict[str, Platform]
    entries: list[str]
    first_version: str
    subparsers: bool = False
    registers: list[str] = []
    attribute_docs: list[str] = []
    members: list[str] = []
    searched: bool = False
    variables: str
    prefixes: list[str]
    commands: list[str] = []
    modules: list[str] = []
    positional_model: bool = False


@cache
def readers() -> tuple[ReaderFact, ...]:
    """Each engine whose flags are read."""
    return read_table(FILE, "reader", ReaderFact)


def reader_of(project: str) -> ReaderFact | None:
    """The engine that a package holds; None for any other package."""
    return next((row for row in readers() if project in row.platforms), None)
