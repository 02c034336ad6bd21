"""`Case`: the evidence of one target and what else is known, as the rules of findings ask for it."""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal, Protocol

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from sartor.artifact.model import Evidence, Library, NotRead, Package
from sartor.facts.linking import cuda_major, matches, provider_of
from sartor.facts.packages import AlternativesFact, facts_about
from sartor.verdict.model import Finding

if TYPE_CHECKING:
    from sartor.host.model import Host

Lookup = Literal["found", "missing", "unknown"]
FindLibrary = Callable[[str], Lookup]
Outcome = Finding | NotRead
"""What a rule says: a finding, or what it could not check and why."""

TORCH = "torch"
SHOWN = 3
"""How many names a text shows before it counts the rest."""


class SymbolProvider(Protocol):
    """A library that can be asked for one symbol."""

    def defines(self, name: str) -> bool:
        """Whether it defines (and exports) the mangled ``name``."""


def unknown(_soname: str) -> Lookup:
    """No system was looked at."""
    return "unknown"


@dataclass(frozen=True)
class Case:
    """What the rules judge.

    ``find_library`` says whether the system that the target is for has a soname. ``symbols`` are
    libraries by soname or file name that can be asked what they define: PyTorch's and, for those
    that lean on one another, the others of the target. ``python`` is the environment's
    (``3.12``); None: taken from the paths, or not known.
    """

    evidence: Evidence
    host: Host | None = None
    find_library: FindLibrary = unknown
    symbols: Mapping[str, SymbolProvider] = field(default_factory=dict)
    python: str | None = None

    @property
    def installed(self) -> bool:
        """Whether everything that will be there is there: an environment, an image."""
        return self.evidence.kind in {"environment", "image"}

    @property
    def packages(self) -> list[Package]:
        """The packages of the target."""
        return self.evidence.packages

    @cached_property
    def libraries(self) -> list[Library]:
        """The shared libraries that are ELF files; device code in files of its own needs nothing."""
        return [library for library in self.evidence.libraries if library.kind == "elf"]

    @cached_property
    def by_path(self) -> dict[str, Library]:
        """Libraries by path."""
        return {library.path: library for library in self.libraries}

    @cached_property
    def by_name(self) -> dict[str, list[Library]]:
        """Libraries by soname, and by file name where that is another."""
        found: dict[str, list[Library]] = defaultdict(list)
        for library in self.libraries:
            for name in {library.soname, posixpath.basename(library.path)} - {None}:
                found[str(name)].append(library)
        return found

    @cached_property
    def owners(self) -> dict[str, Package]:
        """The package that a library belongs to, by its path; a wheel owns all that is in it."""
        if self.evidence.kind == "wheel" and len(self.packages) == 1:
            return {library.path: self.packages[0] for library in self.libraries}
        return {path: package for package in self.packages for path in package.libraries}

    @cached_property
    def by_distribution(self) -> dict[str, Package]:
        """Packages by name."""
        return {package.name: package for package in self.packages}

    def owned(self, package: Package | None) -> list[Library]:
        """The libraries of a package; None: those that belong to none."""
        return [library for library in self.libraries if self.owners.get(library.path) is package]

    @cached_property
    def groups(self) -> list[tuple[Package | None, list[Library]]]:
        """Every package (and None) that has libraries, with them, in the order of the libraries."""
        found: dict[str | None, list[Library]] = defaultdict(list)
        owner: dict[str | None, Package | None] = {}
        for library in self.libraries:
            package = self.owners.get(library.path)
            key = package.path if package else None
            owner[key] = package
            found[key].append(library)
        return [(owner[key], libraries) for key, libraries in found.items()]

    def alternatives(self, library: Library) -> AlternativesFact | None:
        """The fact by which a library is one of several of which the package loads one."""
        package = self.owners.get(library.path)
        facts = facts_about(package.name) if package else None
        rows = facts.alternatives if facts else []
        return next((r for r in rows if any(matches(library.path, g) for g in r.libraries)), None)


def requirements(package: Package) -> list[Requirement]:
    """What a package declares that it needs, without what is asked for by an extra only."""
    found = []
    for line in package.requires:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        if not (requirement.marker and "extra" in str(requirement.marker)):
            found.append(requirement)
    return found


def required_names(package: Package) -> set[str]:
    """The normalised names that a package requires."""
    return {canonicalize_name(requirement.name) for requirement in requirements(package)}


def linked_majors(library: Library) -> set[int]:
    """The CUDA majors that a library's needs name: what it is linked against."""
    return {major for soname in library.needed if (major := cuda_major(soname)) is not None}


def needs_torch(library: Library) -> bool:
    """Whether a library is linked against PyTorch's."""
    rows = (provider_of(soname) for soname in library.needed)
    return any(row and TORCH in row.distributions for row in rows)


def titled(package: Package | None) -> str:
    """A package as texts call it."""
    return f"`{package.name}` {package.version}".rstrip() if package else "a library of no package"


def listed(names: Iterable[str]) -> str:
    """Names in backticks, the first few of them: ```a`, `b` and 3 more``."""
    every = list(dict.fromkeys(names))
    shown = ", ".join(f"`{name}`" for name in every[:SHOWN])
    return f"{shown} and {len(every) - SHOWN} more" if len(every) > SHOWN else shown


def numbers(version: str) -> tuple[int, ...]:
    """A dotted version for comparison: ``2.34`` → ``(2, 34)``; letters end it."""
    match = re.match(r"\d{1,9}(\.\d{1,9})*", version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()
