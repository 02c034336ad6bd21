"""From what indexes list to the releases of an engine's lines, newest first."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from msgspec.structs import replace
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import parse_sdist_filename, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from sartor.facts.versions import within_versions
from sartor.plan.case import Offer
from sartor.plan.known import ListingQuestion
from sartor.plan.offers.tags import best_wheel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sartor.engines.facts import EngineFacts, LineFact
    from sartor.index.wheels import IndexFile
    from sartor.plan.known import Known, Machine
    from sartor.plan.model import Request


def question(line: LineFact) -> ListingQuestion | None:
    """What is asked of the line's index; None for a source package, which is named by its hash."""
    return ListingQuestion(line.index, line.distribution) if line.how == "wheel" else None


def offers(
    engine: EngineFacts,
    line: LineFact,
    machines: Sequence[Machine],
    asked: SpecifierSet,
    request: Request,
    known: Known,
) -> list[Offer]:
    """The releases of a line, the newest first; one without a version where nobody could say.

    Versions that ``asked`` rules out are left out; so is what was uploaded after ``as_of``, and
    pre-releases unless nightly builds are allowed or one is asked for by its version.
    """
    wanted = question(line)
    if wanted is None:
        fits = line.version is not None and asked.contains(line.version, prereleases=True)
        only = Offer(
            engine=engine, line=line, index="default", state="not asked", machine=machines[0]
        )
        return [replace(only, version=line.version)] if fits else []
    listing = known.listings[wanted]
    base = Offer(
        engine=engine,
        line=line,
        index=line.index,
        state=listing.state,
        why=listing.why,
        machine=machines[0],
        is_named=is_exact(asked),
    )
    releases = by_version(listing.files, line.distribution, request.as_of)
    meant = [v for v in releases if is_meant(v, line, asked, request)]
    if not meant:
        return [base] if listing.state != "reached" and not releases else []
    return [_release(base, v, releases[v], machines) for v in sorted(meant, reverse=True)]


def _release(
    base: Offer, version: Version, files: list[IndexFile], machines: Sequence[Machine]
) -> Offer:
    """The release with the wheel for the first of the machines that one fits."""
    fitting = ((m, best_wheel(files, m)) for m in machines)
    machine, file = next((f for f in fitting if f[1]), (machines[0], None))
    return replace(base, version=str(version), files=tuple(files), file=file, machine=machine)


def is_meant(version: Version, line: LineFact, asked: SpecifierSet, request: Request) -> bool:
    """Whether a release is one that may be planned at all."""
    if line.versions and not within_versions(line.versions, str(version)):
        return False
    named = any(s.operator in {"==", "==="} for s in asked)
    early = version.is_prerelease and not (named or "nightly" in request.allow)
    return not early and asked.contains(version, prereleases=True)


def by_version(
    files: Sequence[IndexFile], project: str, as_of: str | None
) -> Mapping[Version, list[IndexFile]]:
    """The wheels and source packages of a project by version, without what came after ``as_of``.

    A file of which the index does not say when it was uploaded is left out of the past, as uv does.
    """
    releases = _by_version(Same(files), project)
    if as_of is None:
        return releases
    early = {
        version: [f for f in listed if f.uploaded is not None and f.uploaded <= as_of]
        for version, listed in releases.items()
    }
    return {version: listed for version, listed in early.items() if listed}


class Same:
    """A list as a key of what is made of it: equal to itself alone. It must not change any more."""

    def __init__(self, files: Sequence[IndexFile]) -> None:
        self.files = files

    def __hash__(self) -> int:
        return id(self.files)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other.files is self.files


@lru_cache(64)
def _by_version(same: Same, project: str) -> Mapping[Version, list[IndexFile]]:
    found: dict[Version, list[IndexFile]] = {}
    for file in same.files:
        version = version_of(file.name, project)
        if version is not None:
            found.setdefault(version, []).append(file)
    return found


@lru_cache(1 << 14)
def version_of(filename: str, project: str) -> Version | None:
    """The version of a file of the project; None for other files."""
    try:
        if filename.endswith(".whl"):
            name, version, _, _ = parse_wheel_filename(filename)
        else:
            name, version = parse_sdist_filename(filename)
    except (ValueError, InvalidVersion):
        return None
    return version if name == project else None


def specifier(text: str) -> SpecifierSet | None:
    """A set of specifiers; None where it is none."""
    try:
        return SpecifierSet(text)
    except InvalidSpecifier:
        return None


def newest(
    files: Sequence[IndexFile], project: str, asked: SpecifierSet, as_of: str | None
) -> tuple[Version, list[IndexFile]] | None:
    """The newest version that is asked for and has a wheel, with its files; None without one.

    One that was taken back counts only where it is asked for by its version, as for pip and uv.
    """
    releases = by_version(files, project, as_of)
    meant = [
        version
        for version in releases
        if asked.contains(version, prereleases=True)
        and any(f.name.endswith(".whl") for f in releases[version])
    ]
    whole = meant if is_exact(asked) else [v for v in meant if not is_yanked(releases[v])]
    return (max(whole), releases[max(whole)]) if whole else None


def is_exact(asked: SpecifierSet) -> bool:
    """Whether one version is asked for and no other."""
    return any(s.operator in {"==", "==="} and not s.version.endswith(".*") for s in asked)


def is_yanked(files: Sequence[IndexFile]) -> bool:
    """Whether every wheel of a release was taken back."""
    return all(f.yanked is not None for f in files if f.name.endswith(".whl"))
