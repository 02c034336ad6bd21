"""The stack that a candidate stands for: what `build` would be given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor import facts
from sartor.plan.model import IndexUse, Python, Stack
from sartor.plan.native import cmake_arguments
from sartor.plan.rules import choose_python, missing_libraries

if TYPE_CHECKING:
    from sartor.engines.facts import BuildFact
    from sartor.facts import IndexFact
    from sartor.plan.case import Case
    from sartor.plan.model import Fit


def stack_of(case: Case, place: Fit) -> Stack:
    """Everything that `build` needs for a candidate whose model goes to ``place``."""
    build, host = case.build, case.host
    python = choose_python(case)
    rows = {row.id: row for row in facts.indexes()}
    return Stack(
        engine=case.engine.name,
        build=build.id,
        label=build.label,
        how=build.how,
        version=build.version,
        accelerator=build.accelerator,
        launcher=build.launcher,
        requirements=build.requirements,
        modules=build.modules,
        python=Python(python.path if python else None, python.version if python else None),
        architecture=host.architecture,
        disk_mb=build.disk_mb,
        leave_out=build.leave_out,
        indexes=[case.indexes.get(i) or index_use(build, rows[i]) for i in build.indexes],
        supply=missing_libraries(case),
        source_project=build.source_project,
        source_sha256=build.source_sha256,
        cmake_args=cmake_arguments(case, place.devices),
        isa=_isa(case),
    )


def _isa(case: Case) -> str | None:
    """What a build from source is compiled for; None for a wheel."""
    cpu = case.host.cpu
    if case.build.how != "source" or cpu is None:
        return None
    return f"{cpu.name}:{','.join(sorted(cpu.features))}"


def index_use(build: BuildFact, row: IndexFact) -> IndexUse:
    """The index of that row as ``build`` uses it, not asked yet."""
    return IndexUse(row.id, row.url, build.index_packages, optional=build.index_optional)
