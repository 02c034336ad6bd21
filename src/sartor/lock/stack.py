"""A lock as the stack that `build` makes an environment of. A pure function."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.engines.facts import engine
from sartor.errors import LockFileError, NotLockableError
from sartor.plan.machine import two_numbers
from sartor.plan.model import PlannedPackage, Python, Stack

if TYPE_CHECKING:
    from sartor.engines.facts import LineFact
    from sartor.host.model import Host, Tool
    from sartor.lock.model import LockedPackage, Locking


def stack_of_lock(locking: Locking, host: Host | None = None) -> Stack:
    """The stack of a lock, with ``host``'s interpreter; None: no machine is known yet.

    Of a host without the locked Python the interpreter's path is None. Raises `NotLockableError`
    for a package that is a source, and `LockFileError` where the lock's line of releases is not
    one of this Sartor's.
    """
    line, label = _line(locking)
    tool = None if host is None else locked_python(locking, host)
    libraries = {} if host is None else host.libraries
    return Stack(
        engine=locking.engine,
        line=line.id,
        label=label,
        strategy=locking.strategy,
        version=locking.version,
        accelerator=line.accelerator,
        launcher=line.launcher,
        requirements=locking.roots,
        modules=line.modules,
        python=Python(tool.path, tool.version) if tool else Python(None, locking.host.python),
        architecture=locking.host.architecture,
        disk_mb=line.disk_mb,
        packages=[_package(one) for one in locking.packages],
        system_packages=locking.system,
        env=locking.env,
        leave_out=locking.leave_out,
        supply=[n for n in line.libraries if n in libraries and libraries[n] is None],
    )


def locked_python(locking: Locking, host: Host) -> Tool | None:
    """The host's first interpreter of the locked version."""
    wanted = locking.host.python
    return next((t for t in host.pythons if t.version and two_numbers(t.version) == wanted), None)


def _line(locking: Locking) -> tuple[LineFact, str]:
    """The line of releases that the plan chose, and its words; both are in the lock's trace."""
    first = locking.trace[0] if locking.trace else {}
    candidate = first.get("candidate", {}) if isinstance(first, dict) else {}
    name = candidate.get("line")
    for line in engine(locking.engine).line:
        if line.id == name:
            return line, str(candidate.get("label") or line.label)
    raise LockFileError(
        f"the lock's line of releases of {locking.engine}, `{name}`, is not known",
        found=[f"it was made by Sartor {locking.sartor}"],
        hint="make it anew: `sartor lock`; or use the Sartor that made it",
    )


def _package(package: LockedPackage) -> PlannedPackage:
    file = package.file
    if file is None or not file.name.endswith(".whl"):
        raise NotLockableError(
            f"{package.name} {package.version} is locked as a source, and not as a wheel",
            hint="build its wheel, put it into an index or a folder (`find-links`), and lock again",
        )
    return PlannedPackage(
        name=package.name,
        version=package.version,
        filename=file.name,
        sha256=file.sha256,
        index=package.index,
        size=file.size,
    )
