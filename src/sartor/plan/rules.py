"""The rules about the request and the machine, and `RULES`, all of them.

Each looks at one thing and returns a decision with what it wanted and found. Those about GPUs are
in `plan.gpu_rules`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from sartor import facts
from sartor.facts.versions import known_version
from sartor.host.remedies import install_compilers, install_libraries
from sartor.plan.gpu_rules import compute_capability, driver, gpu_driver_range, gpu_present
from sartor.plan.model import Accepted, Decision, Rejected, Unchecked

if TYPE_CHECKING:
    from sartor.host.model import Tool
    from sartor.plan.case import Case, Rule


def asked_for(case: Case) -> Decision | None:
    """The engine and build that the user named, and no build that is made on request only."""
    request, build = case.request, case.build
    if request.engine and request.engine != case.engine.name:
        return Rejected("asked-for", f"engine {request.engine}", case.engine.name, "the request")
    if request.build is None and not build.on_request:
        return None
    kind = "native" if build.how == "source" else "published"
    if request.build in {build.id, kind}:
        return Accepted("asked-for", f"build {request.build}", build.id, "the request")
    wanted = f"build {request.build}" if request.build else "a published build"
    hint = f"ask for it with `--build {kind}`" if build.on_request else None
    return Rejected("asked-for", wanted, build.id, "the request", hint)


def model_format(case: Case) -> Decision | None:
    """The engine reads the model's format."""
    if case.model is None:
        return None
    formats = " or ".join(case.engine.formats)
    evidence = f"facts of {case.engine.name}; the model's own header"
    if case.model.format in case.engine.formats:
        return Accepted("model-format", formats, case.model.format, evidence)
    return Rejected("model-format", formats, case.model.format, evidence)


def architecture(case: Case) -> Decision | None:
    """The build is published, or known to compile, for the machine's architecture."""
    wanted = " or ".join(case.build.architectures)
    found = case.host.architecture
    if found is None:
        return Unchecked("architecture", wanted, "the host's architecture is not known")
    decide = Accepted if found in case.build.architectures else Rejected
    return decide("architecture", wanted, found, case.declared)


def glibc(case: Case) -> Decision | None:
    """The C library is as new as the wheel's tag asks for."""
    if case.build.glibc is None:
        return None
    wanted, found = f"glibc {case.build.glibc} or newer", case.host.glibc
    version = known_version(found)
    if version is None:
        return Unchecked("glibc", wanted, "the host's glibc is not known")
    decide = Accepted if version >= Version(case.build.glibc) else Rejected
    return decide("glibc", wanted, f"glibc {found}", case.declared)


def python(case: Case) -> Decision | None:
    """There is an interpreter of a version that the build supports."""
    wanted = f"Python {case.build.python or 'of any version'}"
    if case.request.python:
        wanted += f", asked for: {case.request.python}"
    tools = [t for t in case.host.pythons if t.version]
    if not tools:
        return Unchecked("python", wanted, "the host's Pythons are not known")
    found = ", ".join(dict.fromkeys(str(t.version) for t in tools))
    if choose_python(case) is None:
        hint = "install one of these versions; uv can fetch one: `uv python install 3.12`"
        return Rejected("python", wanted, found, case.declared, hint)
    return Accepted("python", wanted, found, case.declared)


def choose_python(case: Case) -> Tool | None:
    """The first interpreter of the host that the build supports and the request allows."""
    supported = SpecifierSet(case.build.python or "")
    asked = case.request.python
    for tool in case.host.pythons:
        if not _is_in(tool.version, supported):
            continue
        if asked is None or f"{tool.version}.".startswith(f"{asked}."):
            return tool
    return None


def _is_in(version: str | None, supported: SpecifierSet) -> bool:
    """Whether it is a version, and a supported one."""
    try:
        return version is not None and supported.contains(version, prereleases=True)
    except InvalidVersion:
        return False


def cpu_isa(case: Case) -> Decision | None:
    """The processor has the instructions that were compiled in."""
    needed = case.build.cpu_features.get(case.host.architecture or "", [])
    if not needed:
        return None
    wanted = ", ".join(needed)
    if case.host.cpu is None or not case.host.cpu.features:
        return Unchecked("cpu-isa", wanted, "the host's CPU features are not known")
    missing = [f for f in needed if f not in case.host.cpu.features]
    found = f"{case.host.cpu.name} without {', '.join(missing)}" if missing else "all of them"
    if missing:
        hint = "`--build native` compiles for exactly this CPU"
        return Rejected("cpu-isa", wanted, found, case.declared, hint)
    return Accepted("cpu-isa", wanted, found, case.declared)


def compiler(case: Case) -> Decision | None:
    """A build from source finds its compilers, and so does what an engine compiles at run time."""
    needed = case.build.compilers + case.build.compilers_wanted
    if not needed:
        return None
    wanted = ", ".join(needed)
    if case.host.described and not case.host.compilers:
        return Unchecked("compiler", wanted, "the host's compilers are not known")
    have = {t.name for t in case.host.compilers} | ({"nvcc"} if case.host.cuda_toolkits else set())
    alike = {"cc": {"cc", "gcc", "clang"}, "c++": {"c++", "g++", "clang++"}, "nvcc": {"nvcc"}}
    missing = [name for name in needed if not alike[name] & have]
    if missing:
        hint = install_compilers(case.host)
        if case.build.how == "source":
            hint += ", or take the published build by leaving `--build` out"
        return Rejected("compiler", wanted, f"no {', '.join(missing)}", "the host", hint)
    return Accepted("compiler", wanted, "there", "the host")


def system_libraries(case: Case) -> Decision | None:
    """Every system library that the build needs is there, or can be supplied from a wheel."""
    needed = case.build.libraries
    if not needed:
        return None
    wanted = ", ".join(needed)
    if not any(name in case.host.libraries for name in needed):
        return Unchecked("system-libraries", wanted, "the host's libraries were not looked for")
    lost = [n for n in missing_libraries(case) if not _suppliable(n)]
    if lost:
        found = f"missing: {', '.join(lost)}"
        return Rejected(
            "system-libraries", wanted, found, case.declared, install_libraries(lost, case.host)
        )
    supplied = missing_libraries(case)
    found = f"{', '.join(supplied)} missing, supplied from a wheel" if supplied else "all there"
    return Accepted("system-libraries", wanted, found, case.declared)


def missing_libraries(case: Case) -> list[str]:
    """The needed system libraries that were looked for and are not there."""
    known = case.host.libraries
    return [name for name in case.build.libraries if name in known and known[name] is None]


def _suppliable(soname: str) -> bool:
    return any(row.soname == soname and row.wheel for row in facts.libraries())


BUILT = "the folder of environments"


def index(case: Case) -> Decision | None:
    """The makers' own index that holds the build answers."""
    if not case.build.indexes:
        return None
    wanted = ", ".join(case.build.indexes)
    if case.built:
        return Accepted("index", wanted, "not needed: the environment is there", BUILT)
    states = [case.indexes.get(name) for name in case.build.indexes]
    lost = [s for s in states if s is not None and s.state == "not reached"]
    if lost and not case.build.index_optional:
        found = "; ".join(f"{s.url}: {s.why}" for s in lost)
        return Rejected(
            "index", wanted, found, "asked just now", "see the network or proxy settings"
        )
    if lost:
        found = "not reached; the user's own index and folders are asked instead"
        return Accepted("index", wanted, found, "asked just now")
    if any(s is None for s in states):
        return Unchecked("index", wanted, "the index was not asked")
    return Accepted("index", wanted, "reached", "asked just now")


def disk(case: Case) -> Decision | None:
    """There is room for the environment."""
    wanted = f"{case.build.disk_mb} MB for the environment"
    if case.built:
        return Accepted("disk", wanted, "it is there already", BUILT)
    places = [d for d in case.host.disks if d.purpose == "data"]
    if not places:
        return Unchecked("disk", wanted, "the room on the host's disk is not known")
    free = places[0].free_bytes
    found = f"{free / 1e6:.0f} MB free for {places[0].path}"
    if free >= case.build.disk_mb * 1e6:
        return Accepted("disk", wanted, found, case.declared)
    hint = "free some space, or set SARTOR_HOME to a folder on a larger file system"
    return Rejected("disk", wanted, found, case.declared, hint)


RULES: tuple[Rule, ...] = (
    asked_for,
    model_format,
    architecture,
    glibc,
    python,
    cpu_isa,
    gpu_present,
    driver,
    gpu_driver_range,
    compute_capability,
    compiler,
    system_libraries,
    index,
    disk,
)
"""In the order in which they are shown. Memory is decided in `plan.memory`, for all candidates."""
