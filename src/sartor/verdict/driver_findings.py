"""Findings about the drivers of the GPUs that were asked about."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from sartor.verdict.case import SHOWN
from sartor.verdict.model import Finding
from sartor.verdict.unit import driver_too_old as too_old

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sartor.artifact.model import Library
    from sartor.verdict.case import Case


def driver_too_old(case: Case) -> Iterator[Finding]:
    """A driver that was asked about does not start libraries made for a newer CUDA: nothing in them
    runs with it, whatever device code they hold.
    """
    for target in {(t.driver, t.driver_cuda): t for t in case.targets}.values():
        refused: dict[str, list[Library]] = {}
        for library in case.evidence.libraries:
            why = too_old(library, target) if library.units else None
            if why and case.alternatives(library) is None:
                refused.setdefault(why, []).append(library)
        for why, libraries in refused.items():
            names = [f"`{posixpath.basename(library.path)}`" for library in libraries]
            more = [f"{len(names) - SHOWN} more"] if len(names) > SHOWN else []
            yield Finding(
                code="driver-too-old",
                severity="error",
                text=(
                    f"Driver {target.driver or 'that was stated'} does not start"
                    f" {', '.join(names[:SHOWN] + more)}: {why}. Whatever they hold, nothing of"
                    " it runs: update the driver, or take a build for its CUDA."
                ),
                path=libraries[0].path,
            )
