"""`sartor inspect`: targets are opened, judged, and come back as inspections."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from sartor.host.model import Host
from sartor.verdict.model import Inspection, Target

if TYPE_CHECKING:
    from sartor.artifact.reading import Names
    from sartor.reporter import Reporter


class InspectRequest(msgspec.Struct, frozen=True):
    """What `sartor inspect` was asked for. ``kernels``: whether every kernel's name is.

    ``host`` is the machine that the targets are for, where one is known as a whole. ``platform``
    chooses among the images of an index (``linux/arm64``).
    """

    targets: list[str]
    gpus: list[Target]
    host: Host | None = None
    kernels: bool = False
    platform: str | None = None


def inspect(request: InspectRequest, reporter: Reporter) -> list[Inspection]:
    """One inspection for each target, in their order.

    Raises what `sartor.artifact.reading.read_evidence` raises, at the first target that cannot be
    read at all.
    """
    from sartor.artifact.reading import read_evidence
    from sartor.verdict.inspection import judge

    def names(path: str) -> Names:
        from sartor.verdict.dispatch import wants_names

        if request.kernels:
            return "all"
        return "one" if request.gpus and wants_names(path) else "none"

    found = []
    for text in request.targets:
        reporter.detail(f"reading {text}")
        evidence = read_evidence(Path(text), names, platform=request.platform)
        found.append(judge(evidence, request.gpus, kernels=request.kernels))
    return found
