"""A plan written down as a lock, and a lock held against what is so now: what has to be asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor import facts
from sartor.catalog.catalog import Catalog
from sartor.index.network import as_configured
from sartor.lock.beside import bearing, held, said
from sartor.lock.changes import changes
from sartor.lock.from_plan import Beside, locking_of
from sartor.lock.host_class import host_class
from sartor.lock.model import Now, Read
from sartor.plan.closure.judge import closure
from sartor.plan.known import (
    DEFAULT,
    Known,
    ListingQuestion,
    Locked,
    Machine,
    MetadataQuestion,
    Resolution,
    Unread,
    Wanted,
)
from sartor.plan.machine import architecture, glibc, two_numbers
from sartor.verdict.requirements import parse_line
from sartor.verdict.targets import targets_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sartor.artifact.model import Evidence, Package
    from sartor.host.model import Host
    from sartor.index.wheels import IndexFile
    from sartor.lock.model import LockChanges, LockedPackage, Locking
    from sartor.paths import Places
    from sartor.plan.closure.judge import Closure
    from sartor.plan.planned import Planned
    from sartor.reporter import Reporter


def lock_of_plan(
    planned: Planned, host: Host, places: Places, reporter: Reporter, *, refresh: bool = False
) -> Locking:
    """The lock of what was planned for ``host``; `NotLockableError` where there are no files."""
    bare = locking_of(planned, host, Beside())
    plan, files = planned.plan, planned.resolution.packages if planned.resolution else []
    as_configured()
    own = Catalog(places, reporter, extra_indexes=plan.request.indexes, refresh=refresh)
    with own as catalog:
        declared = _declared(catalog, files, reporter)
        evidence = _read(catalog, files)
        indexes = {DEFAULT, *(one.index for one in files), *(i.alias for i in plan.indexes)}
        addresses = {index: catalog.address(index) for index in sorted(indexes)}
    beside = Beside(
        addresses=addresses,
        requires=held(declared, bare.roots, bare.host),
        evidence=_marks(evidence),
        facts=bearing(
            facts.digests(),
            [bare.engine] if plan.request.engines else [],
            {one.name for one in files},
        ),
    )
    return locking_of(planned, host, beside)


def changes_since(
    locked: Locking, host: Host, places: Places, reporter: Reporter, *, refresh: bool = False
) -> LockChanges:
    """What is not as it was when the lock was made: of ``host``, the indexes, evidence, facts."""
    as_configured()
    machine = _machine(locked, host)
    urls = {index.alias: index.url for index in locked.indexes}
    files = [one for p in locked.packages if (one := _file(p, urls)) is not None]
    asked = {(p.index, p.name): _listing(p, urls) for p in locked.packages if p.file}
    given = {question.index for question in asked.values() if "://" in question.index}
    with Catalog(places, reporter, extra_indexes=given, refresh=refresh) as catalog:
        known = catalog.answer(Wanted(listings=tuple(asked.values())), Known())
        declared = _declared(catalog, files, reporter)
        evidence = _read(catalog, files)
    judged = _judged(locked, files, evidence, declared, host, machine)
    listings: dict[tuple[str, str], list[IndexFile] | str] = {}
    for key, question in asked.items():
        answer = known.listings[question]
        reached = answer.state == "reached"
        listings[key] = answer.files if reached else answer.why or answer.state
    now = Now(
        host=host_class(host, machine),
        listings=listings,
        evidence=_marks(evidence),
        facts=facts.digests(),
        system=judged.system_packages,
        env=judged.env,
    )
    return changes(locked, now)


def foretold(locked: Locking, host: Host, places: Places, reporter: Reporter) -> Closure:
    """What the locked files will be on ``host``, by all that is known of them now."""
    urls = {index.alias: index.url for index in locked.indexes}
    files = [one for p in locked.packages if (one := _file(p, urls)) is not None]
    with Catalog(places, reporter) as catalog:
        declared = _declared(catalog, files, reporter)
        evidence = _read(catalog, files)
    return _judged(locked, files, evidence, declared, host, _machine(locked, host))


def _declared(catalog: Catalog, files: Iterable[Locked], reporter: Reporter) -> dict[str, Package]:
    """What the files declare, by project; of those that cannot be read it is said why."""
    asked = {one.name: MetadataQuestion(one.index, one.file) for one in files}
    known = catalog.answer(Wanted(metadata=tuple(asked.values())), Known())
    found = {}
    for name, question in sorted(asked.items()):
        answer = known.metadata[question]
        if isinstance(answer, Unread):
            reporter.warn(f"what {name} requires is not known: {answer.why}")
        else:
            found[name] = answer
    return found


def _read(catalog: Catalog, files: Iterable[Locked]) -> dict[str, tuple[Read, Evidence]]:
    """What was read of the files, by sha256."""
    found = {}
    for one in files:
        known = catalog.reading(one.file.sha256) if one.file.sha256 else None
        if known is not None and one.file.sha256:
            row, evidence = known
            mark = Read(reader=row.reader, digest=said(evidence), read_at=row.read_at)
            found[one.file.sha256] = mark, evidence
    return found


def _marks(read: Mapping[str, tuple[Read, Evidence]]) -> dict[str, Read]:
    return {sha256: mark for sha256, (mark, _) in read.items()}


def _judged(
    locked: Locking,
    files: list[Locked],
    evidence: Mapping[str, tuple[Read, Evidence]],
    declared: Mapping[str, Package],
    host: Host,
    machine: Machine,
) -> Closure:
    """What the locked files are on the machine as it is now."""
    roots = [required.name for line in locked.roots if (required := parse_line(line))]
    return closure(
        Resolution(files, ""),
        {sha256: read for sha256, (_, read) in evidence.items()},
        declared,
        host,
        machine,
        targets_of(host),
        roots,
        left_out=locked.leave_out,
    )


def _machine(locked: Locking, host: Host) -> Machine:
    """The machine as it is now, with the locked Python; where it has others alone, its newest."""
    versions = {two_numbers(str(tool.version)) for tool in host.pythons if tool.version}
    python = locked.host.python
    if versions and python not in versions:
        python = max(versions, key=lambda v: [int(n) for n in v.split(".")])
    return Machine(architecture(host), glibc(host), python)


def _listing(package: LockedPackage, urls: Mapping[str, str | None]) -> ListingQuestion:
    return ListingQuestion(_index(package.index, urls), package.name)


def _file(package: LockedPackage, urls: Mapping[str, str | None]) -> Locked | None:
    if package.file is None:
        return None
    return Locked(package.name, package.version, package.file, _index(package.index, urls))


def _index(alias: str, urls: Mapping[str, str | None]) -> str:
    """An index as the catalog is asked for it: one that was given, by its address."""
    known = {row.id for row in facts.indexes()} | {DEFAULT}
    return alias if alias in known else urls.get(alias) or alias
