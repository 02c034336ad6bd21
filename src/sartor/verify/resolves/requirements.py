"""What the installed packages require, held against what is installed and the interpreter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.verdict.requirements import applies, parse_line, satisfied
from sartor.verify.model import Failed, NotApplicable, NotChecked, Outcome, Passed
from sartor.verify.subject.evidence import read_site
from sartor.verify.subject.remedies import install

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sartor.verify.subject.installed import Distribution
    from sartor.verify.subject.model import Subject

MOST_SHOWN = 6


def requirement_outcomes(subject: Subject, distributions: list[Distribution]) -> Iterator[Outcome]:
    """One for each package: its requirements, the Python that it wants, its wheel's tags."""
    usable = _usable_tags(subject)
    seen: dict[str, Distribution] = {}
    for dist in distributions:
        first = seen.setdefault(dist.name, dist)
        if first is not dist:
            yield from _again(subject, first, dist)
            continue
        yield from _requirements(subject, dist)
        yield _tags(subject, dist, usable)


def _again(subject: Subject, first: Distribution, dist: Distribution) -> Iterator[Outcome]:
    """A distribution that is there twice: in one folder its files may be those of either."""
    check = f"{dist.name} is installed once"
    if first.site != dist.site:
        why = f"{dist.version} in {dist.site} is behind {first.version} in {first.site}"
        yield NotApplicable(check=check, grade="resolves", package=dist.name, why=why)
        return
    if first.version == dist.version:
        why = f"{first.info.name} and {dist.info.name} are of one version"
        yield NotApplicable(check=check, grade="resolves", package=dist.name, why=why)
        return
    yield Failed(
        check=check,
        grade="resolves",
        package=dist.name,
        detail=f"{first.version} and {dist.version} are both recorded in {dist.site}",
        hint=f"remove both and install one: `uv pip uninstall --python {subject.python} "
        f"{dist.name}` until none is left, then {install(subject, dist.name)}",
    )


def _requirements(subject: Subject, dist: Distribution) -> Iterator[Outcome]:
    """The requirements that hold here; those left out on purpose are an outcome of their own."""
    check = f"requirements of {dist.name} are met"
    unmet, wanted, left, odd, met = [], [], [], [], 0
    for line in dist.package.requires:
        required = parse_line(line)
        if required is None:
            odd.append(line[:80])
            continue
        holds = applies(required, subject.markers)
        if holds is None:
            odd.append(line[:80])
        if not holds:
            continue
        there = subject.packages.get(required.name)
        if there is None and required.name in subject.left_out:
            left.append(required.text)
        elif there is None or satisfied(required, there) is False:
            now = "it is not installed" if there is None else f"{there} is installed"
            unmet.append(f"{dist.label} requires {required.text}: {now}")
            wanted.append(required.text)
        else:
            met += 1
    unmet += _python(subject, dist)
    if unmet:
        yield Failed(
            check=check,
            grade="resolves",
            package=dist.name,
            detail="\n".join(unmet),
            hint=_hint(subject, wanted),
        )
    elif odd:
        why = f"{len(odd)} of its requirements cannot be read, the first `{odd[0]}`"
        yield NotChecked(check=check, grade="resolves", package=dist.name, why=why)
    else:
        detail = "1 requirement" if met == 1 else f"{met} requirements"
        yield Passed(check=check, grade="resolves", package=dist.name, detail=detail)
    if left:
        yield NotApplicable(
            check=f"{dist.name} and what was left out",
            grade="resolves",
            package=dist.name,
            why=f"left out on purpose: {', '.join(left)}",
        )


def _hint(subject: Subject, wanted: list[str]) -> str:
    if not wanted:
        return "install a release that is for this Python, or use another Python"
    return f"{install(subject, *wanted)}; where that is refused, the set has to be planned anew"


def _python(subject: Subject, dist: Distribution) -> list[str]:
    """That a package is for another Python, by its ``Requires-Python``."""
    bounds = dist.package.requires_python
    if not bounds:
        return []
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        fits = SpecifierSet(bounds).contains(subject.python_version, prereleases=True)
    except (InvalidSpecifier, ValueError):
        return []
    return (
        [] if fits else [f"{dist.label} requires Python {bounds}: it is {subject.python_version}"]
    )


def _tags(subject: Subject, dist: Distribution, usable: frozenset[str]) -> Outcome:
    """Whether the wheel that a package came from is one for this interpreter and machine.

    What its WHEEL says may be wrong where the wheel was given another name: its libraries decide.
    """
    check, tags = f"wheel of {dist.name} is for this machine", dist.package.tags
    if not tags:
        why = "it has no WHEEL file: it was not installed from a wheel"
        return NotApplicable(check=check, grade="resolves", package=dist.name, why=why)
    said = ", ".join(tags[:4])
    if usable.intersection(tags):
        return Passed(check=check, grade="resolves", package=dist.name, detail=said)
    others = _foreign(subject, dist)
    here = f"Python {subject.python_version} on {subject.markers['platform_machine']}"
    if others == []:
        detail = f"its WHEEL says {said}; its libraries are for this Python and machine"
        return Passed(check=check, grade="resolves", package=dist.name, detail=detail)
    return Failed(
        check=check,
        grade="resolves",
        package=dist.name,
        detail="\n".join(
            [
                f"{dist.label} is from a wheel for {said}; this is {here}",
                *(others or [])[:MOST_SHOWN],
            ]
        ),
        hint=install(subject, "--reinstall", "--no-deps", dist.pin),
    )


def _foreign(subject: Subject, dist: Distribution) -> list[str] | None:
    """The libraries of a package that another Python or machine loads; None: it has none at all."""
    own = set(dist.package.libraries)
    libraries = [lib for lib in read_site(dist.site).libraries if lib.path in own]
    machine = subject.markers["platform_machine"]
    major, minor = subject.markers["python_version"].split(".")
    fits = {None, "abi3", f"cp{major}{minor}"}
    found = [
        f"`{lib.path}` is for {lib.machine or 'another machine'}"
        for lib in libraries
        if lib.kind == "elf" and lib.machine != machine
    ]
    modules = [lib for lib in libraries if lib.python not in {None, "abi3"}]
    if modules and not any(lib.python in fits for lib in modules):
        found += [f"`{lib.path}` is for {lib.python}" for lib in modules]
    return found if libraries else None


def _usable_tags(subject: Subject) -> frozenset[str]:
    """The tags of wheels that the environment's interpreter takes on this machine."""
    from packaging.tags import compatible_tags, cpython_tags, platform_tags

    major, minor = (int(n) for n in subject.markers["python_version"].split("."))
    platforms = [*platform_tags(), f"linux_{subject.markers['platform_machine']}"]
    abi = f"cp{major}{minor}{'t' if subject.free_threaded else ''}"
    own = cpython_tags((major, minor), [abi], platforms)
    general = compatible_tags((major, minor), f"cp{major}{minor}", platforms)
    return frozenset(str(tag) for tag in (*own, *general))
