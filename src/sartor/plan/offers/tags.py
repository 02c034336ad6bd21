"""Which wheel of a release a machine gets, and which of its tags stands in the way of the others.

The order is uv's: `packaging.tags` for the interpreter, the newest platform first and a plain
``linux`` one last, the higher build number of two that are alike.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

from sartor.facts.linking import policies
from sartor.index.wheels import Fits, allows, platform_fits, python_fits

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sartor.index.wheels import IndexFile
    from sartor.plan.known import Machine

Obstacle = Literal["architecture", "python", "platform-tag"]
Build = tuple[()] | tuple[int, str]
"""A build tag; none is lower than any."""
OLDEST_GLIBC = {"x86_64": 5, "i686": 5}
"""The minor version of the oldest that wheels are for; `OTHERS` for any other processor."""
OTHERS = 17


def best_wheel(files: Iterable[IndexFile], machine: Machine) -> IndexFile | None:
    """The wheel that pip and uv would take: of those that are alike the one that is listed first.

    Yanked ones only where nothing else is there.
    """
    order = tag_order(machine)
    ranked: list[tuple[tuple[bool, int, Build], IndexFile]] = []
    for file in files:
        tags, build = _tags(file.name)
        places = [order[tag] for tag in tags if tag in order]
        allowed = not file.requires_python or allows(file.requires_python, machine.python)
        if places and allowed:
            rank = (file.yanked is None, -min(places), build)
            ranked.append((rank, file))
    return max(ranked, key=lambda one: one[0])[1] if ranked else None


def alike(files: Iterable[IndexFile], file: IndexFile) -> list[IndexFile]:
    """The wheels of a release for the same platforms and other Pythons; not the file itself."""
    own = _platforms_of(file)
    return [f for f in files if f.name != file.name and _platforms_of(f) == own]


def _platforms_of(file: IndexFile) -> frozenset[str]:
    return frozenset(tag.platform for tag in _tags(file.name)[0])


def obstacle(files: Sequence[IndexFile], machine: Machine) -> tuple[Obstacle, str, str]:
    """Which tag stands in the way, what the wheels are for, and what the machine has.

    The nearest is named: what fails where everything else would do.
    """
    wheels = [f for f in files if f.name.endswith(".whl")]
    if not wheels:
        return "platform-tag", "a wheel", "only source packages are published"
    own = [f for f in wheels if _fits(f, Fits(machine.architecture))]
    if not own:
        return "architecture", _platforms(wheels), machine.architecture
    old = [f for f in own if _fits(f, Fits(machine.architecture, machine.glibc))]
    if not old:
        return "platform-tag", _platforms(own), f"glibc {machine.glibc}"
    return "python", _pythons(old), f"Python {machine.python}"


def least_glibc(files: Iterable[IndexFile], machine: Machine) -> str | None:
    """The oldest glibc that a wheel of the release for that processor takes; None without one."""
    own = [f for f in files if _fits(f, Fits(machine.architecture))]
    platforms = {t.platform for f in own for t in _tags(f.name)[0]}
    newest = int((machine.glibc or "2.99").split(".")[1]) + 60
    for minor in range(OLDEST_GLIBC.get(machine.architecture, 0), newest):
        fits = Fits(machine.architecture, f"2.{minor}")
        if any(platform != "any" and platform_fits(platform, fits) for platform in platforms):
            return f"2.{minor}"
    return None


def _fits(file: IndexFile, fits: Fits) -> bool:
    return any(platform_fits(tag.platform, fits) for tag in _tags(file.name)[0])


def _platforms(files: Sequence[IndexFile]) -> str:
    return " or ".join(sorted({t.platform for f in files for t in _tags(f.name)[0]}))


def _pythons(files: Sequence[IndexFile]) -> str:
    tags = {f"{t.interpreter}-{t.abi}" for f in files for t in _tags(f.name)[0]}
    bounds = {f"Python {f.requires_python}" for f in files if f.requires_python}
    return " and ".join([" or ".join(sorted(tags)), *sorted(bounds)])


def python_allows(files: Sequence[IndexFile], version: str) -> bool:
    """Whether any of the wheels is for that Python, the platform aside."""
    return any(
        python_fits(_tags(f.name)[0], version)
        and (not f.requires_python or allows(f.requires_python, version))
        for f in files
    )


@lru_cache(1 << 14)
def _tags(name: str) -> tuple[frozenset[Tag], Build]:
    """The tags of a wheel and its build; none of any other file."""
    try:
        _, _, build, tags = parse_wheel_filename(name)
    except ValueError:
        return frozenset(), ()
    return tags, build


@lru_cache(64)
def tag_order(machine: Machine) -> dict[Tag, int]:
    """Every tag that the machine takes, with its place: the best first."""
    parts = machine.python.split(".")
    version = (int(parts[0]), int(parts[1]))
    platforms = list(platform_tags(machine))
    interpreter = f"cp{version[0]}{version[1]}"
    tags = [
        *cpython_tags(version, platforms=platforms),
        *compatible_tags(version, interpreter, platforms),
    ]
    return {tag: place for place, tag in reversed(list(enumerate(tags)))}


def platform_tags(machine: Machine) -> Iterator[str]:
    """The platform tags of a machine with glibc: those of PEP 600, the newest first, then its own.

    `packaging` has its own first; uv, which installs, has it last.
    """
    newest = [int(n) for n in (machine.glibc or "2.99").split(".")[:2]]
    legacy: dict[str, list[str]] = {}
    for row in policies():
        for name in row.legacy:
            legacy.setdefault(row.glibc, []).append(name)
    oldest = OLDEST_GLIBC.get(machine.architecture, OTHERS)
    for minor in range(newest[1], oldest - 1, -1):
        glibc = f"2.{minor}"
        yield f"manylinux_2_{minor}_{machine.architecture}"
        yield from (f"{name}_{machine.architecture}" for name in legacy.get(glibc, []))
    yield f"linux_{machine.architecture}"
