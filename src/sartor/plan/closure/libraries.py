"""What the libraries of a resolution need of the system: glibc, libstdc++, and other libraries."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from typing import TYPE_CHECKING

from sartor import facts
from sartor.facts.linking import (
    driver_sonames,
    libc_sonames,
    matches,
    policies,
    provider_of,
    system_sonames,
)
from sartor.facts.packages import facts_about
from sartor.facts.versions import numbers
from sartor.host.remedies import install_libraries
from sartor.plan.decision import Accepted, Decision, Rejected, Unchecked
from sartor.plan.outcome import SystemPackage
from sartor.verdict.case import titled
from sartor.verdict.package_findings import loaded, not_provided

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from typing import Literal

    from sartor.artifact.model import Library, Package
    from sartor.plan.closure.members import Members
    from sartor.verdict.case import Case, Lookup

    State = Literal["there", "missing", "not checked"]

STATES: dict[Lookup, State] = {"found": "there", "missing": "missing", "unknown": "not checked"}
LIBSTDCXX = "libstdc++.so.6"


def used(case: Case) -> list[tuple[Package | None, Library]]:
    """The libraries whose needs count, with their packages: of alternatives the one that fits."""
    return [
        (package, library)
        for package, libraries in case.groups
        for library in loaded(case, package, libraries)
    ]


def system_packages(case: Case) -> list[SystemPackage]:
    """Every library of the system that is needed, glibc's own aside; by soname."""
    users: dict[str, dict[str, None]] = defaultdict(dict)
    for package, library in used(case):
        for soname in _of_system(case, package, library):
            users[soname][package.name if package else library.path] = None
    rows = {row.soname: row for row in facts.libraries()}
    found = []
    for soname in sorted(users):
        row = rows.get(soname)
        found.append(
            SystemPackage(
                soname=soname,
                state=STATES[case.system_has(soname)],
                packages=row.packages if row else {},
                wheel=row.wheel if row else None,
                needed_by=list(users[soname]),
            )
        )
    return found


def _of_system(case: Case, package: Package | None, library: Library) -> Iterator[str]:
    """What a library needs of the system: what no package holds, or is known to be the system's."""
    known = {row.soname for row in facts.libraries()}
    common = system_sonames() - libc_sonames() - driver_sonames()
    yield from (name for name in library.needed if name in common and name not in case.by_name)
    for soname in not_provided(case, package, library):
        if soname in known or provider_of(soname) is None:
            yield soname


def library_decisions(
    members: Members, wanted: Sequence[SystemPackage], essential: Collection[str]
) -> Iterator[Decision]:
    """Whether the system has every library that is needed of it; see `beyond_essential`."""
    rule, evidence = "system-libraries", "read from the machine code; the host"
    by_state: dict[State, list[SystemPackage]] = defaultdict(list)
    for one in wanted:
        by_state[one.state].append(one)
    host = members.case.host
    missing = by_state["missing"]
    grave = [one for one in missing if set(one.needed_by) & set(essential)]
    if grave:
        hint = install_libraries([one.soname for one in grave], host) if host else None
        yield Rejected(rule, _for(grave), "missing", evidence, hint)
    if light := [one for one in missing if one not in grave]:
        yield Unchecked(rule, _for(light), f"missing; {beyond_essential(light)}")
    if unknown := by_state["not checked"]:
        yield Unchecked(rule, _for(unknown), "they were not looked for on the host")
    if there := by_state["there"]:
        yield Accepted(rule, _for(there), "there", evidence)


def package_decisions(members: Members, essential: Collection[str]) -> Iterator[Decision]:
    """Libraries that packages hold, none of them in the resolution; a system may have a copy."""
    case = members.case
    wanted: dict[str, dict[str, str]] = defaultdict(dict)
    for package, library in used(case):
        lacking = set(not_provided(case, package, library))
        for soname in lacking - set(_of_system(case, package, library)):
            if row := provider_of(soname):
                wanted[package.name if package else library.path][soname] = row.distributions[0]
    for name, holders in wanted.items():
        yield _held(case, name, holders, is_essential=name in essential)


def _held(case: Case, name: str, holders: dict[str, str], *, is_essential: bool) -> Decision:
    """Libraries that ``name`` needs, with the distributions that would hold them."""
    rule, evidence = "libraries", "read from the machine code; the host"
    what = f"{', '.join(sorted(holders))} for {name}"
    states = {case.system_has(soname) for soname in holders}
    by = ", ".join(sorted(set(holders.values())))
    why = f"no package of the resolution brings them ({by} would)"
    if states == {"found"}:
        return Accepted(rule, what, "the system has them", evidence)
    if is_essential and "missing" in states:
        return Rejected(rule, what, f"{why}, nor does the system", evidence, f"add {by}")
    return Unchecked(rule, what, f"{why}; whether the system does is not known")


def beyond_essential(wanted: Sequence[SystemPackage]) -> str:
    """Words for what only packages want that are not essential: the engine may do without them."""
    names = sorted({name for one in wanted for name in one.needed_by})
    return f"whether the engine does without {', '.join(names)} is not known"


def _for(wanted: Sequence[SystemPackage]) -> str:
    """``libnuma.so.1 for sgl-kernel; libz.so.1 for torch``, the sonames of one user together."""
    users: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for one in wanted:
        users[tuple(one.needed_by)].append(one.soname)
    return "; ".join(f"{', '.join(names)} for {', '.join(by)}" for by, names in users.items())


def glibc_decisions(members: Members, essential: Collection[str]) -> Iterator[Decision]:
    """glibc and libstdc++ as the libraries' symbols need them, not as a tag promises."""
    case = members.case
    pairs = used(case)
    yield from _glibc(members, pairs, essential)
    if LIBSTDCXX not in case.by_name:
        for kind, field in (("GLIBCXX", "glibcxx"), ("CXXABI", "cxxabi")):
            yield from _libstdcxx(case, pairs, kind, field)


def _glibc(
    members: Members,
    pairs: Sequence[tuple[Package | None, Library]],
    essential: Collection[str],
) -> Iterator[Decision]:
    case, rule = members.case, "glibc"
    have = case.host.glibc if case.host else None
    needing = [(package, lib) for package, lib in pairs if lib.glibc]
    if not needing:
        return
    most = max((str(lib.glibc) for _, lib in needing), key=numbers)
    wanted = f"glibc {most} ({_first(needing, 'glibc', most)})"
    if have is None:
        yield Unchecked(rule, wanted, "the host's glibc is not known")
        return
    beyond = {
        package.name if package else library.path: titled(package)
        for package, library in needing
        if numbers(str(library.glibc)) > numbers(have)
    }
    evidence = f"read from the machine code of {len(members.read)} packages"
    if beyond:
        which = [lib for _, lib in needing if numbers(str(lib.glibc)) > numbers(have)]
        names = ", ".join(posixpath.basename(lib.path) for lib in which)
        found = f"glibc {have}: {names} of {', '.join(beyond.values())} would not load"
        hint = "a system with a newer glibc, as in a container of one, would run it"
        core = {lib.path for lib in _of_core(case, pairs)}
        grave = {p.name for p, lib in needing if lib in which and p and lib.path in core}
        if grave & set(essential):
            yield Rejected(rule, wanted, found, evidence, hint)
        else:
            yield Unchecked(rule, wanted, f"{found}; whether the engine needs it is not known")
        return
    if members.unread:
        evidence += f"; declared by the tags of {len(members.unread)}"
    yield Accepted(rule, wanted, f"glibc {have}", evidence)


def _of_core(case: Case, pairs: Sequence[tuple[Package | None, Library]]) -> list[Library]:
    """Libraries without which their packages are of no use, with those that they need in turn.

    Of a package whose core the facts do not know it is all of them.
    """
    found = [library for package, library in pairs if package and _is_core(package, library)]
    seen = {library.path for library in found}
    for library in found:
        needed = [one for name in library.needed for one in case.by_name.get(name, ())]
        found += [one for one in needed if one.path not in seen]
        seen |= {one.path for one in needed}
    return found


def _is_core(package: Package, library: Library) -> bool:
    about = facts_about(package.name)
    core = [f for f in (about.feature if about else ()) if f.core]
    return not core or any(matches(library.path, g) for f in core for g in f.libraries)


def _libstdcxx(
    case: Case, pairs: Sequence[tuple[Package | None, Library]], kind: str, field: str
) -> Iterator[Decision]:
    """By the policies of manylinux: which libstdc++ systems of the host's glibc have at least."""
    needing = [(package, lib) for package, lib in pairs if getattr(lib, field)]
    if not needing:
        return
    most = max((str(getattr(lib, field)) for _, lib in needing), key=numbers)
    wanted = f"{kind}_{most} of libstdc++ ({_first(needing, field, most)})"
    have = case.host.glibc if case.host else None
    known = [row for row in policies() if have and numbers(row.glibc) <= numbers(have)]
    promised = getattr(known[-1], field) if known else None
    if promised is not None and numbers(most) <= numbers(promised):
        found = f"systems of glibc {have} have {kind}_{promised}"
        yield Accepted("libstdc++", wanted, found, f"declared: {known[-1].tag}")
    else:
        yield Unchecked("libstdc++", wanted, "the version of the host's libstdc++ is not known")


def _first(pairs: Sequence[tuple[Package | None, Library]], field: str, most: str) -> str:
    """A library that needs that much, and its package."""
    package, library = next(p for p in pairs if getattr(p[1], field) == most)
    name = library.path.rpartition("/")[2]
    return f"{name} of {package.name}" if package else name
