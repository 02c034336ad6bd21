"""A build from source, against a PyTorch that has code for the GPUs where it needs one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec
from packaging.version import Version

from sartor import facts
from sartor.facts import IndexFact, offers, remedies
from sartor.facts.offers import RecipeFact
from sartor.facts.versions import known_version
from sartor.plan.gpu_driver import has_toolkit
from sartor.plan.outcome import Alternative, Cost
from sartor.plan.tried import Tried, first_reason
from sartor.plan.ways.scene import Scene
from sartor.plan.ways.torch import TorchFit, torch_that_fit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sartor.host.model import Host

GIB = 1 << 30


class Build(msgspec.Struct, frozen=True, kw_only=True):
    """One build: a release by its recipe, with a toolkit of CUDA ``cuda``.

    ``torch`` is the release of PyTorch, ``nightly`` the index of one that is none (both None: it
    is linked with no PyTorch).
    """

    scene: Scene
    tried: Tried
    recipe: RecipeFact
    cuda: str
    torch: TorchFit | None = None
    nightly: IndexFact | None = None


def from_source(scene: Scene, allow: frozenset[str] = frozenset()) -> Iterator[Alternative]:
    """A build of each engine that was asked for, from its newest release that can be built."""
    if not scene.targets or scene.toolkits is None:
        return
    for engine in scene.engines:
        made = [_build(scene, tried) for tried in _newest_of_each(scene.of_engine(engine))]
        builds = [build for build in made if build is not None]
        exact = [build for build in builds if _is_its_torch(build)]
        for build in (exact or builds)[:1]:
            yield _way(build, allow)


def _is_its_torch(build: Build) -> bool:
    """Whether the release is linked with the PyTorch that it is made for, or with none."""
    return build.nightly is None and (
        build.torch is None or build.torch.version == build.tried.torch
    )


def _newest_of_each(tried: list[Tried]) -> list[Tried]:
    """One of each version, the newest first; none where the newest release fits."""
    if tried and not tried[0].rejections:
        return []
    return list({t.version: t for t in tried}.values())


def _build(scene: Scene, tried: Tried) -> Build | None:
    """How a release is built for the GPUs; None where no PyTorch or no toolkit goes with them."""
    recipe = offers.recipe_for(tried.engine, tried.version)
    if recipe is None:
        return None
    if recipe.against != "torch":
        cuda = _toolkit(scene)
        return Build(scene=scene, tried=tried, recipe=recipe, cuda=cuda) if cuda else None
    fits = torch_that_fit(scene.targets, scene.host.architecture, scene.as_of)
    fits = [fit for fit in fits if _compiles(scene, tried, fit.build.cuda)]
    fit = _nearest(fits, tried.torch)
    if fit is not None:
        return Build(scene=scene, tried=tried, recipe=recipe, cuda=fit.build.cuda, torch=fit)
    return _on_nightly(scene, tried, recipe)


def _nearest(fits: list[TorchFit], pinned: str | None) -> TorchFit | None:
    """The PyTorch that is pinned, else the first after it, else the last before it.

    ``fits`` are the newest first, and of one version the best first.
    """
    wanted = known_version(pinned)
    if wanted is None:
        return next(iter(fits), None)
    later = [fit for fit in fits if Version(fit.version) >= wanted]
    if not later:
        return next(iter(fits), None)
    return next(fit for fit in later if fit.version == later[-1].version)


def _compiles(scene: Scene, tried: Tried, cuda: str) -> bool:
    """Whether a toolkit, and the release's own build with it, compile for the GPUs.

    For each GPU or for an older one of its major version, whose machine code it runs. Where the
    facts do not say what the build compiles for, its makers' least compute capability counts.
    """
    newest = scene.toolkits[1] if scene.toolkits else None
    if newest is not None and Version(cuda) > Version(newest):
        return False
    archs = offers.archs_compiled(tried.engine, tried.version, cuda)
    if archs is None and not scene.is_reached(tried):
        return False
    known = [r.compute_capability for r in facts.archs() if Version(r.min_toolkit) <= Version(cuda)]
    return all(
        _serves(known, capability) and (archs is None or _serves(archs, capability))
        for capability in scene.capabilities
    )


def _serves(archs: list[str], capability: str) -> bool:
    gpu = Version(capability)
    return any(Version(a).major == gpu.major and Version(a) <= gpu for a in archs)


def _toolkit(scene: Scene) -> str | None:
    """A toolkit for what is linked with no PyTorch: the host's, else the newest that fits."""
    if scene.toolkits is None:
        return None
    own = [known_version(tool.version) for tool in scene.host.cuda_toolkits]
    names = [f"{v.major}.{v.minor}" for v in own if v]
    every = [*names, *(t.version for t in reversed(facts.toolkits()) if t.public)]
    fitting = (v for v in every if has_toolkit(scene.toolkits, v))
    return next((v for v in fitting if scene.driver_runs(v) is not False), None)


def _on_nightly(scene: Scene, tried: Tried, recipe: RecipeFact) -> Build | None:
    """The build against a nightly PyTorch, where no release of it has code for the GPUs."""
    for row in facts.indexes():
        if row.channel != "nightly" or "torch" not in row.projects or row.cuda is None:
            continue
        if scene.day is not None and row.since is not None and row.since > scene.day:
            continue
        if scene.driver_runs(row.cuda) is not False and _compiles(scene, tried, row.cuda):
            return Build(scene=scene, tried=tried, recipe=recipe, cuda=row.cuda, nightly=row)
    return None


def _way(build: Build, allow: frozenset[str]) -> Alternative:
    scene, tried, recipe = build.scene, build.tried, build.recipe
    jobs = _jobs(scene.host, recipe)
    needs: Literal["source", "nightly"] = "source"
    if build.nightly is not None and "source" in allow:
        needs = "nightly"
    return Alternative(
        strategy="source",
        what=f"{tried.engine} {recipe.tag.format(version=tried.version)} built from its source for "
        f"{', '.join(scene.capabilities)}{_linked(build)}",
        because=_because(build),
        cost=Cost(
            seconds=_seconds(recipe, jobs),
            disk_bytes=int(recipe.disk_gb * GIB),
            trust="own build",
            because=_figures(recipe, jobs),
        ),
        commands=_commands(build, jobs),
        needs=needs,
        checked=_checked(build),
        not_checked=_open(build),
    )


def _linked(build: Build) -> str:
    if build.torch is not None:
        return f" against torch {build.torch.version} for CUDA {build.cuda}"
    return f" against a nightly PyTorch for CUDA {build.cuda}" if build.nightly else ""


def _because(build: Build) -> str:
    parts = [f"{build.tried.name}: {first_reason(build.tried)}"]
    if build.nightly is not None:
        row = build.nightly
        parts += ["no release of PyTorch has code for the GPUs", f"{row.source} ({row.checked_on})"]
    return "; ".join([*parts, f"{build.recipe.source} ({build.recipe.checked_on})"])


def _jobs(host: Host, recipe: RecipeFact) -> int | None:
    """As many jobs as there are cores and memory for; None where neither is known."""
    cores = (host.cpu.threads or host.cpu.cores) if host.cpu else None
    memory = host.memory.available_bytes or host.memory.total_bytes
    by_memory = int(memory / (recipe.memory_gb_per_job * GIB)) if memory else None
    known = [n for n in (cores, by_memory) if n is not None]
    return max(1, min(known)) if known else None


def _seconds(recipe: RecipeFact, jobs: int | None) -> float | None:
    """The upper end of what it takes; None where that, or the machine, is not known."""
    return recipe.core_hours[-1] * 3600 / jobs if recipe.core_hours and jobs else None


def _figures(recipe: RecipeFact, jobs: int | None) -> str:
    at_once = f"each of {jobs} jobs at once" if jobs else "each job"
    memory = f"{recipe.memory_gb_per_job:g} GiB for {at_once}"
    if not recipe.core_hours:
        return f"{memory}; {recipe.figures}"
    least, most = recipe.core_hours[0], recipe.core_hours[-1]
    return f"{least:g} to {most:g} hours of one core, {memory}; {recipe.figures}"


def _commands(build: Build, jobs: int | None) -> list[str]:
    tried, torch = build.tried, build.torch
    names = [offers.arch_name(tried.engine, c) for c in build.scene.capabilities]
    values = {
        "version": tried.version,
        "python": _python(tried),
        "jobs": str(jobs or 1),
        "archs": ";".join(names),
        "cmake_archs": ";".join(f"{n.replace('.', '')}-real" for n in names),
        "torch": f"'torch=={torch.version}'" if torch else "--prerelease=allow torch",
        "index": _index_option(build),
    }
    env = {key: value.format(**values) for key, value in build.recipe.env.items()}
    values["env"] = " ".join(f"{key}='{value}'" for key, value in env.items())
    return [" ".join(step.format(**values).split()) for step in build.recipe.steps]


def _python(tried: Tried) -> str:
    """The preferred Python that the candidate takes."""
    row = remedies.python()
    return next((v for v in row.preferred if tried.takes_python(v)), row.preferred[0])


def _index_option(build: Build) -> str:
    if build.nightly is not None:
        return f"--index-url {build.nightly.url}"
    rows = {row.id: row for row in facts.indexes()}
    row = rows.get(build.torch.build.index) if build.torch else None
    return f"--index-url {row.url}" if row else ""


def _checked(build: Build) -> list[str]:
    tried, torch = build.tried, build.torch
    found = [f"CUDA {build.cuda} against the toolkits for the GPUs, and its major the driver"]
    if torch is not None:
        how = "read from its machine code" if torch.build.grade == "read" else "declared"
        found.append(f"torch {torch.version} has code for all GPUs ({how})")
    if offers.archs_compiled(tried.engine, tried.version, build.cuda) is not None:
        found.append(f"what {tried.engine} {tried.version} compiles for with CUDA {build.cuda}")
    return found


def _open(build: Build) -> list[str]:
    """What of the build is not known to work."""
    tried, torch, recipe = build.tried, build.torch, build.recipe
    found = ["whether it compiles"]
    if "nvcc" in recipe.compilers and not _has_nvcc(build):
        major = Version(build.cuda).major
        found.append(f"nvcc {build.cuda}, or another one of CUDA {major}: none was found")
    if build.nightly is not None:
        found.append("the nightly PyTorch: it needs `--allow nightly`, and changes every day")
        if build.scene.day is not None:
            found.append(f"whether there was such a build by {build.scene.day}")
    elif torch is not None and tried.torch not in {None, torch.version}:
        found.append(f"it is made for torch {tried.torch}: another one may not compile or load")
    if torch is not None and build.scene.as_of is not None:
        found.append(f"torch was built on {torch.built}, and published then or some days later")
    if not build.scene.is_reached(tried):
        found.append("its makers name newer GPUs as the oldest that it runs on")
    found += [f"gcc {recipe.least_gcc} or newer"] if recipe.least_gcc else []
    found += [_env(row) for row in offers.env_facts() if _concerns(row, build)]
    return found + ([recipe.note] if recipe.note else [])


def _has_nvcc(build: Build) -> bool:
    found = [known_version(tool.version) for tool in build.scene.host.cuda_toolkits]
    return any(v is not None and v.major == Version(build.cuda).major for v in found)


def _concerns(row: offers.EnvFact, build: Build) -> bool:
    return (
        row.engine == build.tried.engine
        and offers.covers(row.versions, build.tried.version)
        and any(offers.named(c, row.compute_capabilities) for c in build.scene.capabilities)
    )


def _env(row: offers.EnvFact) -> str:
    return f"set {row.variable}={row.value} when it is {row.when}: {row.why}"
