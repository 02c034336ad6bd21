"""From what is kept to the map: every wheel on every GPU with its driver."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from msgspec.structs import asdict, replace
from packaging.tags import parse_tag
from packaging.version import Version

from sartor import facts
from sartor.facts.versions import known_version
from sartor.host.names import gpu_fact
from sartor.index.wheels import Fits, platform_fits
from sartor.matrix.model import Companion, MapTarget, MapVerdict, MapWheel, SupportMap
from sartor.matrix.parts import because, branch, newest_need, parts_of, score, together
from sartor.verdict.requirements import requirements, satisfied

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sartor.artifact.model import Package
    from sartor.evidence.row import Row
    from sartor.matrix.model import Part
    from sartor.verdict.model import Target

MACHINES = ("x86_64", "aarch64")


def support_map(rows: Iterable[Row], targets: Sequence[Target]) -> SupportMap:
    """The whole map; see `map_wheels`."""
    shown = [map_target(target) for target in targets]
    return SupportMap(gpus=shown, wheels=list(map_wheels(rows, shown)))


def map_target(target: Target) -> MapTarget:
    """A GPU with what the facts say of the processors beside it."""
    fact = gpu_fact(target.name) if target.name else None
    return MapTarget(**asdict(target), machine=fact.host_architecture if fact else None)


def map_wheels(rows: Iterable[Row], targets: Sequence[MapTarget]) -> Iterator[MapWheel]:
    """Every wheel on every GPU: by project in the order of `facts.map_choice`, the newest first.

    What is no wheel of one project is left out. Raises `Invalid` for a row that is damaged.
    """
    kept = {row.sha256: row for row in rows if row.kind == "wheel" and row.project}
    wheels = in_order([listed(row, row.packages()[0]) for row in kept.values()])
    newest = newest_of(wheels)
    for wheel in wheels:
        evidence = kept[wheel.sha256].evidence()
        has_features, parts = parts_of(evidence, unlike(targets))
        yield replace(
            wheel,
            is_newest=wheel.sha256 in newest,
            parts_are="features" if has_features else "libraries",
            requires=companions(evidence.packages[0], wheel, wheels),
            verdicts=verdicts(wheel, targets, parts),
        )


def listed(row: Row, package: Package) -> MapWheel:
    """A wheel without its verdicts."""
    return MapWheel(
        project=package.name,
        version=package.version,
        machine=machine_of(package),
        file=row.name,
        sha256=row.sha256,
        size=row.size,
        read_at=row.read_at,
        reader=row.reader,
        is_current=row.is_current,
        extent=row.extent,
        is_newest=False,
    )


def machine_of(package: Package) -> str | None:
    """The processors that a wheel's tags are for; None for any, or where that is not known."""
    tags = {tag for text in package.file_tags for tag in parse_tag(text)}
    fitting = [m for m in MACHINES if any(platform_fits(t.platform, Fits(m)) for t in tags)]
    return fitting[0] if len(fitting) == 1 else None


def in_order(wheels: Iterable[MapWheel]) -> list[MapWheel]:
    """Projects as the map shows them, and of each the newest version first."""
    order = [shown.name for shown in facts.map_choice().project]
    usual = facts.map_choice().usual_machine
    found = sorted(wheels, key=lambda wheel: (wheel.machine not in {None, usual}, wheel.file))
    found.sort(key=version_of, reverse=True)
    place = {name: number for number, name in enumerate(order)}
    return sorted(found, key=lambda one: (place.get(one.project, len(order)), one.project))


def newest_of(wheels: Iterable[MapWheel]) -> set[str]:
    """The wheels of the newest version of each project for the same processors."""
    lines: dict[object, list[MapWheel]] = defaultdict(list)
    for wheel in wheels:
        lines[wheel.project, wheel.machine].append(wheel)
    tops = {line: max(map(version_of, alike)) for line, alike in lines.items()}
    return {w.sha256 for line, alike in lines.items() for w in alike if version_of(w) == tops[line]}


def version_of(wheel: MapWheel) -> Version:
    """Its version, to be compared."""
    return known_version(wheel.version) or Version("0")


def companions(package: Package, wheel: MapWheel, every: Sequence[MapWheel]) -> list[Companion]:
    """What a wheel requires in an exact version, of the projects that the map has."""
    projects = {one.project for one in every}
    found = []
    for requirement in requirements(package):
        project, bounds = requirement.name, requirement.bounds.split(",")
        exact = any(bound.strip().startswith("==") for bound in bounds)
        if project not in projects or not exact:
            continue
        fitting = (
            one.sha256
            for one in every
            if one.project == project
            and satisfied(requirement, one.version)
            and one.machine in {None, wheel.machine}
        )
        text = f"{project}{requirement.bounds}"
        found.append(Companion(requirement=text, sha256=next(fitting, None)))
    return found


def alike(target: Target) -> tuple[str, str | None, str | None]:
    """What a verdict depends on: GPUs of one compute capability are judged once."""
    return target.gpu, target.driver, target.driver_cuda


def unlike(targets: Sequence[MapTarget]) -> list[Target]:
    """The targets, each kind once."""
    return list({alike(target): target for target in targets}.values())


def verdicts(
    wheel: MapWheel, targets: Sequence[MapTarget], parts: list[list[Part]]
) -> list[MapVerdict]:
    """The verdict for each target; ``parts`` are those of each of `unlike`."""
    kinds = [alike(target) for target in unlike(targets)]
    judged = {kind: _together(own) for kind, own in zip(kinds, parts, strict=True)}
    found = []
    for number, target in enumerate(targets):
        if target.machine and wheel.machine not in {None, target.machine}:
            why = f"the wheel is for {wheel.machine}; this GPU stands beside {target.machine} alone"
            other = MapVerdict(target=number, verdict="not-applicable", because=why, score=0)
            found.append(other)
        else:
            found.append(replace(judged[alike(target)], target=number))
    return found


def _together(parts: list[Part]) -> MapVerdict:
    grade, need = together(parts), newest_need(parts)
    return MapVerdict(
        target=0,
        verdict=grade,
        because=because(grade, parts),
        score=score(grade, parts),
        needs_driver_cuda=need,
        needs_driver=branch(need),
        parts=parts,
    )
