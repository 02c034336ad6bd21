"""Container registries by their names, and where images keep libraries: `facts/registries.toml`."""

from __future__ import annotations

from functools import cache

from sartor.facts import Fact, read_table

FILE = "registries.toml"


class RegistryFact(Fact, frozen=True):
    """A registry whose server has another name than its images: ``host`` is the server's.

    ``login`` is the key under which `docker login` keeps its credentials; ``official`` the
    namespace of names without one; ``default``: names without a registry are in it.
    """

    id: str
    names: list[str]
    host: str
    login: str
    official: str
    default: bool = False


class PlaceFact(Fact, frozen=True):
    """Folders of an image, from its root, under which libraries and packages lie."""

    paths: list[str]


class DataFact(Fact, frozen=True):
    """Files of weights and data, by the ends of their names."""

    suffixes: list[str]


@cache
def registries() -> tuple[RegistryFact, ...]:
    """The registries with names of their own."""
    return read_table(FILE, "registry", RegistryFact)


@cache
def default_registry() -> RegistryFact:
    """The registry of names without one."""
    return next(row for row in registries() if row.default)


@cache
def library_places() -> tuple[str, ...]:
    """The folders under which libraries and packages lie."""
    return tuple(path for row in read_table(FILE, "place", PlaceFact) for path in row.paths)


@cache
def data_suffixes() -> tuple[str, ...]:
    """The ends of the names of weights and data."""
    return tuple(end for row in read_table(FILE, "data", DataFact) for end in row.suffixes)
