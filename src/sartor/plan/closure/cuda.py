"""The CUDA version that each package of a resolution was built with, by the best that is known."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from functools import cache
from typing import TYPE_CHECKING

from packaging.version import Version

from sartor.facts import toolkits
from sartor.facts.linking import is_form_of, providers
from sartor.verdict.case import linked_majors
from sartor.verdict.package_findings import CUDA_FORM, provider_distribution
from sartor.verdict.requirements import requirements

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sartor.plan.closure.members import Member

LOCAL = re.compile(r"cu(?P<major>\d\d)(?P<minor>\d)")
"""``+cu128``: CUDA's major has two digits since 10, its minor one."""
EXACT = re.compile(r"={2,3}(\d+(?:\.\d+)*)")
TOOLKIT = "cuda-toolkit"
RUNTIME = re.compile(r"nvidia-cuda-(?:runtime|nvrtc|cupti|nvcc)(?:-cu\d+)?")
"""Distributions whose versions are those of the toolkit that they come from."""


def built_with(members: Sequence[Member]) -> dict[str, str | None]:
    """CUDA versions by name, of all packages that may hold machine code; None: not known.

    ``13.0`` where the minor is known, else ``13``.
    """
    return {member.name: _version(member) for member in members if not member.by_tag}


def majors(members: Sequence[Member], versions: Mapping[str, str | None]) -> dict[int, list[str]]:
    """The packages of each CUDA major, of those that were read or bring CUDA's own libraries."""
    found: dict[int, list[str]] = defaultdict(list)
    for member in members:
        version = versions.get(member.name)
        if version is not None and (member.evidence is not None or _brings_cuda(member.name)):
            found[int(version.partition(".")[0])].append(member.name)
    return found


def _brings_cuda(name: str) -> bool:
    """Whether libraries that others are linked against come with a distribution of that name."""
    return any(is_form_of(name, base) for row in providers() for base in row.distributions)


def _version(member: Member) -> str | None:
    """The first answer, or a later one that says the same major and its minor, too."""
    answers = list(dict.fromkeys(_answers(member)))
    if not answers:
        return None
    first = answers[0]
    exact = (one for one in answers if "." in one and one.partition(".")[0] == first)
    return first if "." in first else next(exact, first)


def _answers(member: Member) -> Iterator[str]:
    """What is known, the best first: machine code, needs, local version, name, requirements."""
    evidence = member.evidence
    if evidence is not None:
        noted = Counter(release for lib in evidence.libraries for release in lib.toolkits)
        yield from sorted(noted, key=lambda release: (-noted[release], -_number(release)))
        linked = {major for lib in evidence.libraries for major in linked_majors(lib)}
        if len(linked) == 1:
            yield str(linked.pop())
    local = LOCAL.fullmatch(member.locked.version.partition("+")[2])
    if local:
        yield f"{local['major']}.{local['minor']}"
    if RUNTIME.fullmatch(member.name) and member.locked.version.partition(".")[0] in _majors():
        yield ".".join(member.locked.version.split(".")[:2])
    if form := CUDA_FORM.fullmatch(member.name):
        yield form["major"]
    yield from _of_requirements(member)


def _of_requirements(member: Member) -> Iterator[str]:
    """What the exact requirements on NVIDIA's packages say."""
    known = {row.version for row in toolkits()}
    for required in requirements(member.package):
        exact = EXACT.search(required.bounds)
        release = ".".join(exact[1].split(".")[:2]) if exact else None
        is_runtime = required.name == TOOLKIT or RUNTIME.fullmatch(required.name)
        if is_runtime and release in known:
            yield str(release)
    for required in requirements(member.package):
        form = CUDA_FORM.fullmatch(required.name)
        if form and provider_distribution(required.name):
            yield form["major"]


@cache
def _majors() -> frozenset[str]:
    """CUDA's majors; a distribution that only holds a name's place has version 0.0.1."""
    return frozenset(row.version.partition(".")[0] for row in toolkits())


def _number(release: str) -> float:
    version = Version(release)
    return version.major * 100 + version.minor
