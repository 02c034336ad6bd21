"""The rules about the request and the machine; each looks at one thing and returns a decision.

Those about GPUs are in `rules.gpu`, those about what a release brings in `rules.code`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor import facts
from sartor.host.remedies import install_compilers, install_libraries
from sartor.plan.known import DEFAULT
from sartor.plan.machine import interpreter, is_asked, known_pythons
from sartor.plan.model import Accepted, Decision, Rejected, Unchecked
from sartor.plan.offers.tags import obstacle

if TYPE_CHECKING:
    from sartor.plan.case import Case, Rule


def asked_for(case: Case) -> Decision | None:
    """The line that the user named, and none that is made on request only."""
    asked, line = case.request.build, case.line
    if asked is None and not line.on_request:
        return None
    if asked is None and line.how == "source" and "source" in case.request.allow:
        return Accepted("asked-for", "a build from source", "--allow source", "the request")
    kind = "native" if line.how == "source" else "published"
    if asked in {line.id, kind}:
        return Accepted("asked-for", f"build {asked}", line.id, "the request")
    wanted = f"build {asked}" if asked else "a published build"
    hint = f"ask for it with `--build {kind}`" if line.on_request else None
    return Rejected("asked-for", wanted, line.id, "the request", hint)


def served(case: Case) -> Decision | None:
    """Sartor can start a server of it, where that is wanted."""
    if not case.request.served:
        return None
    wanted, evidence = "an engine that Sartor starts", f"facts of {case.engine.name}"
    if case.line.launcher:
        return Accepted("served", wanted, f"by {case.line.launcher}", evidence)
    hint = f"`sartor plan {case.engine.name}` plans it"
    return Rejected("served", wanted, "it is planned and not started", evidence, hint)


def model_format(case: Case) -> Decision | None:
    """The engine reads the model's format."""
    if case.model is None:
        return None
    formats = " or ".join(case.engine.formats)
    evidence = f"facts of {case.engine.name}; the model's own header"
    if case.model.format in case.engine.formats:
        return Accepted("model-format", formats, case.model.format, evidence)
    return Rejected("model-format", formats, case.model.format, evidence)


def index(case: Case) -> Decision | None:
    """The index that lists the line answers."""
    offer = case.offer
    if case.line.how == "source":
        return None
    wanted = "the configured index" if offer.index == DEFAULT else f"the index {offer.index}"
    if case.built is not None:
        return Accepted("index", wanted, "not needed: the environment is there", BUILT)
    if offer.state == "reached":
        return Accepted("index", wanted, "reached", "asked just now")
    if offer.version is not None:
        return Unchecked("index", wanted, f"{offer.state}: {offer.why or 'as it was kept'}")
    found = f"{offer.state}: {offer.why}" if offer.why else offer.state
    return Rejected("index", wanted, found, "asked just now", "see the network or proxy settings")


BUILT = "the folder of environments"


def tags(case: Case) -> Decision | None:
    """A wheel of the release is for the machine: its processor, C library and Python."""
    offer, machine = case.offer, case.machine
    if case.built is not None and offer.file is None:
        return Accepted("platform-tag", "a wheel for this machine", "it is installed", BUILT)
    if offer.file is not None:
        found = f"{machine.architecture}, Python {machine.python}"
        return Accepted("platform-tag", offer.file.name, found, "the wheel's tags")
    if case.line.how == "source":
        return _compiles_on(case)
    if offer.version is None:
        return None
    rule, wanted, found = obstacle(offer.files, machine)
    hints = {"python": NO_PYTHON}
    if found.startswith("glibc"):
        hints["platform-tag"] = "an image brings its own C library"
    return Rejected(rule, wanted, found, "the names of the release's wheels", hints.get(rule))


def yanked(case: Case) -> Decision | None:
    """Its makers did not take the wheel back, or it is asked for by its version (PEP 592)."""
    file = case.offer.file
    if file is None or file.yanked is None:
        return None
    wanted, evidence = "a wheel that was not taken back", "the index"
    found = f"yanked: {file.yanked}" if file.yanked else "yanked"
    if case.offer.is_named:
        return Accepted("yanked", wanted, f"{found}; it is asked for by its version", evidence)
    project, version = case.line.distribution, case.offer.version
    hint = f"it can be asked for by its version: `{project}=={version}`"
    return Rejected("yanked", wanted, found, evidence, hint)


def glibc(case: Case) -> Decision | None:
    """The machine's C library is known where the wheel's tag speaks of one."""
    file = case.offer.file
    if file is None or case.machine.glibc is not None or "linux" not in file.name:
        return None
    return Unchecked("glibc", f"a C library for {file.name}", "the host's glibc is not known")


NO_PYTHON = "install one of these versions; uv can fetch one: `uv python install 3.12`"


def _compiles_on(case: Case) -> Decision:
    wanted = " or ".join(case.line.architectures)
    fits = case.machine.architecture in case.line.architectures
    decide = Accepted if fits else Rejected
    return decide("architecture", wanted, case.machine.architecture, case.declared)


def python(case: Case) -> Decision | None:
    """The machine has an interpreter of the version that is asked for."""
    asked = case.request.python
    versions = known_pythons(case.host)
    wanted = f"Python {asked}" if asked else f"Python {case.machine.python}"
    if not versions:
        return Unchecked("interpreter", wanted, "the host's Pythons are not known")
    found = ", ".join(dict.fromkeys(versions))
    if not any(is_asked(version, asked) for version in versions):
        return Rejected("interpreter", wanted, found, "the host", NO_PYTHON)
    tool = interpreter(case.host, case.request, case.machine)
    return Accepted("interpreter", wanted, tool.path if tool else found, "the host")


def cpu_isa(case: Case) -> Decision | None:
    """The processor has the instructions that were compiled in."""
    needed = case.line.cpu_features.get(case.machine.architecture, [])
    if not needed:
        return None
    wanted = ", ".join(needed)
    if case.host.cpu is None or not case.host.cpu.features:
        return Unchecked("cpu-isa", wanted, "the host's CPU features are not known")
    missing = [f for f in needed if f not in case.host.cpu.features]
    if missing:
        found = f"{case.host.cpu.name} without {', '.join(missing)}"
        hint = "`--build native` compiles for exactly this CPU"
        return Rejected("cpu-isa", wanted, found, case.declared, hint)
    return Accepted("cpu-isa", wanted, "all of them", case.declared)


def compiler(case: Case) -> Decision | None:
    """A build from source finds its compilers, and so does what an engine compiles at run time."""
    needed = case.line.compilers + case.line.compilers_wanted
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
        if case.line.how == "source":
            hint += ", or take the published build by leaving `--build` out"
        return Rejected("compiler", wanted, f"no {', '.join(missing)}", "the host", hint)
    return Accepted("compiler", wanted, "there", "the host")


def system_libraries(case: Case) -> Decision | None:
    """Every system library that the line needs is there, or can be supplied from a wheel."""
    needed = case.line.libraries
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
    return [name for name in case.line.libraries if name in known and known[name] is None]


def _suppliable(soname: str) -> bool:
    return any(row.soname == soname and row.wheel for row in facts.libraries())


def disk(case: Case) -> Decision | None:
    """There is room for the environment."""
    wanted = f"{case.line.disk_mb} MB for the environment"
    if case.built is not None:
        return Accepted("disk", wanted, "it is there already", BUILT)
    places = [d for d in case.host.disks if d.purpose == "data"]
    if not places:
        return Unchecked("disk", wanted, "the room on the host's disk is not known")
    free = places[0].free_bytes
    found = f"{free / 1e6:.0f} MB free for {places[0].path}"
    if free >= case.line.disk_mb * 1e6:
        return Accepted("disk", wanted, found, case.declared)
    hint = "free some space, or set SARTOR_HOME to a folder on a larger file system"
    return Rejected("disk", wanted, found, case.declared, hint)


LISTED: tuple[Rule, ...] = (
    asked_for,
    served,
    model_format,
    index,
    tags,
    yanked,
    glibc,
    python,
    cpu_isa,
    compiler,
    system_libraries,
    disk,
)
"""Those that need no more than the index's list; in the order in which they are shown."""
