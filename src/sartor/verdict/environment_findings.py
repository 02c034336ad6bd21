"""Rules that hold what lies together against each other: packages, their libraries, PyTorch."""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from typing import TYPE_CHECKING

from sartor.artifact.model import NotRead
from sartor.artifact.source import Invalid
from sartor.facts.linking import cuda_major
from sartor.facts.packages import facts_about
from sartor.verdict.case import (
    TORCH,
    and_more,
    is_torchs,
    joined,
    linked_majors,
    listed,
    needs_torch,
    titled,
)
from sartor.verdict.model import Finding
from sartor.verdict.requirements import parse_line, requirements, satisfied

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sartor.artifact.model import Library, Package
    from sartor.verdict.case import Case, Outcome
    from sartor.verdict.requirements import Required

CUDA_STACK = re.compile(r"torch|triton|cuda-toolkit|nvidia-.+")
"""Requirements without which libraries do not load or kernels are not compiled."""

MOST_ASKED = 500_000
"""Symbols that are looked up, in all; libtorch_python.so wants 5,000 of the others."""
THREAD_LOCAL = "_ZTH"
"""What initialises a thread-local variable is wanted weakly: it is called if it is there."""


def mixed_cuda_majors(case: Case) -> Iterator[Finding]:
    """Libraries that lie together are linked to different CUDA majors; an error where both meet in
    one process through PyTorch.
    """
    by_major: dict[int, list[Library]] = defaultdict(list)
    for library in (library for _, libraries in case.groups for library in libraries):
        for major in linked_majors(library):
            if case.alternatives(library) is None:
                by_major[major].append(library)
    if len(by_major) < 2:
        return
    parts = [f"CUDA {major} ({_users(case, by_major[major])})" for major in sorted(by_major)]
    with_torch = [major for major in by_major if any(needs_torch(lib) for lib in by_major[major])]
    fewest = min(by_major, key=lambda major: (len(by_major[major]), major))
    what = "wheel" if case.evidence.kind == "wheel" else "environment"
    yield Finding(
        code="mixed-cuda-majors",
        severity="error" if len(with_torch) > 1 else "warning",
        text=(
            f"The libraries of one {what} are linked to {' and to '.join(parts)}. A process that"
            f" loads both has two CUDA run times, and needs the libraries of both majors:"
            f" install builds for one of them."
        ),
        path=by_major[fewest][0].path,
    )


def _users(case: Case, libraries: list[Library]) -> str:
    """The packages that libraries belong to, and one library of each with what it needs."""
    found: dict[str, str] = {}
    for library in libraries:
        needed = next(soname for soname in library.needed if cuda_major(soname) is not None)
        name = posixpath.basename(library.path)
        found.setdefault(titled(case.owners.get(library.path)), f"`{name}` needs `{needed}`")
    shown = [f"{package}: {needs}" for package, needs in list(found.items())[:4]]
    more = [f"and {len(found) - 4} more packages"] if len(found) > 4 else []
    return "; ".join([*shown, *more])


def torch_pin(case: Case) -> Iterator[Outcome]:
    """A package requires another version of PyTorch than is installed."""
    torch = case.by_distribution.get(TORCH)
    if torch is None or not case.installed:
        return
    for package in case.packages:
        wrong = pins_otherwise(case, package, torch)
        if wrong is None:
            continue
        yield Finding(
            code="torch-pin",
            severity="error" if any(needs_torch(lib) for lib in case.owned(package)) else "warning",
            text=(
                f"{titled(package)} requires `{TORCH}{wrong.bounds}` and {torch.version} is"
                f" installed: it was built, or tested, with another PyTorch."
            ),
            path=package.path,
        )


def pins_otherwise(case: Case, package: Package, torch: Package) -> Required | None:
    """The requirement of a package that the installed PyTorch does not satisfy."""
    for required in requirements(package):
        of_torch = required.name == TORCH
        refused = of_torch and satisfied(required, torch.version) is False
        if refused and case.applies(required) is not False:
            return required
    return None


def torch_abi(case: Case) -> Iterator[Outcome]:
    """An extension needs symbols of PyTorch that the installed one does not define."""
    torch = case.by_distribution.get(TORCH)
    own = {library.path for library in case.owned(torch)} if torch else set()
    installed = [library for library in case.libraries if is_torchs(library)]
    if not installed:
        return
    unread = [lib for lib in installed if lib.path not in case.symbols]
    asked = 0
    for package, libraries in case.groups:
        lacking: dict[str, list[str]] = {}
        for library in libraries:
            if library.path in own or not _is_held_against_torch(case, library):
                continue
            if unread:
                names = listed(posixpath.basename(lib.path) for lib in unread)
                yield NotRead(library.path, f"its symbols: what {names} defines is not known")
                continue
            asked += len(library.torch_symbols)
            if asked > MOST_ASKED:
                yield NotRead(library.path, f"its symbols: over {MOST_ASKED} in all libraries")
                continue
            try:
                missing = undefined(case, library)
            except Invalid as fault:
                yield NotRead(
                    library.path, f"symbols of {fault.name}: {fault.reason}", fault.offset
                )
                continue
            if missing:
                lacking[library.path] = missing
        if lacking:
            yield _broken(case, package, torch, lacking)


def _is_held_against_torch(case: Case, library: Library) -> bool:
    """Whether it wants symbols of PyTorch, whichever that is."""
    if is_torchs(library) or not library.torch_symbols:
        return False
    return not case.is_for_one_torch(library)


def undefined(case: Case, library: Library) -> list[str]:
    """What a library wants of PyTorch and no library here defines; may raise `Invalid`."""
    providers = list(case.symbols.values())
    return [
        name
        for name in library.torch_symbols
        if not name.startswith(THREAD_LOCAL) and not any(p.defines(name) for p in providers)
    ]


def _broken(
    case: Case, package: Package | None, torch: Package | None, lacking: dict[str, list[str]]
) -> Finding:
    path = max(lacking, key=lambda key: len(lacking[key]))
    missing = lacking[path]
    count = "1 symbol" if len(missing) == 1 else f"{len(missing)} symbols"
    more = and_more(len(lacking) - 1)
    version = torch.version if torch else "here"
    return Finding(
        code="torch-abi",
        severity="error",
        text=(
            f"{titled(package)}: `{posixpath.basename(path)}`{more} needs {count} of PyTorch that"
            f" {TORCH} {version} does not define ({listed(missing)}), so importing it fails."
            f" {_cause(case, package, torch, case.by_path[path])}"
        ),
        path=path,
    )


def _cause(case: Case, package: Package | None, torch: Package | None, library: Library) -> str:
    """Why symbols are missing, as far as it can be told, and what to do."""
    if package and torch:
        wrong = pins_otherwise(case, package, torch)
        if wrong:
            return (
                f"It was built for another PyTorch: it requires `{TORCH}{wrong.bounds}`."
                f" Install that version, or a build of `{package.name}` for {torch.version}."
            )
    abi = {lib.torch_abi for lib in case.libraries if is_torchs(lib)} & {"cxx11", "pre-cxx11"}
    if library.torch_abi in {"cxx11", "pre-cxx11"} and abi and library.torch_abi not in abi:
        return (
            f"It was built with the `std::string` of the {library.torch_abi} ABI and PyTorch with"
            f" that of the {abi.pop()} ABI: install a build for the other."
        )
    return "It was built for another PyTorch: install a build for this one."


def dependency_missing(case: Case) -> Iterator[Outcome]:
    """A requirement on PyTorch, NVIDIA's packages, Triton or one with libraries is not met."""
    if not case.installed:
        return
    undecided = 0
    for package in case.packages:
        absent, unmet = [], []
        odd = [line for line in package.requires if parse_line(line) is None]
        if odd:
            yield NotRead(package.path, f"{len(odd)} requirements, the first `{odd[0][:80]}`")
        for required in requirements(package):
            if not _matters(case, required.name):
                continue
            applies = case.applies(required)
            undecided += applies is None
            if not applies:
                continue
            there = case.by_distribution.get(required.name)
            if there is None:
                absent.append(required.text)
            elif there.name != TORCH and satisfied(required, there.version) is False:
                unmet.append(f"{required.text} ({there.version} is installed)")
        yield from _unmet(package, absent, unmet)
    if undecided:
        why = f"requirements with markers ({undecided}): its Python or its machine is not known"
        yield NotRead(case.evidence.target, why)


def installed_twice(case: Case) -> Iterator[Finding]:
    """A distribution lies twice in one folder: which of them is imported is not known."""
    if not case.installed:
        return
    found: dict[tuple[str, str], list[Package]] = defaultdict(list)
    for package in case.packages:
        found[posixpath.dirname(package.path), package.name].append(package)
    for packages in found.values():
        if len(packages) > 1:
            versions = joined(package.version for package in packages)
            yield Finding(
                code="installed-twice",
                severity="warning",
                text=(
                    f"`{packages[0].name}` is installed {len(packages)} times here ({versions}):"
                    f" its files may be those of either. Remove both and install one."
                ),
                path=packages[0].path,
            )


def _matters(case: Case, name: str) -> bool:
    there = case.by_distribution.get(name)
    return (
        CUDA_STACK.fullmatch(name) is not None
        or facts_about(name) is not None
        or (there is not None and bool(case.owned(there)))
    )


def _unmet(package: Package, absent: list[str], unmet: list[str]) -> Iterator[Finding]:
    if absent:
        yield Finding(
            code="dependency-missing",
            severity="error",
            text=(
                f"{titled(package)} requires {listed(absent)}, and no such package is installed:"
                f" what needs it fails to import, or at its first use."
            ),
            path=package.path,
        )
    if unmet:
        yield Finding(
            code="dependency-missing",
            severity="warning",
            text=(
                f"{titled(package)} requires {listed(unmet)}: the resolver would not have put these"
                f" together, and nobody has tested them so."
            ),
            path=package.path,
        )
