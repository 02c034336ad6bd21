"""A plan as a lock: what is in the plan already, and what its maker knows beside it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec

from sartor import __version__
from sartor.errors import NotLockableError
from sartor.lock.canonical import plain
from sartor.lock.host_class import host_class
from sartor.lock.model import DEFAULT, LockedIndex, LockedPackage, Locking, Read, Sha256
from sartor.plan.known import Machine
from sartor.plan.machine import glibc
from sartor.plan.model import Candidate

if TYPE_CHECKING:
    from sartor.host.model import Host
    from sartor.plan.decision import Decision
    from sartor.plan.model import Plan, Stack, Tried
    from sartor.plan.planned import Planned

OF_THE_MOMENT = {"index", "interpreter", "disk", "memory"}
"""Rules that found something of this very machine and moment: free room, a folder, an answer."""


class Beside(msgspec.Struct, frozen=True, kw_only=True):
    """What a lock has and a plan has not.

    ``addresses`` are those of the indexes by their names, ``requires`` each package's requirements
    that hold on the machine, ``evidence`` what was read by the sha256 of the file, ``facts`` the
    digests of what rules went by (`sartor.facts.digests`).
    """

    addresses: dict[str, str | None] = {}
    requires: dict[str, list[str]] = {}
    evidence: dict[str, Read] = {}
    facts: dict[str, Sha256] = {}


def locking_of(planned: Planned, host: Host, beside: Beside) -> Locking:
    """The lock of a plan for ``host``; `NotLockableError` where nothing was chosen or resolved."""
    plan, resolution = planned.plan, planned.resolution
    stack = plan.stack
    if stack is None or resolution is None:
        raise NotLockableError(
            "there is no set of files to lock",
            found=[f"the plan is `{plan.status}`" if stack is None else "nothing was resolved"],
            hint="`sartor plan --explain` says what stands against it; what is built from source "
            "is locked once it is built",
        )
    packages = [
        LockedPackage(
            name=one.name,
            version=one.version,
            index=alias(one.index),
            file=one.file,
            requires=beside.requires.get(one.name, []),
            evidence=beside.evidence.get(one.file.sha256 or ""),
        )
        for one in resolution.packages
    ]
    return Locking(
        host=host_class(host, _machine(stack, host)),
        engine=stack.engine,
        version=stack.version,
        strategy=stack.strategy,
        roots=stack.requirements,
        packages=packages,
        sartor=__version__,
        indexes=_indexes(plan, {one.index for one in resolution.packages}, beside),
        leave_out=stack.leave_out,
        system=stack.system_packages,
        env=stack.env,
        facts=beside.facts,
        trace=trace(plan),
        as_of=plan.request.as_of,
    )


def alias(index: str) -> str:
    """An index's name in a lock: its own, or one made of the address that it was given by."""
    if "://" not in index:
        return index
    return f"index-{hashlib.sha256(plain(index).encode()).hexdigest()[:8]}"


def trace(plan: Plan) -> list[Any]:
    """Every decision about what was chosen, and of each other the first that stands against it."""
    chosen = [] if plan.chosen is None else [_chosen(plan.chosen)]
    return [*chosen, *map(_rejected, plan.rejected)]


def _chosen(tried: Tried) -> dict[str, Any]:
    return {
        "candidate": _stated(tried.candidate),
        "decisions": [_decision(d, set()) for d in tried.decisions],
    }


def _rejected(tried: Tried) -> dict[str, Any]:
    one = tried.candidate
    short = Candidate(engine=one.engine, line=one.line, label="", version=one.version)
    if one.strategy != short.strategy:
        short = msgspec.structs.replace(short, strategy=one.strategy, index=one.index)
    return {
        "candidate": {k: v for k, v in _stated(short).items() if v},
        "decisions": [_decision(d, {"evidence", "hint"}) for d in tried.rejections[:1]],
    }


def _decision(decision: Decision, gone: set[str]) -> dict[str, Any]:
    """A decision without what holds of one machine at one moment, and without what is ``gone``."""
    gone = gone | (
        {"found", "why", "hint", "evidence"} if decision.rule in OF_THE_MOMENT else set()
    )
    return {k: v for k, v in _stated(decision).items() if k not in gone}


def _stated(value: Candidate | Decision) -> dict[str, Any]:
    """Its entries that say something."""
    return {k: v for k, v in msgspec.to_builtins(value).items() if v is not None}


def _machine(stack: Stack, host: Host) -> Machine:
    architecture = stack.architecture or host.architecture
    if architecture is None or stack.python.version is None:
        raise NotLockableError(
            "it is not known what machine the files are for",
            hint="name the processor (`--host`) and the Python (`--python`)",
        )
    return Machine(architecture, glibc(host), stack.python.version)


def _indexes(plan: Plan, used: set[str], beside: Beside) -> list[LockedIndex]:
    """Each index that was asked, or that a package is from, once; the user's own without fail."""
    states = {report.alias: report.state for report in plan.indexes}
    return [
        LockedIndex(
            alias=alias(name),
            url=beside.addresses.get(name, name if "://" in name else None),
            state=states.get(name, "reached" if name in used else "not asked"),
        )
        for name in sorted({*states, *used, DEFAULT})
    ]
