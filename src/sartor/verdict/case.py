"""`Case`: the evidence of one target and what else is known, as rules of findings ask for it."""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

from sartor.artifact.model import Evidence, Library, NotRead, Package
from sartor.facts.linking import cuda_major, matches, provider_of
from sartor.facts.packages import AlternativesFact, facts_about
from sartor.facts.versions import within_versions
from sartor.host.model import Host
from sartor.verdict.model import Finding, Target
from sartor.verdict.requirements import LINUX, applies, required_names

if TYPE_CHECKING:
    from sartor.verdict.requirements import Required

Lookup = Literal["found", "missing", "unknown"]
FindLibrary = Callable[[str], Lookup]
Outcome = Finding | NotRead
"""What a rule says: a finding, or what it could not check and why."""

TORCH = "torch"
IN_PYTHON = re.compile(r"(?:^|/)python(3\.\d{1,3})/")
FOR_PYTHON = re.compile(r"cp(3)(\d{1,3})t?")
SHOWN = 3
"""How many names a text shows before it counts the rest."""


class SymbolProvider(Protocol):
    """A library that can be asked for one symbol."""

    def defines(self, name: str) -> bool:
        """Whether it defines (and exports) the mangled ``name``."""


def unknown(_soname: str) -> Lookup:
    """No system was looked at."""
    return "unknown"


class Case(msgspec.Struct, frozen=True, dict=True):
    """What the rules judge.

    ``find_library`` says whether the system that the target is for has a soname. ``symbols`` are
    libraries by path that can be asked what they define: those of `symbols_wanted`. ``python`` is
    the environment's (``3.12``); None: taken from the paths, or not known. ``gpus`` are those
    that were asked about, ``yanked`` the files that the index says were taken back, with the
    reason. ``unread`` are packages of an installation, by name with their versions, whose files
    were not read: they may bring what nothing else does.
    """

    evidence: Evidence
    host: Host | None = None
    find_library: FindLibrary = unknown
    symbols: Mapping[str, SymbolProvider] = {}
    python: str | None = None
    gpus: Sequence[Target] = ()
    yanked: Mapping[str, str] = {}
    unread: Mapping[str, str] = {}

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
        """The libraries that are ELF files; device code in files of its own needs nothing."""
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

    @cached_property
    def _owned(self) -> dict[str | None, list[Library]]:
        """Libraries by the path of their package, in their order; None: those of no package."""
        found: dict[str | None, list[Library]] = defaultdict(list)
        for library in self.libraries:
            package = self.owners.get(library.path)
            found[package.path if package else None].append(library)
        return found

    def owned(self, package: Package) -> list[Library]:
        """The libraries of a package."""
        return self._owned.get(package.path, [])

    @cached_property
    def groups(self) -> list[tuple[Package | None, list[Library]]]:
        """Every package that has libraries, with them, in the order of the libraries.

        None stands for those of no package; in an image they are the system's, and left out.
        """
        packages = {package.path: package for package in self.packages}
        return [
            (packages[path] if path is not None else None, libraries)
            for path, libraries in self._owned.items()
            if path is not None or self.evidence.kind != "image"
        ]

    @cached_property
    def required(self) -> dict[str, set[str]]:
        """The normalised names that each package requires, by its path."""
        return {package.path: required_names(package) for package in self.packages}

    def alternatives(self, library: Library) -> AlternativesFact | None:
        """The fact by which a library is one of several of which the package loads one."""
        package = self.owners.get(library.path)
        facts = facts_about(package.name) if package else None
        if package is None or facts is None:
            return None
        rows = (r for r in facts.alternatives if within_versions(r.versions, package.version))
        return next((r for r in rows if any(matches(library.path, g) for g in r.libraries)), None)

    def is_for_one_torch(self, library: Library) -> bool:
        """Whether a library is loaded with the PyTorch alone that it was built for."""
        row = self.alternatives(library)
        return row is not None and row.of_torch

    @cached_property
    def pythons(self) -> set[str]:
        """The Pythons (``3.12``) that it is for: as told, by its paths, wheels' tags, modules."""
        if self.python:
            return {self.python}
        paths = (IN_PYTHON.search(package.path) for package in self.packages)
        if of_paths := {match[1] for match in paths if match}:
            return of_paths
        modules = {library.python or "" for library in self.libraries}
        wheels = {tag.split("-")[1] for p in self.packages for tag in p.tags if tag.count("-") == 2}
        return _pythons_of(wheels) or _pythons_of(modules)

    @cached_property
    def markers(self) -> dict[str, str] | None:
        """What environment markers are held against; None where Python or machine is not known."""
        machines = {library.machine for library in self.libraries if library.machine}
        if len(self.pythons) != 1 or len(machines) != 1:
            return None
        (python,) = self.pythons
        return {
            **LINUX,
            "python_version": python,
            "python_full_version": f"{python}.0",
            "implementation_version": f"{python}.0",
            "platform_machine": machines.pop(),
        }

    def applies(self, required: Required) -> bool | None:
        """Whether a requirement's marker holds in this environment; None where it is not known."""
        return applies(required, self.markers)

    def system_has(self, soname: str) -> Lookup:
        """Whether the system has a library: by the host's list, or by looking.

        An image has its system inside, where it was looked for already.
        """
        if self.evidence.kind == "image":
            return "missing"
        known = self.host.libraries if self.host else {}
        if soname in known:
            return "found" if known[soname] else "missing"
        return self.find_library(soname)


def _pythons_of(tags: Iterable[str]) -> set[str]:
    found = (FOR_PYTHON.fullmatch(tag) for tag in tags)
    return {f"{match[1]}.{match[2]}" for match in found if match}


def symbols_wanted(libraries: Iterable[Library]) -> list[str]:
    """The paths of the libraries whose symbols the rules ask for, PyTorch's first.

    They are PyTorch's own, and those that its extensions need besides.
    """
    every = [library for library in libraries if library.kind == "elf"]
    needed = {s for library in every if library.torch_symbols for s in library.needed}
    torchs = [library.path for library in every if is_torchs(library)]
    if not torchs:
        return []
    others = (lib for lib in every if {lib.soname, posixpath.basename(lib.path)} & needed)
    return list(dict.fromkeys([*torchs, *(library.path for library in others)]))


def is_torchs(library: Library) -> bool:
    """Whether a library is one of PyTorch's own."""
    row = provider_of(library.soname or posixpath.basename(library.path))
    return row is not None and TORCH in row.distributions


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


def joined(words: Iterable[str], last: str = "and") -> str:
    """Words in backticks, all of them: ```a`, `b` and `c```."""
    *most, end = [f"`{word}`" for word in words]
    return f"{', '.join(most)} {last} {end}" if most else end


def with_verb(libraries: Iterable[Library], one: str, several: str) -> str:
    """The files' names of one library or several, and the verb's form that goes with them."""
    names = list(dict.fromkeys(posixpath.basename(library.path) for library in libraries))
    return f"{listed(names)} {one if len(names) == 1 else several}"


def and_more(count: int) -> str:
    """Words for ``count`` libraries that are not named; none for none."""
    if not count:
        return ""
    return " (and 1 more library)" if count == 1 else f" (and {count} more libraries)"
