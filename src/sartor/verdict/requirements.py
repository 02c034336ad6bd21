"""What packages declare that they need: ``Requires-Dist`` lines, parsed as far as a rule asks.

Most rules ask for names alone, which a plain line tells without `packaging`: its parser takes
longer to import than most of a wheel's libraries take to read.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from sartor.facts.packages import normalized

if TYPE_CHECKING:
    from collections.abc import Mapping

    from packaging.requirements import Requirement

    from sartor.artifact.model import Package

LINUX = {
    "extra": "",
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_python_implementation": "CPython",
    "platform_release": "",
    "platform_system": "Linux",
    "platform_version": "",
    "sys_platform": "linux",
}
"""Markers that are the same wherever the packages that are judged here run."""
MOST_REQUIREMENT = 2048
"""Letters of a requirement; the longest known, with every platform in its marker, has some 500."""
VERSION = r"\d{1,9}(?:\.\d{1,9}){0,5}"
BOUND = rf"(?:[=!]={VERSION}(?:\.\*)?|[<>]=?{VERSION}|~=\d{{1,9}}\.{VERSION})"
CLAUSE = (
    r"(?:extra|os_name|platform_machine|platform_system|python_version|sys_platform)"
    r" ?(?:==|!=|<=|>=|<|>) ?(?:\"[\w. -]*\"|'[\w. -]*')"
)
PLAIN = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)"
    r"(?:\[(?P<extras>[A-Za-z0-9-]+(?:,[A-Za-z0-9-]+)*)\])?"
    rf"(?: ?(?P<bounds>{BOUND}(?:,{BOUND})*))?"
    rf"(?: ?; ?(?P<marker>{CLAUSE}(?: (?:and|or) {CLAUSE})*))?",
    re.ASCII,
)
"""A name, extras, bounds, and a marker without parentheses: how nearly all lines are."""
PARTS = ("extras", "bounds")


class Required(msgspec.Struct, frozen=True):
    """One requirement: its line, its normalised name, its bounds (sorted), marker and extras.

    ``text`` is name, extras and bounds as people read them; ``marker`` is empty where none is.
    """

    line: str
    name: str
    bounds: str
    marker: str
    text: str
    extras: tuple[str, ...] = ()


def requirements(package: Package) -> list[Required]:
    """What a package declares that it needs, without what is asked for by an extra only."""
    parsed = (parse_line(line) for line in package.requires)
    return [r for r in parsed if r and "extra" not in r.marker]


def required_names(package: Package) -> set[str]:
    """The normalised names of `requirements`."""
    return {required.name for required in requirements(package)}


@lru_cache(1 << 14)
def parse_line(line: str) -> Required | None:
    """A ``Requires-Dist`` line; None where it is none, or longer than `MOST_REQUIREMENT`."""
    if len(line) > MOST_REQUIREMENT:
        return None
    if plain := PLAIN.fullmatch(line):
        name, marker = plain["name"], plain["marker"] or ""
        extras, bounds = (sorted({*(plain[p] or "").split(",")} - {""}) for p in PARTS)
    elif parsed := _parsed(line):
        name, marker = parsed.name, str(parsed.marker or "")
        extras, bounds = sorted(parsed.extras), [str(parsed.specifier)]
    else:
        return None
    within = ",".join(bounds)
    text = f"{name}[{','.join(extras)}]{within}" if extras else f"{name}{within}"
    return Required(line, normalized(name), within, marker, text, tuple(extras))


@lru_cache(1 << 10)
def _parsed(line: str) -> Requirement | None:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return Requirement(line)
    except (InvalidRequirement, RecursionError):  # parentheses in a marker may be nested
        return None


def applies(required: Required, markers: Mapping[str, str] | None) -> bool | None:
    """Whether a requirement's marker holds, where ``markers`` are known; None: it is not known."""
    if not required.marker:
        return True
    requirement = _parsed(required.line)
    if markers is None or requirement is None or requirement.marker is None:
        return None
    from packaging.markers import UndefinedComparison, UndefinedEnvironmentName

    try:
        return requirement.marker.evaluate(dict(markers))
    except (ValueError, RecursionError, UndefinedComparison, UndefinedEnvironmentName):
        return None


def satisfied(required: Required, version: str) -> bool | None:
    """Whether a version is one that the requirement allows; None where it is no version."""
    requirement = _parsed(required.line)
    if requirement is None:
        return None
    try:
        return requirement.specifier.contains(version, prereleases=True)
    except ValueError:  # `InvalidVersion`, or a number of more digits than Python reads
        return None
