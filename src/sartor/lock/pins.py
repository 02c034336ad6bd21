"""What a project asks for against what a lock has, and what the lock itself goes beyond."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from sartor.errors import OthersFileError, ProjectConflictError
from sartor.lock.chains import chains, demands, refused_by
from sartor.verdict.requirements import LINUX, applies, parse_line, satisfied

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sartor.lock.model import HostClass, Locking


class Pin(msgspec.Struct, frozen=True):
    """A requirement (PEP 508) that a project has, and where it has it."""

    where: str
    line: str


def markers(host: HostClass) -> dict[str, str]:
    """What markers are evaluated with for a machine."""
    return {
        **LINUX,
        "platform_machine": host.architecture,
        "python_version": host.python,
        "python_full_version": f"{host.python}.0",
        "implementation_version": f"{host.python}.0",
    }


def refuse_others(name: str, found: list[str]) -> None:
    """Raise `OthersFileError` where the file ``name`` has entries of the user's, which stay."""
    if found:
        raise OthersFileError(
            f"`{name}` has entries of its own where the stack would be put",
            found=found,
            hint="`--group NAME` puts the stack elsewhere, `--force` replaces these entries; "
            "nothing was written",
        )


def refuse_conflicts(pins: Iterable[Pin], locking: Locking, name: str, group: str) -> list[str]:
    """Raise `ProjectConflictError` where a pin excludes what is locked, with how that came in.

    Returns what could not be compared: requirements that are no versions.
    """
    locked = {p.name: p for p in locking.packages}
    came = chains(locking)
    environment = markers(locking.host)
    found, unknown = [], []
    for pin in pins:
        required = parse_line(pin.line)
        if required is None:
            unknown.append(f"{pin.where}: `{pin.line}` is no requirement that can be compared")
            continue
        if applies(required, environment) is False:
            continue
        if required.name in locking.leave_out:
            found.append(f"{pin.where} has `{required.text}`, which the stack leaves out")
            continue
        if required.name not in locked:
            continue
        package = locked[required.name]
        if "@" in required.line.partition(";")[0]:
            found.append(f"{pin.where} has `{pin.line}`, and the stack {package.version}")
        elif satisfied(required, package.version) is False:
            found.append(f"{pin.where} has `{required.text}`, which {package.version} is not")
        else:
            continue
        found.append(f"  the stack has it through {' -> '.join(came[required.name])}")
    if found:
        raise ProjectConflictError(
            f"`{name}` and the stack cannot be had together",
            found=found,
            hint=f"loosen these requirements, or keep the stack in a project of its own "
            f"(`sartor lock` alone writes one for `{group}`); nothing was written",
        )
    return unknown


def overrides(locking: Locking) -> list[str]:
    """What a resolver must be told to come to the locked set.

    Declared packages that are left out, and packages whose locked version a requirement within
    the set excludes.
    """
    found = [f"{name} ; sys_platform == 'never'" for name in locking.leave_out]
    wanted = demands(locking)
    found += [
        f"{package.name}=={package.version}"
        for package in locking.packages
        if refused_by(wanted[package.name], package.version)
    ]
    return sorted(found)


def from_lists(where: str, listed: Any) -> list[Pin]:
    """The strings of a list of requirements; groups that are included are not strings."""
    lines = listed if isinstance(listed, list) else []
    return [Pin(where, line) for line in lines if isinstance(line, str)]
