"""Wheels of projects and addresses, fetched whole, so that they can be slimmed."""

from __future__ import annotations

import platform as machine
import sys
from contextlib import closing
from typing import TYPE_CHECKING

from sartor.errors import NoSuchTargetError, NotSlimmableError, UsageError
from sartor.host.stated import ARCHITECTURES
from sartor.index.wheels import NAME_ANOTHER, Fits
from sartor.remote.fetch import fetch_all
from sartor.remote.targets import Keeping, Remotes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from packaging.requirements import Requirement

    from sartor.index.files import IndexFile
    from sartor.paths import Places
    from sartor.reporter import Reporter


def meant_wheels(
    target: Requirement | str,
    python: str | None,
    platform: str | None,
    places: Places,
    reporter: Reporter,
) -> list[IndexFile]:
    """The wheels of a project's version, or at an address: for one Python and one processor.

    ``python`` (``3.12``) is that which runs Sartor where none is named, ``platform``
    (``linux/arm64``) this machine's. Raises what `sartor.remote.targets.Remotes.choose` raises, and
    `NotSlimmableError` where the index states no sha256.
    """
    fits = Fits(_architecture(platform), None, python or _this_python())
    keeping = Keeping(listings=places.listings)
    with closing(Remotes(reporter, keeping=keeping)) as remotes:
        try:
            chosen = remotes.choose(target, fits)
        except NoSuchTargetError as error:
            if error.hint == NAME_ANOTHER:
                error.hint = NAME_ANOTHER.replace("--host", "--platform")
            raise
    for file in chosen.wheels:
        if file.sha256 is None:
            raise NotSlimmableError(
                f"nobody states the sha256 of `{file.name}`, so what comes cannot be checked",
                hint="download it and name the file, or end its address in `#sha256=...`",
            )
    return chosen.wheels


def fetched(files: Sequence[IndexFile], places: Places, reporter: Reporter) -> list[Path]:
    """The wheels as files in Sartor's cache, in their order; raises what `fetch_all` raises."""
    paths = fetch_all(files, places, reporter)
    return [paths[file.sha256] for file in files if file.sha256 is not None]


def _this_python() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _architecture(platform: str | None) -> str:
    """The processor of a platform (``linux/arm64``, ``aarch64``); raises `UsageError`."""
    if platform is None:
        return machine.machine()
    found = ARCHITECTURES.get(platform.rpartition("/")[2].lower())
    if found is None:
        raise UsageError(
            f"`{platform}` is no platform that there are wheels for",
            hint="write it as `linux/amd64` or `linux/arm64`",
        )
    return found
