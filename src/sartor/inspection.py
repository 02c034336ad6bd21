"""`sartor inspect`: targets are opened, judged, and come back as inspections."""

from __future__ import annotations

import platform
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sartor.errors import NoSuchTargetError
from sartor.host.model import Host
from sartor.paths import Places
from sartor.verdict.model import Inspection, Target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sartor.artifact.model import Evidence, NotRead
    from sartor.artifact.reading import Names
    from sartor.reporter import Reporter
    from sartor.verdict.case import Lookup
    from sartor.verdict.model import Finding


class InspectRequest(msgspec.Struct, frozen=True):
    """What `sartor inspect` was asked for. ``kernels``: whether every kernel's name is.

    ``host`` is the machine that the targets are for, where one is known as a whole. ``platform``
    chooses among the images of an index (``linux/arm64``). ``places`` say where the evidence store
    is that is asked first and kept up; None: neither (``--no-store``).
    """

    targets: list[str]
    gpus: list[Target]
    host: Host | None = None
    kernels: bool = False
    platform: str | None = None
    places: Places | None = None


def inspect(request: InspectRequest, reporter: Reporter) -> list[Inspection]:
    """One inspection for each target, in their order.

    Raises what `sartor.artifact.reading.read_evidence` raises, at the first target that cannot be
    read at all, and `NoSuchTargetError` for an empty name.
    """
    from sartor.evidence.reading import evidence_of
    from sartor.evidence.shelf import Shelf
    from sartor.verdict.inspection import judge

    def names(path: str) -> Names:
        from sartor.verdict.dispatch import wants_names

        if request.kernels:
            return "all"
        return "one" if request.gpus and wants_names(path) else "none"

    found = []
    with Shelf.of(request.places, reporter) as shelf:
        for text in request.targets:
            if not text:  # `Path("")` would be this folder
                raise NoSuchTargetError(
                    "a target is an empty word",
                    hint="a variable of the shell that is not set? This folder is `.`",
                )
            reporter.detail(f"reading {text}")
            evidence = evidence_of(Path(text), names, shelf, platform=request.platform)
            wrong, not_checked = examine(evidence, request.host, request.gpus)
            found.append(judge(evidence, request.gpus, wrong, not_checked, kernels=request.kernels))
    return found


def examine(
    evidence: Evidence, host: Host | None, gpus: Sequence[Target] = ()
) -> tuple[list[Finding], list[NotRead]]:
    """What is wrong with a target; the symbols of an environment are asked of its files.

    An environment is taken to be for this machine where no other is described.
    """
    from sartor.artifact.defined import symbol_tables
    from sartor.verdict.case import Case, symbols_wanted
    from sartor.verdict.findings import findings

    if evidence.kind != "environment":
        return findings(Case(evidence, host, gpus=gpus))
    root = Path(evidence.target)
    with symbol_tables(root, symbols_wanted(evidence.libraries)) as symbols:
        here = host is None or not host.described
        case = Case(evidence, host, symbols=symbols, gpus=gpus)
        return findings(replace(case, find_library=_on_this_machine) if here else case)


def _on_this_machine(soname: str) -> Lookup:
    """Whether the dynamic loader of this machine finds a library."""
    from sartor.host.loader import find_library

    return "found" if find_library(soname, platform.machine()) else "missing"
