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
    that are fetched at once. ``commands`` and ``modules`` begin a command line. ``underscores``:
    its parser takes ``--max_model_len`` too, and ``--option.key`` for JSON.
    ``positional_model``: the model is the first word.
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
    underscores: bool = False


class ContainerFact(Fact, frozen=True, kw_only=True):
    """Programs that start a container with ``run``; ``flags`` are options without a value."""

    programs: list[str]
    flags: list[str]


class RenamedFact(Fact, frozen=True, kw_only=True):
    """What stands in the place of an option or variable whose package does not say it.

    ``words`` are the options to write instead; ``{value}`` stands for its value, ``{lower}`` for
    that in small letters. ``since``: the version that lacks it, where no release tells.
    """

    engine: str
    name: str
    words: list[str]
    because: str
    since: str | None = None


class TogetherFact(Fact, frozen=True, kw_only=True):
    """Options that do not hold together: ``name`` with (or, ``missing``, without) ``other``.

    ``value`` is the one of ``name`` that is meant, where not any is; ``versions`` the range.
    """

    engine: str
    name: str
    other: str
    because: str
    value: str | None = None
    missing: bool = False
    versions: str = ""


class NeedsFact(Fact, frozen=True, kw_only=True):
    """An option, or one value of it, that needs more: a package, or compute capabilities."""

    engine: str
    name: str
    because: str
    value: str | None = None
    package: str | None = None
    least_sm: str | None = None
    only_sm: list[str] = []
    versions: str = ""


class MeaningFact(Fact, frozen=True, kw_only=True):
    """One meaning in several engines: the option of each, in the order of preference.

    ``invert``: what is on in one is off in the other. ``note`` says where they differ.
    ``values`` translate values, by engine, to a common name.
    """

    id: str
    names: dict[str, list[str]]
    invert: list[str] = []
    note: str | None = None
    values: dict[str, dict[str, str]] = {}
    implies: dict[str, list[str]] = {}


@cache
def containers() -> tuple[ContainerFact, ...]:
    """The programs that start containers."""
    return read_table(FILE, "container", ContainerFact)


@cache
def renamed() -> tuple[RenamedFact, ...]:
    """What stands in the place of options and variables."""
    return read_table(FILE, "renamed", RenamedFact)


@cache
def together() -> tuple[TogetherFact, ...]:
    """What does not hold together."""
    return read_table(FILE, "together", TogetherFact)


@cache
def needs() -> tuple[NeedsFact, ...]:
    """What needs more than the engine."""
    return read_table(FILE, "needs", NeedsFact)


@cache
def meanings() -> tuple[MeaningFact, ...]:
    """What engines have in common."""
    return read_table(FILE, "meaning", MeaningFact)


@cache
def readers() -> tuple[ReaderFact, ...]:
    """Each engine whose flags are read."""
    return read_table(FILE, "reader", ReaderFact)


def reader_of(project: str) -> ReaderFact | None:
    """The engine that a package holds; None for any other package."""
    return next((row for row in readers() if project in row.platforms), None)
