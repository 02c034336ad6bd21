"""Ways that run what others have built: an official image, another engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.version import Version

from sartor.facts import offers
from sartor.facts.versions import within_versions
from sartor.plan.gpu_driver import branch_of, has_toolkit
from sartor.plan.outcome import Alternative, Cost
from sartor.plan.tried import first_reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sartor.facts.offers import ImageFact
    from sartor.host.model import Host
    from sartor.plan.ways.scene import Scene


def published_images(scene: Scene) -> Iterator[Alternative]:
    """The makers' images of the engines that were asked for, for what does not fit otherwise."""
    if not scene.targets:
        return
    for engine in scene.engines:
        if any(t.rejections for t in scene.of_engine(engine)) or not scene.of_engine(engine):
            for row in offers.images():
                if row.engine == engine:
                    yield from _image(scene, row, f"{engine}: {_reason(scene, engine)}")


def _reason(scene: Scene, engine: str) -> str:
    lost = next((t for t in scene.of_engine(engine) if t.rejections), None)
    return f"{lost.version}: {first_reason(lost)}" if lost else "nothing of it was tried"


def _image(scene: Scene, row: ImageFact, because: str) -> Iterator[Alternative]:
    """An image, unless what is known of it is against the machine."""
    version = _version(scene, row)
    host = scene.host
    if version is None or (host.architecture and host.architecture not in row.architectures):
        return
    not_checked = ["the machine code in the image: `sartor inspect` reads it"]
    checked = []
    if row.cuda is not None:
        fits = has_toolkit(scene.toolkits, row.cuda) if scene.toolkits else None
        if fits is False or scene.driver_runs(row.cuda) is False:
            return
        if scene.driver_runs(row.cuda) is None:
            not_checked.append("the driver's CUDA version")
        checked.append(f"CUDA {row.cuda} against the GPUs" if fits else "the driver's CUDA major")
    if any(t.compute_capability not in row.declared for t in scene.targets):
        not_checked.append("whether its makers compile it for the GPUs")
    if not _passthrough(host):
        not_checked.append("whether containers get the GPUs on this machine")
    image = f"{row.repository}:{row.tag.format(version=version)}"
    yield Alternative(
        strategy="image",
        what=f"the image {image}, by {row.publisher}: {row.contains}",
        because=f"{because}; {row.source} ({row.checked_on})",
        cost=Cost(trust="maker", because=f"its size was not asked; licence: {row.licence}"),
        commands=[f"sartor inspect {image}", *_run(host, row, image)],
        needs="image",
        checked=checked,
        not_checked=not_checked + ([row.note] if row.note else []),
    )


def _version(scene: Scene, row: ImageFact) -> str | None:
    """The newest version that was tried and that the image has; a moving tag needs none."""
    if "{version}" not in row.tag and not row.versions:
        return ""
    tried = [t.version for t in scene.of_engine(row.engine)]
    return next((v for v in tried if not row.versions or within_versions(row.versions, v)), None)


def _passthrough(host: Host) -> bool:
    return bool(host.containers.gpu_passthrough)


def _run(host: Host, row: ImageFact, image: str) -> list[str]:
    """How a container of the image is started: by podman where that is what there is."""
    names = {tool.name for tool in host.containers.tools}
    start = "docker run --rm --gpus all"
    if "podman" in names and "docker" not in names:
        start = "podman run --rm --device nvidia.com/gpu=all --security-opt=label=disable"
    options = row.run.format(image=image)
    return [f"{start} {options}"]


def other_engines(scene: Scene) -> Iterator[Alternative]:
    """Engines that were not asked for and that reach all of the GPUs, by their makers' word.

    Where none was asked for by name, all were tried already.
    """
    if not scene.engines or not scene.targets or not any(t.rejections for t in scene.tried):
        return
    for engine in dict.fromkeys(row.engine for row in offers.reaches()):
        if engine in scene.engines:
            continue
        fitting = next((t for t in scene.of_engine(engine) if not t.rejections), None)
        rows = [_nearest_first(offers.reached(engine, "", c)) for c in scene.capabilities]
        if fitting is None and not all(_driven(scene, found) for found in rows):
            continue
        formats = " or ".join(dict.fromkeys(f for found in rows for r in found for f in r.formats))
        source = fitting.name if fitting else rows[0][0].source
        yield Alternative(
            strategy="engine",
            what=f"{fitting.name if fitting else engine} in place of {', '.join(scene.engines)}",
            because=f"it reaches {', '.join(scene.capabilities)}: {source}",
            cost=Cost(trust="maker", because="not planned: `sartor plan` tells what it takes"),
            commands=[f"sartor plan {engine}"],
            checked=["its least compute capability, as its makers state it"],
            not_checked=[
                f"whether the model is there in its format ({formats or 'not known'})",
                *([] if fitting else ["whether a release of it fits"]),
            ],
        )


def _nearest_first(rows: list[offers.ReachFact]) -> list[offers.ReachFact]:
    return sorted(rows, key=lambda row: Version(row.least), reverse=True)


def _driven(scene: Scene, rows: list[offers.ReachFact]) -> bool:
    """Whether one of the rows goes with the machine's driver."""
    branch = branch_of(scene.host)
    return any(r.driver_min is None or branch is None or branch >= r.driver_min for r in rows)
