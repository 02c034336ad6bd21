"""What a release names in its metadata: its torch, its kernels; and what those were built with."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec
from packaging.specifiers import SpecifierSet

from sartor.plan.case import TORCH, Companion
from sartor.plan.known import DEFAULT, ListingQuestion, MetadataQuestion, Unread
from sartor.plan.offers.releases import Same, newest
from sartor.plan.offers.tags import alike, best_wheel, obstacle
from sartor.verdict.requirements import applies, parse_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sartor.artifact.model import Package
    from sartor.index.files import IndexFile
    from sartor.plan.case import Case
    from sartor.plan.known import Known, Machine
    from sartor.verdict.requirements import Required

RUNTIME = re.compile(r"cuda-toolkit|nvidia-cuda-runtime(?:-cu\d+)?")
"""The distributions whose version is that of the CUDA runtime which a torch asks for."""
LOCAL = re.compile(r"\+cu(\d\d+)(\d)\b")
EXACT = re.compile(r"===?([^,*]+)(?!\S*\*)(?=,|$|\))")


def markers(machine: Machine, extra: str = "") -> dict[str, str]:
    """The environment of PEP 508 on a machine that runs Linux."""
    return {
        "extra": extra,
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": machine.architecture,
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": f"{machine.python}.0",
        "python_version": machine.python,
        "sys_platform": "linux",
    }


def required(package: Package, machine: Machine, extra: str | None = None) -> Iterator[Required]:
    """What a package requires on a machine, and what its extra adds."""
    for line in package.requires:
        parsed = parse_line(line)
        if parsed is None:
            continue
        asked = [""] if extra is None else ["", extra]
        if any(_applies(parsed, machine, word) for word in asked):
            yield parsed


@lru_cache(1 << 14)
def _applies(one: Required, machine: Machine, extra: str) -> bool | None:
    """Whether it is required there; releases of one project require much the same."""
    return applies(one, markers(machine, extra))


def companion_questions(case: Case) -> list[ListingQuestion]:
    """The lists in which the packages are that decide beside the release itself."""
    return [question for name in _named(case) for question in _lists(case, name)]


def _lists(case: Case, project: str) -> list[ListingQuestion]:
    """Where a project is looked for: the index that the line takes it from, then the user's own.

    The torch of a candidate that has one from a maker's index is looked for there alone.
    """
    row = case.offer.torch_index
    if row is not None and project == TORCH:
        return [ListingQuestion(row.id, project)]
    pinned = [pin.index for pin in case.line.pins if project in pin.projects]
    return [ListingQuestion(index, project) for index in (*pinned, DEFAULT)]


def _named(case: Case) -> dict[str, Required]:
    """What the release requires of the projects that decide; exact pins count before others."""
    if case.package is None:
        return {}
    wanted = {*case.line.device_code} - {case.line.distribution}
    wanted |= {TORCH} if case.line.torch_local else set()
    extra = case.line.extra_for(case.offer.version or "")
    found: dict[str, Required] = {}
    for one in required(case.package, case.machine, extra):
        if one.name in wanted and (one.name not in found or EXACT.search(one.bounds)):
            found[one.name] = one
    return found


def companions(case: Case, known: Known) -> dict[str, Companion]:
    """Each of them as far as the lists tell: the wheel that the machine would get."""
    return {name: _found(one, case, known) for name, one in _named(case).items()}


def _found(one: Required, case: Case, known: Known) -> Companion:
    local = _local(case) if one.name == TORCH else None
    plus = local if local and "+" not in one.bounds else ""
    base = Companion(project=one.name, requirement=f"{one.name}{one.bounds}{plus}")
    asked_of = [known.listings[question] for question in _lists(case, one.name)]
    there = (each for each in asked_of if each.state == "reached" and each.files)
    listing = next(there, asked_of[-1])
    if listing.state != "reached" and not listing.files:
        return msgspec.structs.replace(base, why=f"its index was {listing.state}")
    files = _meant(Same(listing.files), local)
    asked = SpecifierSet(one.bounds)
    release = newest(
        files, one.name, asked, case.request.as_of if case.line.torch_local is None else None
    )
    if release is None:
        return msgspec.structs.replace(
            base, why=f"no version of {one.name} is {one.bounds or 'there'}"
        )
    version, listed = release
    wheel = best_wheel(listed, case.machine)
    if wheel is None:
        _, wanted, found = obstacle(listed, case.machine)
        why = f"its wheels are for {wanted}; this is {found}"
        return msgspec.structs.replace(base, version=str(version), why=why)
    return msgspec.structs.replace(
        base,
        version=str(version),
        file=wheel,
        index=listing.index,
        alike=tuple(alike(listed, wheel)),
    )


def _local(case: Case) -> str | None:
    """The local version that the torch must have: ``+cpu``, ``+cu128``."""
    row = case.offer.torch_index
    if row is None or row.cuda is None:
        return case.line.torch_local
    return f"+cu{row.cuda.replace('.', '')}"


@lru_cache(64)
def _meant(same: Same, local: str | None) -> list[IndexFile]:
    """The files with the local version; none with any where a build for another accelerator that
    a folder offers is not meant."""
    if local is None:
        return [f for f in same.files if "+" not in _plus(f.name)]
    return [f for f in same.files if f"{local}-" in _plus(f.name)]


def _plus(name: str) -> str:
    return name.replace("%2B", "+").replace("%2b", "+")


def metadata_question(one: Companion) -> MetadataQuestion | None:
    """What is asked of a companion's metadata: of torch alone, for what it was built with."""
    if one.project != TORCH or one.file is None:
        return None
    return MetadataQuestion(one.index, one.file)


def with_metadata(one: Companion, answer: Package | Unread | None, machine: Machine) -> Companion:
    """The companion with its metadata, and the CUDA version that says."""
    local = LOCAL.search(_plus(one.file.name)) if one.file else None
    cuda = f"{local[1]}.{local[2]}" if local else None
    if answer is None or isinstance(answer, Unread):
        return msgspec.structs.replace(one, cuda=cuda)
    return msgspec.structs.replace(one, package=answer, cuda=cuda or runtime(answer, machine))


def runtime(package: Package, machine: Machine) -> str | None:
    """The CUDA version whose runtime a package requires: ``12.8`` of ``==12.8.90``."""
    for one in required(package, machine):
        exact = EXACT.search(one.bounds) if RUNTIME.fullmatch(one.name) else None
        if exact:
            return ".".join(exact[1].strip().split(".")[:2])
    return None
