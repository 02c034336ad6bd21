"""Real resolutions (`tests/data/resolutions`), and what the shipped snapshot knows of their wheels.

The files are made by `tools/make_resolutions.py` and hold no address.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sartor.evidence.snapshot import open_snapshot
from sartor.host.describe import parse_host
from sartor.index.wheels import IndexFile
from sartor.plan.closure.judge import Closure, closure
from sartor.plan.known import DEFAULT, Locked, Machine, Parts, Resolution
from sartor.verdict.targets import targets_of

if TYPE_CHECKING:
    from sartor.artifact.model import Evidence
    from sartor.host.model import Host
    from sartor.verdict.model import Target

FOLDER = Path(__file__).parent / "data" / "resolutions"


class Case(NamedTuple):
    """One resolution for one machine, with the evidence that is kept of it."""

    resolution: Resolution
    machine: Machine
    evidence: dict[str, Evidence | None]


@cache
def case(name: str) -> Case:
    """The resolution of that name."""
    document = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    packages = [
        Locked(
            name=row["name"],
            version=row["version"],
            file=IndexFile(row["file"], "", row["size"], row["sha256"], uploaded=row["uploaded"]),
            index=DEFAULT,
        )
        for row in document["packages"]
    ]
    snapshot = open_snapshot()
    assert snapshot is not None
    with snapshot:
        rows = {p.file.sha256 or "": snapshot.get(p.file.sha256 or "") for p in packages}
    evidence = {sha256: row.evidence() if row else None for sha256, row in rows.items()}
    return Case(Resolution(packages, ""), Machine(**document["machine"]), evidence)


def judged(
    name: str,
    host: str | Host,
    *,
    roots: list[str] | None = None,
    targets: list[Target] | None = None,
    parts: dict[str, Parts] | None = None,
    left_out: tuple[str, ...] = (),
) -> Closure:
    """The closure of that resolution on a host, which may be a description."""
    there = parse_host(host) if isinstance(host, str) else host
    one = case(name)
    return closure(
        one.resolution,
        one.evidence,
        {},
        there,
        one.machine,
        targets_of(there) if targets is None else targets,
        roots or [name.partition("-")[0]],
        parts=parts,
        left_out=left_out,
    )
