"""What the libraries of a resolution need of the system: glibc, libstdc++, and other libraries."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from sartor import facts
from sartor.facts.linking import driver_sonames, libc_sonames, policies, provider_of, system_sonames
from sartor.facts.versions import numbers
from sartor.host.remedies import install_libraries
from sartor.plan.closure_members import weakest
from sartor.plan.decision import Accepted, Decision, Rejected, Unchecked
from sartor.plan.outcome import SystemPackage
from sartor.verdict.case import titled
from sartor.verdict.package_findings import loaded, not_provided

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Literal

    from sartor.artifact.model import Library, Package
    from sartor.plan.closure_members import Members
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


def library_decisions(members: Members, wanted: Sequence[SystemPackage]) -> Iterator[Decision]:
    """Whether the system has every library that is needed of it."""
    rule, evidence = "system-libraries", "read from the machine code; the host"
    by_state: dict[State, list[str]] = defaultdict(list)
    for one in wanted:
        by_state[one.state].append(one.soname)
    host = members.case.host
    if missing := by_state["missing"]:
        needed = {name for one in wanted if one.state == "missing" for name in one.needed_by}
        what = f"{', '.join(missing)} for {', '.join(sorted(needed))}"
        hint = install_libraries(missing, host) if host else None
        yield Rejected(rule, what, "missing", evidence, hint)
    if unknown := by_state["not checked"]:
        why = "the host's libraries were not looked for"
        yield Unchecked(rule, ", ".join(unknown), why)
    if there := by_state["there"]:
        yield Accepted(rule, ", ".join(there), "there", evidence)


def glibc_decisions(members: Members) -> Iterator[Decision]:
    """glibc and libstdc++ as the libraries' symbols need them, not as a tag promises."""
    case = members.case
    pairs = used(case)
    yield from _glibc(members, pairs)
    if LIBSTDCXX not in case.by_name:
        for kind, field in (("GLIBCXX", "glibcxx"), ("CXXABI", "cxxabi")):
            yield from _libstdcxx(case, pairs, kind, field)


def _glibc(members: Members, pairs: Sequence[tuple[Package | None, Library]]) -> Iterator[Decision]:
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
    beyond = [pair for pair in needing if numbers(str(pair[1].glibc)) > numbers(have)]
    evidence = f"read from the machine code of {len(members.read)} packages"
    if beyond:
        names = dict.fromkeys(titled(package) for package, _ in beyond)
        hint = "a system with a newer glibc, as in a container of one, would run it"
        found = f"glibc {have}: {', '.join(names)} would not load"
        yield Rejected(rule, wanted, found, evidence, hint)
        return
    if members.unread:
        evidence += f"; declared by the tags of {len(members.unread)}"
    yield Accepted(rule, wanted, f"glibc {have}", evidence)


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


def grade_of_libraries(members: Members) -> str:
    """What is known of the libraries rests on all that may have any."""
    return weakest(member for member in members.every if not member.by_tag)
