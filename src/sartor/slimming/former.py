"""What was slimmed in an environment before, by its wheels and in its place: what is gone is gone.

A GPU that was not among those cannot be asked for, unless the originals are kept.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from sartor.errors import NotSlimmableError
from sartor.slim.environment.slimmed import FOLDER
from sartor.slim.former import lost, told
from sartor.verify.resolves.slimmed import slimmed_wheel

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from sartor.slim.choice import Wanted
    from sartor.slim.environment.slimmed import Changed
    from sartor.slimming.files import Package


def lost_of(file: Changed, wanted: Wanted) -> str | None:
    """As `sartor.slim.former.lost`, of a library that was slimmed in its place."""
    was = file.wanted
    return lost(was.gpus, wanted, keep_ptx=was.keep_ptx) if was is not None else None


def reinstall(python: Path, project: str, version: str) -> str:
    """The command that installs a package anew."""
    pin = f"{project}=={version}"
    words = ["uv", "pip", "install", "--python", str(python), "--reinstall", "--no-deps", pin]
    return f"`{shlex.join(words)}`"


def check_former(
    root: Path,
    python: Path,
    packages: Iterable[Package],
    before: Mapping[str, Changed],
    wanted: Wanted,
) -> None:
    """Raise `NotSlimmableError` where code is gone that a GPU which is wanted would load.

    ``before`` are the files that were slimmed in their place, by their paths below ``root``.
    """
    packages = list(packages)
    faults = [*_of_wheels(packages, wanted), *_in_place(root, python, before.values(), wanted)]
    if not faults:
        return
    lines = list(dict.fromkeys(line for line, _ in faults))
    hints = list(dict.fromkeys(hint for _, hint in faults))
    raise NotSlimmableError(
        lines[0] if len(lines) == 1 else f"what is wanted is gone in {len(lines)} packages",
        found=lines if len(lines) > 1 else [],
        hint="; ".join(hints),
    )


def _of_wheels(packages: Iterable[Package], wanted: Wanted) -> Iterator[tuple[str, str]]:
    for package in packages:
        wheel = slimmed_wheel(package.dist) if package.why is None else None
        what = lost(wheel.gpus, wanted, keep_ptx=wheel.keep_ptx) if wheel is not None else None
        if wheel is not None and what is not None:
            source = f"`{wheel.source.name}`, sha256 {wheel.source.sha256}"
            line = told(package.dist.name, wheel.gpus, what)
            yield line, f"install its source, and slim that: {source}"


def _in_place(
    root: Path, python: Path, files: Iterable[Changed], wanted: Wanted
) -> Iterator[tuple[str, str]]:
    for one in files:
        if one.kept is not None and (root / FOLDER / "kept" / one.kept).is_file():
            continue
        what = lost_of(one, wanted)
        if one.wanted is not None and what is not None:
            yield (
                told(one.project, one.wanted.gpus, what),
                f"install it anew first: {reinstall(python, one.project, one.version)}",
            )
