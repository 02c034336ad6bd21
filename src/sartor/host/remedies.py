"""The words that mend a machine: what to install, in its own distribution's words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor import facts

if TYPE_CHECKING:
    from sartor.facts import DistributionFact
    from sartor.host.model import Host


def distribution(host: Host) -> DistributionFact:
    """The distribution of the host, or the one it follows; Debian where it is not known."""
    name = (host.system.distribution or "").split(" ", 1)[0].lower()
    rows = facts.distributions()
    return next((row for row in rows if name in {row.id, *row.like}), rows[0])


def install_libraries(sonames: list[str], host: Host) -> str:
    """The command that installs the packages of these libraries."""
    row = distribution(host)
    known = {library.soname: library.packages for library in facts.libraries()}
    names = [known.get(soname, {}).get(row.id, soname) for soname in sonames]
    return f"as root: `{row.install} {' '.join(names)}`"


def install_compilers(host: Host) -> str:
    """The command that installs a C and C++ compiler."""
    row = distribution(host)
    return f"install a C and C++ compiler, as root: `{row.install} {row.compilers}`"
