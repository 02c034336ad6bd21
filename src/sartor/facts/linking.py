"""Who provides what a library needs: `facts/linking.toml`, read once."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from typing import Literal

from sartor.facts import Fact, read_table

FILE = "linking.toml"
SONAME = re.compile(
    r"lib(?P<stem>[\w+-]+?)(?:[.-][0-9a-f]{8})?\.so(?:\.(?P<major>\d{1,6})(?:\.[\w.]*)?)?"
)
"""auditwheel writes a hash of eight digits into the names of what it copies into a wheel."""


class PolicyFact(Fact, frozen=True):
    """One platform tag of manylinux: the versions that a system must have for its wheels."""

    glibc: str
    tag: str
    glibcxx: str
    cxxabi: str
    legacy: list[str] = []


class SonamesFact(Fact, frozen=True):
    """Sonames that something other than a package brings: the system, the driver."""

    sonames: list[str]


class ProviderFact(Fact, frozen=True):
    """Libraries, by the stems of their names, and the distributions that hold them.

    A distribution stands for its ``-cu12`` forms too. ``through`` are distributions that bring it
    along. ``numbered``: the number after ``.so`` is the CUDA major.
    """

    stems: list[str]
    distributions: list[str]
    through: list[str] = []
    numbered: bool = False


class CompilerSourceFact(Fact, frozen=True):
    """Where a compiler comes from that packages use at run time.

    A distribution of ``distributions`` brings it (or one of ``through`` does), or the host has it:
    the list ``host`` of a `Host` holds something, one of ``programs`` where they are named.
    ``wants`` are other compilers that it starts in turn.
    """

    name: str
    distributions: list[str] = []
    host: Literal["cuda_toolkits", "compilers"] | None = None
    through: list[str] = []
    programs: list[str] = []
    wants: list[str] = []


class OptionalFact(Fact, frozen=True):
    """Libraries (globs) that others load only where their needs are met."""

    libraries: list[str]


class OpeningFact(Fact, frozen=True):
    """What a package's code does before it opens libraries (globs) that need it.

    ``modules`` are imported; without them the libraries are not opened at all. Then the files of
    the modules ``visible``, and the libraries called ``before``, are opened for all to see.
    """

    libraries: list[str]
    modules: list[str] = []
    visible: list[str] = []
    before: list[str] = []


@cache
def policies() -> tuple[PolicyFact, ...]:
    """Every policy of manylinux, the oldest first."""
    return read_table(FILE, "policy", PolicyFact)


@cache
def system_sonames() -> frozenset[str]:
    """What a system with glibc has by the policies of manylinux."""
    return frozenset(
        name for row in read_table(FILE, "system", SonamesFact) for name in row.sonames
    )


@cache
def libc_sonames() -> frozenset[str]:
    """What of `system_sonames` glibc itself brings."""
    return frozenset(name for row in read_table(FILE, "libc", SonamesFact) for name in row.sonames)


@cache
def driver_sonames() -> frozenset[str]:
    """What the GPU's driver brings."""
    return frozenset(
        name for row in read_table(FILE, "driver", SonamesFact) for name in row.sonames
    )


@cache
def providers() -> tuple[ProviderFact, ...]:
    """The distributions that hold libraries which others need."""
    return read_table(FILE, "provider", ProviderFact)


@cache
def compilers() -> tuple[CompilerSourceFact, ...]:
    """The compilers that packages use at run time."""
    return read_table(FILE, "compiler", CompilerSourceFact)


@cache
def optional_globs() -> frozenset[str]:
    """Libraries that others do without."""
    rows = read_table(FILE, "optional", OptionalFact)
    return frozenset(glob for row in rows for glob in row.libraries)


@cache
def opening_facts() -> tuple[OpeningFact, ...]:
    """What is done before some libraries are opened."""
    return read_table(FILE, "opening", OpeningFact)


@lru_cache(1 << 14)
def parse_soname(soname: str) -> tuple[str, int | None] | None:
    """Stem and number of a soname: ``("cudart", 13)``; without the hash that auditwheel adds."""
    match = SONAME.fullmatch(soname)
    return (match["stem"], int(match["major"]) if match["major"] else None) if match else None


def provider_of(soname: str) -> ProviderFact | None:
    """Who provides a soname; None where no row speaks of it."""
    parsed = parse_soname(soname)
    return next((row for row in providers() if parsed and parsed[0] in row.stems), None)


def cuda_major(soname: str) -> int | None:
    """The CUDA major that a soname names, where its number is CUDA's."""
    parsed, row = parse_soname(soname), provider_of(soname)
    return parsed[1] if parsed and row and row.numbered else None


def is_form_of(distribution: str, base: str) -> bool:
    """Whether ``distribution`` is ``base`` or its form for one CUDA major (``-cu12``)."""
    if not distribution.startswith(base):
        return False
    form = distribution.removeprefix(base)
    return not form or (form.startswith("-cu") and form[3:].isdecimal())


def matches(path: str, pattern: str) -> bool:
    """Whether the end of a path, from some folder on, matches a glob."""
    return fnmatchcase(path, pattern) or fnmatchcase(path, f"*/{pattern}")
