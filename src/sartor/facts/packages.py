"""What the makers' own sources say about the libraries of a distribution: `facts/packages/*.toml`.

A file speaks of one or more distributions. A `FeatureFact` says which libraries, or which
translation units of them, serve a feature; a `DispatchFact` says that the host code calls a unit on
some GPUs only, which is the only way for a unit to be *not applicable*; a `CompilerFact` says what
is compiled when the distribution runs.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from functools import cache

import msgspec

from sartor.facts import Fact, converted, files_of_facts, read_facts


class FeatureFact(Fact, frozen=True):
    """One feature, by the libraries (globs on their paths) and units that serve it.

    ``kernels`` is a regular expression on mangled kernel names: only units of which some kernel
    matches serve the feature. ``versions`` is a specifier of the distribution's versions.
    ``serves`` are the compute capabilities (``9.0``) or majors (``10.*``) that the host code lets
    it run on (empty: wherever its units run): elsewhere it is not applicable, whatever its units
    hold. ``core``: nothing of the distribution is of use on a GPU without it.
    """

    name: str
    libraries: list[str]
    core: bool = False
    kernels: str | None = None
    versions: str = ""
    serves: list[str] = []
    note: str | None = None


class DispatchFact(Fact, frozen=True):
    """Units that the host code calls on some GPUs only.

    ``serves`` are those compute capabilities (``9.0``) or majors (``10.*``). A unit matches where
    its architectures are exactly ``images`` (None: any), and each of its kernels that were read
    matches ``kernels`` (None: any). One of the two must be given, or the whole library is meant.
    """

    libraries: list[str]
    serves: list[str]
    because: str
    images: list[str] | None = None
    kernels: str | None = None
    versions: str = ""


class AlternativesFact(Fact, frozen=True):
    """Libraries of which the package loads one, by what it finds: their needs do not add up.

    ``of_torch``: each is for one version of PyTorch, and where none is for the one that is there
    none is loaded.
    """

    libraries: list[str]
    because: str
    of_torch: bool = False
    versions: str = ""


class CompilerFact(Fact, frozen=True):
    """What a distribution compiles with when it runs.

    ``files`` are globs in the wheel: the row holds where one of them matches (empty: always).
    ``distributions`` are those of the file's that are meant (empty: all of them). ``compilers``
    are all wanted, of ``any_of`` one is enough; short names: ``nvcc``, ``nvrtc``, ``ptxas``,
    ``cc``, ``c++``, ``ninja``, and ``triton`` or ``cutlass-dsl`` for the package and what it wants
    in turn. One that the distribution itself brings is in ``brings`` too.
    """

    when: str
    compilers: list[str] = []
    any_of: list[str] = []
    brings: list[str] = []
    files: list[str] = []
    distributions: list[str] = []
    versions: str = ""
    note: str | None = None


class PackageFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file. ``distributions`` are normalised names; ``sources`` are short names of sources."""

    distributions: list[str]
    sources: dict[str, str] = {}
    feature: list[FeatureFact] = []
    dispatch: list[DispatchFact] = []
    compiler: list[CompilerFact] = []
    alternatives: list[AlternativesFact] = []


def normalized(distribution: str) -> str:
    """The name as indexes compare it (PEP 503): ``Flash_Attn`` → ``flash-attn``.

    `packaging.utils` has it too, and imports logging, subprocess and the tags of this platform.
    """
    return re.sub(r"[-_.]+", "-", distribution).lower()


@cache
def package_facts() -> tuple[PackageFacts, ...]:
    """Every file, by name; raises `msgspec.ValidationError` naming the file."""
    found = []
    for file in files_of_facts("packages"):
        try:
            found.append(converted(read_facts(file), PackageFacts))
        except msgspec.ValidationError as error:
            raise msgspec.ValidationError(f"{file}: {error}") from error
    return tuple(found)


def facts_for_name(name: str) -> PackageFacts | None:
    """The one file that knows a library of this file name; None where none does, or several do."""
    found = []
    for about in package_facts():
        rows: list[FeatureFact | DispatchFact] = [*about.feature, *about.dispatch]
        globs = {glob.rpartition("/")[2] for row in rows for glob in row.libraries}
        if any(fnmatchcase(name, glob) for glob in globs):
            found.append(about)
    return found[0] if len(found) == 1 else None


def facts_about(distribution: str) -> PackageFacts | None:
    """The file that speaks of a distribution (a normalised name)."""
    return next((f for f in package_facts() if distribution in f.distributions), None)
