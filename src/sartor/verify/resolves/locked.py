"""What is installed, held against a lock: the versions, and whether it is the very files."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

from sartor.facts.packages import normalized
from sartor.verify.model import Failed, NotChecked, Outcome, Passed
from sartor.verify.resolves.slimmed import slimmed_wheel, slimming_of
from sartor.verify.subject.remedies import install

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sartor.lock.model import LockedPackage, Locking
    from sartor.verify.subject.installed import Distribution
    from sartor.verify.subject.model import Subject


def lock_outcomes(
    subject: Subject, locking: Locking, distributions: list[Distribution]
) -> Iterator[Outcome]:
    """One for each locked package, one for its file, and one for what the lock does not have."""
    first: dict[str, Distribution] = {}
    for dist in distributions:
        first.setdefault(dist.name, dist)
    hashes = _hashes(subject.pylock)
    for package in locking.packages:
        there = first.get(package.name)
        yield _version(subject, package, there)
        if there is not None and there.version == package.version:
            yield _file(package, there, hashes, slimming_of(subject, there))
    yield _host(subject, locking)
    others = sorted(set(first) - {package.name for package in locking.packages})
    yield Passed(
        check="what is installed beside the lock",
        grade="resolves",
        detail=", ".join(others) or "nothing",
    )


def _version(subject: Subject, package: LockedPackage, there: Distribution | None) -> Outcome:
    check = f"{package.name} is installed as locked"
    if there is not None and there.version == package.version:
        return Passed(check=check, grade="resolves", package=package.name, detail=package.version)
    now = "it is not installed" if there is None else f"{there.version} is installed"
    return Failed(
        check=check,
        grade="resolves",
        package=package.name,
        detail=f"{package.name} {package.version} is locked: {now}",
        hint=install(subject, f"{package.name}=={package.version}"),
    )


def _file(
    package: LockedPackage,
    there: Distribution,
    hashes: dict[str, set[str]],
    slimming: str | None,
) -> Outcome:
    """Whether the very file that is locked was installed: by whoever saw its hash then.

    ``slimming``: what was done to it since.
    """
    check = f"{package.name} is of the locked file"
    file = package.file
    if file is None or file.sha256 is None:
        why = "it is built from source: the lock has no file of it"
        return NotChecked(check=check, grade="resolves", package=package.name, why=why)
    if file.sha256 in hashes.get(package.name, set()) and there.installer == "uv":
        detail = f"uv installed {file.name} by its sha256 {file.sha256}"
        detail += f"; since then {slimming}" if slimming else ""
        return Passed(check=check, grade="resolves", package=package.name, detail=detail)
    wheel = slimmed_wheel(there)
    of_it = wheel is not None and wheel.source.sha256 == file.sha256
    if wheel is not None and of_it and hashes.get(package.name) and there.installer == "uv":
        detail = f"uv installed by its sha256 what Sartor made of {file.name}: {slimming}"
        return Passed(check=check, grade="resolves", package=package.name, detail=detail)
    return NotChecked(
        check=check,
        grade="resolves",
        package=package.name,
        why=f"its version is that of {file.name}; of which file it was installed nothing says",
        hint="install from the lock, which has the hashes: `uv pip sync pylock.toml`, or "
        "`sartor up`",
    )


def _host(subject: Subject, locking: Locking) -> Outcome:
    """The Python and the architecture that the lock is for."""
    check, host = "the lock is for this Python and machine", locking.host
    python, machine = subject.markers["python_version"], subject.markers["platform_machine"]
    here, wanted = f"Python {python}, {machine}", f"Python {host.python}, {host.architecture}"
    if here == wanted:
        return Passed(check=check, grade="resolves", detail=here)
    return Failed(
        check=check,
        grade="resolves",
        detail=f"the lock is for {wanted}; this is {here}",
        hint="make a lock for it (`sartor lock`), or an environment with the locked Python",
    )


def _hashes(pylock: Path | None) -> dict[str, set[str]]:
    """The sha256 of the files of each project in a ``pylock.toml`` (PEP 751)."""
    try:
        document: dict[str, Any] = tomllib.loads(pylock.read_text("utf-8")) if pylock else {}
    except (OSError, ValueError):
        return {}
    found: dict[str, set[str]] = {}
    for package in document.get("packages", []):
        files = [*package.get("wheels", []), package.get("archive"), package.get("sdist")]
        told = {f["hashes"]["sha256"] for f in files if f and "sha256" in f.get("hashes", {})}
        found[normalized(str(package.get("name", "")))] = told
    return found
