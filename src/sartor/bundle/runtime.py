"""What Sartor needs to run on a target: the wheels of its pinned requirements for that machine."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec
from packaging.requirements import InvalidRequirement, Requirement

from sartor import facts
from sartor.catalog.catalog import Catalog
from sartor.catalog.choice import of_version
from sartor.errors import NotBundlableError, from_document
from sartor.lock.model import DEFAULT
from sartor.lock.pins import markers
from sartor.plan.known import Known, Listing, ListingQuestion, Machine, Wanted
from sartor.plan.offers.tags import best_wheel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sartor.engines.facts import LineFact
    from sartor.index.files import IndexFile
    from sartor.lock.model import HostClass
    from sartor.paths import Places
    from sartor.reporter import Reporter

HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


class Pinned(msgspec.Struct, frozen=True):
    """One version of a project, and the sha256 of every file of it that may be taken."""

    name: str
    version: str
    hashes: frozenset[str] = frozenset()


def pinned(text: str, host: HostClass) -> list[Pinned]:
    """The requirements of a file with hashes (`uv pip compile`) that hold on a machine."""
    environment = markers(host)
    found = []
    for entry in text.replace("\\\n", " ").splitlines():
        line = entry.split(" --hash", 1)[0].strip()
        if not line or line.startswith("#"):
            continue
        required = Requirement(line)
        if required.marker is None or required.marker.evaluate(dict(environment)):
            (version,) = required.specifier
            found.append(Pinned(required.name, version.version, frozenset(HASH.findall(entry))))
    return found


def supplies(line: LineFact) -> list[Pinned]:
    """The wheels that a system library which a target lacks may be taken from."""
    wheels = {r.wheel for r in facts.libraries() if r.soname in line.libraries and r.wheel}
    found = []
    for text in sorted(wheels):
        try:
            required = Requirement(text)
            (version,) = required.specifier
        except (InvalidRequirement, ValueError):
            continue
        found.append(Pinned(required.name, version.version))
    return found


def wheels_for(
    wanted: Iterable[Pinned], host: HostClass, places: Places, reporter: Reporter
) -> dict[Pinned, IndexFile]:
    """The wheel of each that the machine takes, from the user's own index.

    Raises `NotBundlableError` where there is none, and what was met where an index said nothing.
    """
    machine = Machine(host.architecture, host.glibc, host.python)
    asked = {one: ListingQuestion(DEFAULT, one.name) for one in wanted}
    with Catalog(places, reporter) as catalog:
        known = catalog.answer(Wanted(listings=tuple(asked.values())), Known())
    refuse_unreached([known.listings[question] for question in asked.values()])
    found, faults = {}, []
    for one, question in asked.items():
        listing = known.listings[question]
        files = of_version(listing.files, one.name, one.version)
        same = [f for f in files if not one.hashes or f.sha256 in one.hashes]
        best = best_wheel(same, machine)
        if best is None or best.sha256 is None:
            why = listing.why or f"no wheel of it is for Python {host.python} on such a machine"
            faults.append(f"{one.name} {one.version}: {why}")
        else:
            found[one] = best
    if faults:
        raise NotBundlableError(
            "what goes with the stack is not to be had for the target",
            found=faults,
            hint="check the index in your pip or uv configuration, and the lock's Python and glibc",
        )
    return found


def refuse_unreached(listings: Iterable[Listing]) -> None:
    """Raise what was met first, of an index that did not answer and of which nothing is kept."""
    for one in listings:
        if one.error is not None and not one.files:
            raise from_document(one.error)
