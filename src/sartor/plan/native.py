"""What a build from source is told: this CPU's instructions and these GPUs, compiler permitting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.specifiers import SpecifierSet

from sartor import facts

if TYPE_CHECKING:
    from sartor.facts import CompilerDefectFact
    from sartor.plan.case import Case
    from sartor.plan.model import Device

_NAMES = {"gcc": {"gcc", "g++", "cc", "c++"}}


def defects(case: Case) -> list[tuple[CompilerDefectFact, str]]:
    """The known defects of the host's compilers that touch this CPU, each with the version."""
    features = set(case.host.cpu.features) if case.host.cpu else set()
    found = []
    for row in facts.compiler_defects():
        names = _NAMES.get(row.compiler, {row.compiler})
        versions = {t.version for t in case.host.compilers if t.name in names and t.version}
        bad = [v for v in sorted(versions) if any(v in SpecifierSet(s) for s in row.affected)]
        if bad and features & set(row.features):
            found.append((row, bad[0]))
    return found


def cmake_arguments(case: Case, devices: list[Device]) -> list[str]:
    """All arguments for CMake; none where nothing is compiled."""
    if case.line.how != "source":
        return []
    return [*case.line.cmake_args, *_cpu(case), *_cuda(case, devices)]


def _cpu(case: Case) -> list[str]:
    """One option for each group of instructions; the compiler's own guess where none are known."""
    options = case.line.cpu_options.get(case.machine.architecture)
    if not options or case.host.cpu is None:
        return [f"-D{case.line.cpu_native_option}=ON"]
    broken = {feature for row, _ in defects(case) for feature in row.features}
    usable = set(case.host.cpu.features) - broken
    states = {name: set(needed) <= usable for name, needed in options.items()}
    native = f"-D{case.line.cpu_native_option}=OFF"
    return [native, *(f"-D{n}={'ON' if on else 'OFF'}" for n, on in states.items())]


def _cuda(case: Case, devices: list[Device]) -> list[str]:
    """Which GPUs to compile for, and with which nvcc."""
    if not case.on_cuda:
        return []
    capabilities = sorted({d.compute_capability or "" for d in devices} - {""})
    numbers = ";".join(f"{c.replace('.', '')}-real" for c in capabilities)
    nvcc = [t.path for t in case.host.cuda_toolkits][:1]
    return [f"-DCMAKE_CUDA_ARCHITECTURES={numbers}", *(f"-DCMAKE_CUDA_COMPILER={p}" for p in nvcc)]
