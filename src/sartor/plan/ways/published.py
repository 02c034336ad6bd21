"""Ways that install what is published: another release, another index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from packaging.utils import parse_wheel_filename
from packaging.version import Version

from sartor import facts
from sartor.facts import offers
from sartor.facts.versions import within_versions
from sartor.plan.decision import Accepted, Unchecked
from sartor.plan.gpu_driver import has_toolkit
from sartor.plan.outcome import Alternative, Cost
from sartor.plan.tried import CODE_RULES, PTX_RULES
from sartor.plan.ways.torch import torch_that_fit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sartor.facts import IndexFact
    from sartor.index.wheels import IndexFile
    from sartor.plan.outcome import Trust
    from sartor.plan.tried import Tried
    from sartor.plan.ways.scene import Scene
    from sartor.plan.ways.torch import TorchFit

NETWORK = "the time is that of the download, which depends on the network"


def other_releases(scene: Scene) -> Iterator[Alternative]:
    """The newest release of each engine that nothing is against, where newer ones do not fit."""
    for engine in dict.fromkeys(t.engine for t in scene.tried):
        releases = scene.of_engine(engine)
        fitting = next((t for t in releases if not t.rejections), None)
        if fitting is None or fitting is releases[0]:
            continue
        lost = next(t for t in releases if t.rejections)
        against = lost.rejections[0]
        yield Alternative(
            strategy="release",
            what=f"{fitting.name} in place of {lost.version}",
            because=f"{lost.version}: {against.wanted}, found {against.found}",
            cost=Cost(disk_bytes=fitting.wants.disk_bytes, trust="maker", because=NETWORK),
            commands=[f"sartor plan '{engine}=={fitting.version}'"],
            checked=[d.rule for d in fitting.decisions if isinstance(d, Accepted)],
            not_checked=[d.rule for d in fitting.decisions if isinstance(d, Unchecked)],
        )


def other_indexes(scene: Scene) -> Iterator[Alternative]:
    """The makers' own indexes with builds for a CUDA version that the machine takes."""
    if not scene.targets:
        return
    for row in facts.indexes():
        for tried in _of_projects(scene, row):
            way = _from_index(scene, row, tried)
            if way is not None:
                yield way
                break
    yield from _other_torch(scene)


def _of_projects(scene: Scene, row: IndexFact) -> list[Tried]:
    """What was tried of an engine that the index serves, and does not fit."""
    wanted = [name for name in scene.engines if set(offers.projects_of(name)) & set(row.projects)]
    return [t for name in wanted for t in scene.of_engine(name) if t.rejections]


def _from_index(scene: Scene, row: IndexFact, tried: Tried) -> Alternative | None:
    """What was tried, built for the index's CUDA version; None where that is no way."""
    if row.cuda is None or row.cuda == tried.cuda or row.layout == "per-commit":
        return None
    if row.channel == "nightly" and scene.day is not None and scene.day < row.checked_on:
        return None
    newest = scene.of_engine(tried.engine)[0]  # what is built now is no older
    if not scene.is_reached(tried if row.channel == "stable" else newest):
        return None
    project = next(p for p in offers.projects_of(tried.engine) if p in row.projects)
    pinned = project == tried.engine and row.channel == "stable"
    if pinned and row.versions and not within_versions(row.versions, tried.version):
        return None
    files = scene.listed(row.id, project)
    if not _cuda_fits(scene, row.cuda) or files == []:
        return None
    address = row.url.format(version=tried.version)
    listed = None if files is None else _versions(files)
    version = tried.version if pinned else None
    if (
        version
        and listed is not None
        and Version(version) not in {Version(v.public) for v in listed}
    ):
        version = str(max(listed))
    requirement = f"{project}=={version}" if version else project
    checked = ["the index's CUDA version against the driver and the GPUs"]
    not_checked = [f"the machine code of its wheels of {project}"]
    if listed is None:
        not_checked.append(f"whether {address} has a wheel for this machine: it was not asked")
    else:
        checked.append(f"{address} lists {max(listed)} for this machine")
    if not version:
        not_checked.append(f"which release of {project} goes with {tried.engine} {tried.version}")
    trust, needs = _trust(row)
    return Alternative(
        strategy="index",
        what=f"{requirement} built for CUDA {row.cuda}, from {row.publisher}",
        because=f"{tried.name}: {_why(tried)}; {row.source} ({row.checked_on})",
        cost=Cost(disk_bytes=tried.wants.disk_bytes, trust=trust, because=NETWORK),
        commands=[_install(requirement, address, row, scene)],
        needs=needs,
        checked=checked,
        not_checked=not_checked + ([row.note] if row.note else []),
    )


def _trust(row: IndexFact) -> tuple[Trust, Literal["nightly", "third-party"] | None]:
    if row.channel == "nightly":
        return "nightly", "nightly"
    return ("maker", None) if row.trust == "maker" else ("third-party", "third-party")


def _versions(files: list[IndexFile]) -> set[Version]:
    return {parse_wheel_filename(file.name)[1] for file in files}


def _why(tried: Tried) -> str:
    against = tried.rejections[0]
    return f"{against.wanted}, found {against.found}"


def _cuda_fits(scene: Scene, cuda: str) -> bool:
    """Whether the driver starts builds of a CUDA version, and they can have code for the GPUs."""
    if scene.driver_runs(cuda) is False or scene.toolkits is None:
        return False
    return has_toolkit(scene.toolkits, cuda) is not False


def _install(requirement: str, address: str, row: IndexFact, scene: Scene) -> str:
    """uv's command, with PyTorch's index for the same CUDA version where the engine uses it."""
    torch = ""
    if row.cuda and not any(name.startswith("llama") for name in row.projects):
        known = [i for i in facts.indexes() if i.id == f"pytorch-cu{row.cuda.replace('.', '')}"]
        torch = f" --extra-index-url {known[0].url}" if known else ""
    early = " --prerelease=allow" if row.channel == "nightly" else ""
    date = f" --exclude-newer {scene.as_of}" if scene.as_of else ""
    return f"uv pip install '{requirement}' --extra-index-url {address}{torch}{early}{date}"


def _other_torch(scene: Scene) -> Iterator[Alternative]:
    """PyTorch of another CUDA version, where PyTorch itself is what has no code for the GPUs.

    The engine's own libraries are compiled against one PyTorch: another release of it is none.
    """
    rows = {row.id: row for row in facts.indexes()}
    fits = torch_that_fit(scene.targets, scene.host.architecture, scene.as_of)
    for tried in scene.tried:
        if tried.engine not in scene.engines or not _lacks_code(tried):
            continue
        same = [
            f
            for f in fits
            if f.version == tried.torch and f.build.index in rows and f.build.cuda != tried.cuda
        ]
        if not same or tried.cuda is None:
            continue
        best, row = same[0], rows[same[0].build.index]
        if Version(best.build.cuda).major != Version(tried.cuda).major:
            continue
        command = (
            f"uv pip install '{tried.engine}=={tried.version}' 'torch=={best.version}' "
            f"--extra-index-url {row.url}"
        )
        yield Alternative(
            strategy="index",
            what=f"torch {best.version} for CUDA {best.build.cuda} beside {tried.name}",
            because=f"{tried.name}: {_why(tried)}; {best.build.source}",
            cost=Cost(disk_bytes=tried.wants.disk_bytes, trust="maker", because=NETWORK),
            commands=[command],
            checked=[f"torch {best.version} of {row.id} has code for all GPUs ({_graded(best)})"],
            not_checked=[
                f"whether the libraries of {tried.engine} have code for the GPUs",
                f"whether they load with libraries of CUDA {best.build.cuda}",
            ],
        )
        return


def _lacks_code(tried: Tried) -> bool:
    """Whether what is against a candidate is the code in its packages."""
    return tried.torch is not None and tried.blocked_by(CODE_RULES - PTX_RULES)


def _graded(fit: TorchFit) -> str:
    return "read from machine code" if fit.build.grade == "read" else "declared"
