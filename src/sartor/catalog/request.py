"""A question to the resolver as its files, arguments and variables. Pure functions.

The resolver reads them from a project of their own: there alone a project can be tied to an index
(``[tool.uv.sources]``), and how long answers of an index may be used can be said.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import msgspec
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from sartor.catalog.choice import resolver_glibc

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sartor.artifact.model import Package
    from sartor.plan.known import Machine, ResolveQuestion

NAME = "sartor-request"
INDEX_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL")


class UsedIndex(msgspec.Struct, frozen=True):
    """An index as the resolver is told of it.

    ``name`` is what it is called there. ``projects``: only these come from it (None: any).
    ``seconds``: its server does not say for how long its answers may be used; that long then.
    ``user`` and ``password`` go into variables, never into a file.
    """

    name: str
    url: str
    default: bool = False
    projects: tuple[str, ...] | None = None
    seconds: int | None = None
    credentials: tuple[str, str] | None = None


def project_file(
    question: ResolveQuestion,
    indexes: Iterable[UsedIndex],
    tied: Iterable[str],
    declared: Iterable[Package] = (),
) -> str:
    """The ``pyproject.toml``: requirements, what is assumed, indexes, the projects ``tied`` to one.

    The resolver ties what is required directly, and nothing else: so what is tied is required.
    What is ``declared`` of a package it takes for granted, and builds nothing to learn it.
    """
    named = {name_of(requirement) for requirement in question.requirements}
    more = [name for name in tied if name not in named]
    listed = list(indexes)
    lines = [
        "[project]",
        f'name = "{NAME}"',
        'version = "0"',
        f"dependencies = {json.dumps([*question.requirements, *more])}",
        "",
        "[tool.uv]",
        "package = false",
    ]
    for index in listed:
        lines += ["", *_index(index)]
    for assumed in question.assumed:
        lines += ["", "[[tool.uv.dependency-metadata]]"]
        lines += [f"name = {json.dumps(assumed.name)}", f"version = {json.dumps(assumed.version)}"]
        lines += [f"requires-dist = {json.dumps(assumed.requires)}"]
    lines += ["", "[tool.uv.sources]"]
    for index in listed:
        ours = sorted({*tied} & {*(index.projects or ())})
        lines += [f'{name} = {{ index = "{index.name}" }}' for name in ours]
    for package in declared:
        lines += ["", *_declared(package)]
    return "\n".join(lines) + "\n"


def _index(index: UsedIndex) -> Iterator[str]:
    yield "[[tool.uv.index]]"
    yield f'name = "{index.name}"'
    yield f"url = {json.dumps(index.url)}"
    if index.default:
        yield "default = true"
    if index.projects is not None:
        yield "explicit = true"
    if index.seconds is not None:
        age = f'"max-age={index.seconds}"'
        yield f"cache-control = {{ api = {age}, files = {age} }}"


def _declared(package: Package) -> Iterator[str]:
    yield "[[tool.uv.dependency-metadata]]"
    yield f"name = {json.dumps(package.name)}"
    yield f"version = {json.dumps(package.version)}"
    yield f"requires-dist = {json.dumps(package.requires)}"
    if package.requires_python:
        yield f"requires-python = {json.dumps(package.requires_python)}"


def variables(indexes: Iterable[UsedIndex]) -> dict[str, str]:
    """The variables: credentials, and, where the default index is told, none that name indexes."""
    listed = list(indexes)
    found = dict.fromkeys(INDEX_VARIABLES, "") if any(i.default for i in listed) else {}
    for index in listed:
        if index.credentials:
            prefix = f"UV_INDEX_{re.sub('[^0-9A-Z]', '_', index.name.upper())}"
            found[f"{prefix}_USERNAME"], found[f"{prefix}_PASSWORD"] = index.credentials
    return found


def arguments(question: ResolveQuestion) -> list[str]:
    """What follows the files: for which machine, as of when, from which kinds of file."""
    platform = platform_of(question.machine)
    found = ["--format", "pylock.toml", "--no-header", "--only-binary", ":all:"]
    found += ["--python-version", question.machine.python]
    found += ["--python-platform", platform] if platform else []
    for name in question.from_source:
        found += ["--no-binary", name]
    found += ["--exclude-newer", question.as_of] if question.as_of else []
    found += ["--prerelease", "allow"] if question.prereleases else []
    return found


def platform_of(machine: Machine) -> str | None:
    """``x86_64-manylinux_2_35``; None where the resolver knows no such machine."""
    glibc = resolver_glibc(machine)
    return None if glibc is None else f"{machine.architecture}-manylinux_{glibc.replace('.', '_')}"


def overrides(question: ResolveQuestion) -> str:
    """What is declared and not wanted, as requirements that never hold."""
    return "".join(f'{name}; sys_platform == "never"\n' for name in question.leave_out)


def exact_version(question: ResolveQuestion, project: str) -> str | None:
    """The one version of a project that a question allows by ``==``; None where it does not say."""
    for text in question.requirements:
        if name_of(text) == project:
            for bound in Requirement(text).specifier:
                if bound.operator in {"==", "==="} and "*" not in bound.version:
                    return bound.version
    return None


def name_of(requirement: str) -> str | None:
    """The project (a normalised name) of a requirement; None where it is none."""
    try:
        return canonicalize_name(Requirement(requirement).name)
    except InvalidRequirement:
        return None
