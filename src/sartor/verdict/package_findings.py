"""Rules that judge each package by itself: what it declares against what its libraries are."""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from typing import TYPE_CHECKING

from sartor import facts
from sartor.facts.linking import (
    cuda_major,
    driver_sonames,
    is_form_of,
    matches,
    optional_globs,
    policies,
    provider_of,
    system_sonames,
)
from sartor.facts.packages import facts_about, facts_for_name
from sartor.facts.versions import numbers
from sartor.host.remedies import distribution
from sartor.verdict.case import (
    and_more,
    joined,
    linked_majors,
    listed,
    titled,
    with_verb,
)
from sartor.verdict.model import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sartor.artifact.model import Library, Package
    from sartor.facts.linking import ProviderFact
    from sartor.host.model import Host
    from sartor.verdict.case import Case, Lookup
    from sartor.verdict.model import Severity

PLATFORM = re.compile(r"manylinux(?:_(?P<glibc>\d{1,3}_\d{1,3})|\d{1,4})_\w+")
CUDA_FORM = re.compile(r"nvidia-[a-z0-9-]+-cu(?P<major>\d{1,3})")


def library_not_provided(case: Case) -> Iterator[Finding]:
    """A library needs another that nothing brings: no package, no declared dependency, no system.

    An error where the host lacks it, a warning where no host is known, a note for a wheel whose
    undeclared need this host happens to meet.
    """
    for package, libraries in case.groups:
        wanted: dict[str, list[Library]] = defaultdict(list)
        for library in loaded(case, package, libraries):
            for soname in not_provided(case, package, library):
                wanted[soname].append(library)
        together: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for soname in sorted(wanted):
            users = tuple(library.path for library in wanted[soname])
            together[() if provider_of(soname) else users].append(soname)
        for sonames in together.values():
            yield from _unprovided(case, package, {name: wanted[name] for name in sonames})


def loaded(case: Case, package: Package | None, libraries: list[Library]) -> list[Library]:
    """The libraries whose needs count: of alternatives the one that lacks the least."""
    every = [lib for lib in libraries if case.alternatives(lib) is None]
    others = [lib for lib in libraries if case.alternatives(lib) is not None]
    best = min(others, key=lambda lib: len(not_provided(case, package, lib)), default=None)
    return every if best is None else [*every, best]


def not_provided(case: Case, package: Package | None, library: Library) -> list[str]:
    """The sonames that a library needs and neither packages, the driver nor every system bring."""
    if any(matches(library.path, glob) for glob in optional_globs()):
        return []
    brought = system_sonames() | driver_sonames()
    return [
        soname
        for soname in library.needed
        if soname not in brought
        and soname not in case.by_name
        and not _declared(case, package, soname)
    ]


def _declared(case: Case, package: Package | None, soname: str) -> bool:
    """Whether a dependency brings it; a library without metadata can declare none, so it counts.

    Where all is installed, only packages that were not read still may.
    """
    row = provider_of(soname)
    if row is None:
        return False
    if case.installed:
        return any(brings(row, soname, *unread) for unread in case.unread.items())
    if package is None:
        return True
    names = case.required[package.path]
    return bool(names & set(row.through)) or any(
        is_form_of(name, base) for name in names for base in row.distributions
    )


def brings(row: ProviderFact, soname: str, name: str, version: str) -> bool:
    """Whether a distribution is one that holds ``soname``, in a version for the same CUDA major."""
    if not any(is_form_of(name, base) for base in row.distributions):
        return False
    wanted, major = cuda_major(soname), major_of(name, version)
    return wanted is None or major is None or wanted == major


def major_of(name: str, version: str) -> int | None:
    """The CUDA major that one of NVIDIA's distributions is for: by its name, else its version."""
    form = CUDA_FORM.fullmatch(name)
    found = form["major"] if form else version.partition(".")[0]
    return int(found) if found.isdecimal() else None


def _unprovided(
    case: Case, package: Package | None, wanted: dict[str, list[Library]]
) -> Iterator[Finding]:
    """One finding for sonames that packages hold, or that the same libraries want."""
    has: dict[str, Lookup] = {soname: case.system_has(soname) for soname in wanted}
    lacking = [soname for soname in wanted if has[soname] != "found"]
    if not lacking and (case.installed or package is None):
        return
    here = not lacking
    lacking = lacking or list(wanted)
    users = [library for soname in lacking for library in wanted[soname]]
    rows = [row for soname in lacking if (row := provider_of(soname))]
    sure = all(has[soname] == "missing" for soname in lacking) and (case.installed or not rows)
    which = f"{listed(lacking)}, which" if len(lacking) == 1 else f"{listed(lacking)}:"
    alone = case.installed or package is None
    where = "no package here" if alone else "no package that it requires"
    them = "it" if len(lacking) == 1 else "them"
    system = "the system does not either" if sure else "not every system does"
    system = "this system does, others may not" if here else system
    if rows:
        holders = joined(dict.fromkeys(row.distributions[0] for row in rows))
        remedy = f"{holders} would: install what it was built for."
    else:
        remedy = f"Without {them} it does not load; {_install(lacking, case.host)}."
    yield Finding(
        code="library-not-provided",
        severity="note" if here else "error" if sure else "warning",
        text=(
            f"{titled(package)}: {with_verb(users, 'needs', 'need')} {which} {where}"
            f" brings {them if which.endswith(':') else ''}".rstrip()
            + f", and {system}. {remedy}"
        ),
        path=users[0].path,
    )


def _install(sonames: list[str], host: Host | None) -> str:
    """How the system's package of a library is installed, where facts know it."""
    row = next((row for row in facts.libraries() if [row.soname] == sonames), None)
    if row is None:
        them = "it" if len(sonames) == 1 else "them"
        return f"the system or another package must bring {them}"
    if host is None:
        debian, fedora = row.packages.get("debian"), row.packages.get("fedora")
        return f"install the system's package (`{debian}` on Debian, `{fedora}` on Fedora)"
    of = distribution(host)
    return f"as root: `{of.install} {row.packages.get(of.id, row.soname)}`"


def glibc_tag(case: Case) -> Iterator[Finding]:
    """The platform tag promises that an older system is enough than a library needs.

    An error where the host is such a system, a note where it is not and the package is installed.
    """
    for package, libraries in case.groups:
        promise = promised(package) if package else None
        if package is None or promise is None:
            continue
        tag, glibc = promise
        beyond = {lib.path: needs for lib in libraries if (needs := _beyond(case, lib, glibc))}
        if not beyond:
            continue
        path = max(beyond, key=lambda key: numbers(case.by_path[key].glibc or ""))
        more = and_more(len(beyond) - 1)
        yield Finding(
            code="glibc-tag",
            severity=_by_glibc(case, path),
            text=(
                f"{titled(package)} is tagged `{tag}`, which promises that glibc {glibc} is enough,"
                f" and `{posixpath.basename(path)}`{more} needs {', '.join(beyond[path])}:"
                f" on an older system it installs and does not load."
            ),
            path=path,
        )


def promised(package: Package) -> tuple[str, str] | None:
    """The tag that promises the oldest glibc, and that version; None where no tag promises any."""
    legacy = {name: row.glibc for row in policies() for name in row.legacy}
    found = []
    for tag in package.file_tags or package.tags:
        platform = tag.rpartition("-")[2]
        match = PLATFORM.fullmatch(platform)
        if match:
            glibc = (match["glibc"] or "").replace("_", ".") or legacy.get(platform.split("_")[0])
            if glibc:
                found.append((platform, glibc))
    return min(found, key=lambda pair: numbers(pair[1]), default=None)


def _beyond(case: Case, library: Library, glibc: str) -> list[str]:
    """The versions that a library needs beyond a promise; a libstdc++ of its own has its own."""
    pairs = [("GLIBC", library.glibc, glibc)]
    policy = next((row for row in policies() if numbers(row.glibc) >= numbers(glibc)), None)
    if policy and "libstdc++.so.6" not in case.by_name:
        pairs += [
            ("GLIBCXX", library.glibcxx, policy.glibcxx),
            ("CXXABI", library.cxxabi, policy.cxxabi),
        ]
    return [
        f"{kind}_{need}" for kind, need, most in pairs if need and numbers(need) > numbers(most)
    ]


def _by_glibc(case: Case, path: str) -> Severity:
    there, needed = case.host.glibc if case.host else None, case.by_path[path].glibc
    if there is None or needed is None:
        return "warning"
    if numbers(there) < numbers(needed):
        return "error"
    return "note" if case.installed else "warning"


def abi3_module(case: Case) -> Iterator[Finding]:
    """A wheel tagged abi3 (any later Python) holds a module that one Python alone can import."""
    for package, libraries in case.groups:
        tags = (package.file_tags or package.tags) if package else []
        tag = next((tag for tag in tags if tag.split("-")[1:2] == ["abi3"]), None)
        if package is None or tag is None:
            continue
        modules: dict[str, list[Library]] = defaultdict(list)
        for library in libraries:
            folder, name = posixpath.split(library.path)
            modules[posixpath.join(folder, name.split(".")[0])].append(library)
        for found in modules.values():
            pythons = {library.python for library in found}
            (python,) = pythons if len(pythons) == 1 else (None,)
            if python is None or not re.fullmatch(r"cp\d+t?", python):
                continue
            yield _one_python(case, package, tag, found[0], python)


def _one_python(case: Case, package: Package, tag: str, module: Library, python: str) -> Finding:
    version = f"{python[2]}.{python[3:]}"
    severity: Severity = "warning"
    if len(case.pythons) == 1 and case.installed and (case.python or _in_paths(case)):
        severity = "note" if case.pythons == {version} else "error"
    return Finding(
        code="abi3-module",
        severity=severity,
        text=(
            f"{titled(package)} is tagged `{tag}`, so every later Python installs it, and"
            f" `{posixpath.basename(module.path)}` is a module of Python {version} alone:"
            f" no other can import it."
        ),
        path=module.path,
    )


def _in_paths(case: Case) -> bool:
    """Whether the environment's Python is known by its folders, not by the modules themselves."""
    return any("/python3." in f"/{package.path}" for package in case.packages)


def cuda_major_pins(case: Case) -> Iterator[Finding]:
    """A library is linked to another CUDA major than its package's nvidia-*-cuNN pins bring."""
    for package, libraries in case.groups:
        pins = (
            [CUDA_FORM.fullmatch(name) for name in sorted(case.required[package.path])]
            if package
            else []
        )
        majors = {int(match["major"]) for match in pins if match}
        if not majors:
            continue
        for library in libraries:
            other = linked_majors(library) - majors
            if not other or case.alternatives(library):
                continue
            needed = [soname for soname in library.needed if cuda_major(soname) in other]
            yield Finding(
                code="cuda-major-pins",
                severity="error",
                text=(
                    f"{titled(package)} requires {listed(m[0] for m in pins if m)}, and"
                    f" `{posixpath.basename(library.path)}` needs {listed(needed)}: its"
                    f" requirements bring libraries of another CUDA major than it is linked to."
                ),
                path=library.path,
            )


def other_device_code(case: Case) -> Iterator[Finding]:
    """A library holds device code of another maker (HIP, SYCL), which is not read: a note."""
    for package, libraries in case.groups:
        holders = [library for library in libraries if library.other_device_code]
        if not holders:
            continue
        kinds = sorted({kind for library in holders for kind in library.other_device_code})
        yield Finding(
            code="other-device-code",
            severity="note",
            text=(
                f"{titled(package)}: {with_verb(holders, 'holds', 'hold')} device code that is not"
                f" NVIDIA's ({listed(kinds)}). It was not read; no verdict speaks of it."
            ),
            path=holders[0].path,
        )


def no_device_code(case: Case) -> Iterator[Finding]:
    """A package for CUDA holds no device code, as one that compiles when it runs: a note."""
    for package, libraries in case.groups:
        if package is None or provider_distribution(package.name):
            continue
        if any(library.not_read for library in libraries):
            continue
        bare = [lib for lib in libraries if not lib.images and linked_majors(lib)]
        none = not any(library.images for library in libraries)
        about = facts_about(package.name)
        compiling = [lib for lib in bare if none or lib.compilers] if about else []
        if about and about.compiler and compiling:
            called = sorted({name for library in compiling for name in library.compilers})
            by = f" by {joined(called)}, which it calls" if called else ""
            holders, meaning = compiling, f"Kernels are compiled when it runs{by}."
        elif none and _for_cuda(package):
            holders, meaning = bare or libraries, "Its kernels are elsewhere, if it has any."
        else:
            continue
        text = f"{titled(package)}: {with_verb(holders, 'holds', 'hold')} no device code. {meaning}"
        yield Finding(code="no-device-code", severity="note", text=text, path=holders[0].path)


def package_not_known(case: Case) -> Iterator[Finding]:
    """A library by itself is named like a known package's: no fact says what it does without."""
    named: dict[tuple[str, ...], list[Library]] = defaultdict(list)
    for package, libraries in case.groups if case.gpus else ():
        for library in libraries if package is None else ():
            about = facts_for_name(posixpath.basename(library.path))
            if about is not None and about.dispatch and library.images:
                named[tuple(about.distributions)].append(library)
    for distributions, libraries in named.items():
        yield Finding(
            code="package-not-known",
            severity="note",
            text=(
                f"{with_verb(libraries, 'is', 'are')} named like a library of"
                f" {joined(distributions, 'or')}, and the package and its version are not known:"
                f" no dispatch fact was applied, so what is missing may be so by design."
                f" Inspect the wheel or the environment."
            ),
            path=libraries[0].path,
        )


def provider_distribution(name: str) -> bool:
    """Whether a distribution is one that brings CUDA's own libraries."""
    return name.startswith("nvidia-")


def _for_cuda(package: Package) -> bool:
    local = package.version.partition("+")[2]
    return (
        re.match(r"cu\d", local) is not None or re.search(r"-cu(da)?\d", package.name) is not None
    )
