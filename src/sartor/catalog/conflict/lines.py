"""Requirement lines, as far as a conflict turns on them."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import parse_wheel_filename
from packaging.version import Version

from sartor.facts.packages import normalized
from sartor.verdict.requirements import LINUX, MOST_REQUIREMENT

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sartor.plan.known import Machine


class Constraint(NamedTuple):
    """What is said of a project: bounds (sorted: `<3,>=2`), or the address that it comes from."""

    project: str
    bounds: str
    url: str | None = None

    @property
    def text(self) -> str:
        """As people read it."""
        if self.url is not None:
            return f"{self.project} @ {self.url}"
        return f"{self.project}{self.bounds}"


class Line(NamedTuple):
    """One requirement that holds on the machine: a constraint, and the extras it asks for."""

    constraint: Constraint
    extras: tuple[str, ...] = ()

    @property
    def project(self) -> str:
        """The normalised name."""
        return self.constraint.project

    @property
    def text(self) -> str:
        """As people read it: ``vllm[audio]==0.33.0``."""
        if not self.extras:
            return self.constraint.text
        name, rest = self.project, self.constraint.text[len(self.project) :]
        return f"{name}[{','.join(self.extras)}]{rest}"


def environment(machine: Machine) -> dict[str, str]:
    """What markers are held against on a machine; of Python the first patch, as uv takes it."""
    python = machine.python
    minor = ".".join(python.split(".")[:2])
    full = python if python.count(".") > 1 else f"{python}.0"
    return {
        **LINUX,
        "python_version": minor,
        "python_full_version": full,
        "implementation_version": full,
        "platform_machine": machine.architecture,
    }


def read_line(text: str, markers: Mapping[str, str], extras: Collection[str] = ()) -> Line | None:
    """A requirement, if its marker holds there, with one of the extras where it names any.

    None where it does not. Raises `ValueError` where it is no requirement.
    """
    parsed = parse(text)
    if parsed.marker is not None:
        asked = [{**markers, "extra": extra} for extra in ("", *extras)]
        if not any(parsed.marker.evaluate(each) for each in asked):
            return None
    bounds = ",".join(sorted(str(s).replace(" ", "") for s in parsed.specifier))
    constraint = Constraint(normalized(parsed.name), bounds, parsed.url)
    return Line(constraint, tuple(sorted(normalized(e) for e in parsed.extras)))


@lru_cache(1 << 13)
def parse(text: str) -> Requirement:
    """A requirement; raises `ValueError` where it is none, or too long to be one."""
    if len(text) > MOST_REQUIREMENT:
        raise ValueError(f"longer than {MOST_REQUIREMENT} letters")
    try:
        return Requirement(text)
    except (InvalidRequirement, RecursionError) as error:
        raise ValueError(str(error).partition("\n")[0]) from None


@lru_cache(1 << 13)
def bounds_of(bounds: str) -> SpecifierSet:
    """The bounds as `packaging` has them; none where they are none (`===` aside, they parse)."""
    try:
        return SpecifierSet(bounds, prereleases=True)
    except InvalidSpecifier:
        return SpecifierSet(prereleases=True)


def allows(constraint: Constraint, version: Version) -> bool:
    """Whether the bounds hold of a version, whatever was published."""
    return not constraint.bounds or bounds_of(constraint.bounds).contains(version)


def pinned(constraint: Constraint) -> Version | None:
    """The version that an exact pin names; None for other bounds."""
    specifiers = list(bounds_of(constraint.bounds)) if constraint.bounds else []
    for one in specifiers:
        if one.operator in {"==", "==="} and not one.version.endswith(".*"):
            try:
                return Version(one.version)
            except ValueError:
                return None
    return None


def url_version(url: str) -> Version | None:
    """The version of the wheel that an address names; None where that is no wheel."""
    name = url.partition("#")[0].rpartition("/")[2].replace("%2B", "+").replace("%2b", "+")
    try:
        return parse_wheel_filename(name)[1]
    except ValueError:
        return None
