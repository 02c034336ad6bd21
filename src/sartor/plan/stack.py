"""The stack that a judged candidate stands for: what `build` would be given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.plan.machine import interpreter
from sartor.plan.model import PlannedPackage, Python, Recipe, Stack
from sartor.plan.native import cmake_arguments
from sartor.plan.rules.host import missing_libraries
from sartor.plan.stages import requirements_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sartor.plan.case import Case
    from sartor.plan.stages import Judged


def stack_of(judged: Judged, roots: Sequence[str]) -> Stack:
    """Everything that `build` needs for a candidate; of one that is built, its own."""
    case, closure = judged.case, judged.closure
    if case.built is not None:
        return case.built
    line, candidate = case.line, case.candidate
    tool = interpreter(case.host, case.request, case.machine)
    version = case.request.python or case.machine.python
    return Stack(
        engine=case.engine.name,
        line=line.id,
        label=candidate.label,
        strategy=candidate.strategy,
        version=case.offer.version or "",
        accelerator=line.accelerator,
        launcher=line.launcher,
        requirements=[*requirements_of(case), *roots],
        modules=line.modules,
        python=Python(tool.path, tool.version) if tool else Python(None, version),
        architecture=case.machine.architecture,
        disk_mb=line.disk_mb,
        packages=packages(judged),
        system_packages=closure.system_packages if closure else [],
        env=closure.env if closure else {},
        leave_out=line.leave_out,
        supply=missing_libraries(case),
        source=_recipe(judged),
    )


def packages(judged: Judged) -> list[PlannedPackage]:
    """The very files, by name."""
    if judged.resolution is None:
        return []
    cuda = judged.closure.cuda if judged.closure else {}
    return [
        PlannedPackage(
            name=one.name,
            version=one.version,
            filename=one.file.name,
            sha256=one.file.sha256,
            index=one.index,
            cuda=cuda.get(one.name),
            size=one.file.size,
        )
        for one in judged.resolution.packages
    ]


def _recipe(judged: Judged) -> Recipe | None:
    line = judged.case.line
    if line.how != "source" or line.source_project is None or line.source_sha256 is None:
        return None
    return Recipe(
        project=line.source_project,
        sha256=line.source_sha256,
        cmake_args=cmake_arguments(judged.case, judged.fit.devices),
        isa=_isa(judged.case),
    )


def _isa(case: Case) -> str | None:
    """What a build from source is compiled for."""
    cpu = case.host.cpu
    return f"{cpu.name}:{','.join(sorted(cpu.features))}" if cpu else None
