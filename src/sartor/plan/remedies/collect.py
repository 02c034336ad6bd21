"""Changes of the host that would unlock candidates: where the machine is the cause, not a package.

Pure: from the machine and what was tried to `Remedy`s, those first that unlock most.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.version import Version

from sartor import facts
from sartor.facts import remedies as known
from sartor.host.remedies import distribution, install_compilers, install_libraries
from sartor.plan.gpu_driver import toolkits_for
from sartor.plan.outcome import Remedy
from sartor.plan.remedies.driver import driver_remedies
from sartor.plan.remedies.gpu import gpu_remedies
from sartor.plan.tried import (
    COMPILER_RULES,
    DISK_RULES,
    GLIBC_RULES,
    LIBRARY_RULES,
    PYTHON_RULES,
    Tried,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sartor.host.model import Host

__all__ = ["remedies"]


def remedies(host: Host, tried: Sequence[Tried]) -> list[Remedy]:
    """What would have to be changed on the machine, and what each change unlocks.

    ``unlocks`` names the candidates that nothing else is against; a remedy that unlocks none is
    left out, but for those without which no GPU is driven at all.
    """
    found = [
        *gpu_remedies(host, tried),
        *driver_remedies(host, tried),
        *_glibc(host, tried),
        *_python(tried),
        *_libraries(host, tried),
        *_compilers(host, tried),
        *_disk(host, tried),
    ]
    return sorted(found, key=lambda remedy: -len(remedy.unlocks))


def _blocked(tried: Sequence[Tried], rules: frozenset[str]) -> list[Tried]:
    return [t for t in tried if t.blocked_by(rules)]


def _glibc(host: Host, tried: Sequence[Tried]) -> Iterator[Remedy]:
    """A newer distribution; an image has its own C library."""
    blocked = [t for t in _blocked(tried, GLIBC_RULES) if t.wants.glibc]
    if not blocked:
        return
    least = min((str(t.wants.glibc) for t in blocked), key=Version)
    rows = [row for row in known.glibcs() if Version(row.glibc) >= Version(least)]
    names = ", ".join(f"{row.distribution} ({row.glibc})" for row in rows)
    yield Remedy(
        kind="glibc",
        what=f"a distribution with glibc {least} or newer, or a container image, which has its own",
        unlocks=[t.name for t in blocked if t.wants.glibc == least],
        because=f"this machine has glibc {host.glibc}; {names or 'no distribution is known'}",
        evidence="; ".join(dict.fromkeys(row.source for row in rows)) or "the wheel's tag",
    )


def _python(tried: Sequence[Tried]) -> Iterator[Remedy]:
    """An interpreter that most of the candidates take."""
    blocked = [t for t in _blocked(tried, PYTHON_RULES) if t.wants.python]
    row = known.python()
    best: list[Tried] = []
    version = ""
    for preferred in row.preferred:
        taken = [t for t in blocked if t.takes_python(preferred)]
        if len(taken) > len(best):
            best, version = taken, preferred
    if best:
        yield Remedy(
            kind="python",
            what=f"Python {version}",
            unlocks=[t.name for t in best],
            because=f"{best[0].name} takes Python {best[0].wants.python}",
            commands=[row.command.format(python=version)],
            evidence=row.source,
        )


def _libraries(host: Host, tried: Sequence[Tried]) -> Iterator[Remedy]:
    blocked = _blocked(tried, LIBRARY_RULES)
    needed = {name for t in blocked for name in t.wants.libraries}
    missing = sorted(name for name in needed if host.libraries.get(name, "") is None)
    if not missing:
        return
    sources = [row.source for row in facts.libraries() if row.soname in missing]
    yield Remedy(
        kind="system-library",
        what=f"the system's {', '.join(missing)}",
        unlocks=[t.name for t in blocked if set(t.wants.libraries) & set(missing)],
        because="looked for on this machine and not found",
        commands=[f"sudo {_bare(install_libraries(missing, host))}"],
        evidence="; ".join(sources) or "the libraries' own NEEDED entries",
    )


def _bare(sentence: str) -> str:
    """The command in a sentence of `sartor.host.remedies`."""
    return sentence.partition("`")[2].rpartition("`")[0]


def _compilers(host: Host, tried: Sequence[Tried]) -> Iterator[Remedy]:
    """A C and C++ compiler, and a CUDA toolkit that compiles for the GPUs."""
    blocked = _blocked(tried, COMPILER_RULES)
    wanted = {name for t in blocked for name in t.wants.compilers}
    unlocks = [t.name for t in blocked]
    have = {tool.name for tool in host.compilers}
    if wanted & {"cc", "c++"} and not have & {"cc", "gcc", "clang"}:
        yield Remedy(
            kind="compiler",
            what="a C and C++ compiler",
            unlocks=unlocks,
            because="none was found",
            commands=[f"sudo {_bare(install_compilers(host))}"],
            evidence=distribution(host).source,
        )
    if wanted & {"nvcc", "ptxas"}:
        yield from _toolkit(host, unlocks, ptxas="ptxas" in wanted)


def _toolkit(host: Host, unlocks: list[str], *, ptxas: bool) -> Iterator[Remedy]:
    """The newest toolkit of the driver's CUDA version or older that compiles for the GPUs."""
    capabilities = [g.compute_capability for g in host.gpus if g.compute_capability]
    span = toolkits_for(capabilities) if capabilities else None
    if span is None:
        return
    oldest, newest = span
    top = host.driver.cuda if host.driver and host.driver.cuda else None
    limit = min((v for v in (top, newest) if v), key=Version, default=None)
    fitting = [
        t.version
        for t in facts.toolkits()
        if t.public
        and Version(t.version) >= Version(oldest)
        and (limit is None or Version(t.version) <= Version(limit))
    ]
    if not fitting:
        return
    row, triton = known.toolkit(), known.ptxas()
    commands = [c.format(cuda=fitting[-1].replace(".", "-")) for c in row.commands]
    because = ""
    if ptxas and set(capabilities) & set(triton.compute_capabilities):
        commands += triton.commands
        because = f"; {triton.why} ({triton.source})"
    span_text = f"{oldest} to {newest}" if newest else f"{oldest} and newer"
    yield Remedy(
        kind="compiler",
        what=f"the CUDA toolkit {fitting[-1]}",
        unlocks=unlocks,
        because=f"toolkits {span_text} compile for {', '.join(dict.fromkeys(capabilities))}"
        + because,
        commands=commands,
        evidence=f"facts/archs.toml; {row.source}",
    )


def _disk(host: Host, tried: Sequence[Tried]) -> Iterator[Remedy]:
    blocked = _blocked(tried, DISK_RULES)
    if not blocked:
        return
    needed = max((t.wants.disk_bytes or 0 for t in blocked), default=0)
    free = next((d.free_bytes for d in host.disks if d.purpose == "data"), None)
    room = f"{needed / 1e9:.1f} GB" if needed else "enough room"
    yield Remedy(
        kind="disk",
        what=f"a folder with {room} for environments",
        unlocks=[t.name for t in blocked],
        because="the room is not known" if free is None else f"{free / 1e9:.1f} GB are free",
        commands=["export SARTOR_HOME=/path/on/a/larger/file/system"],
        evidence="the host",
    )
