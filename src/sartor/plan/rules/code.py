"""The rules about what a release brings: its metadata, its torch, its machine code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.facts.offers import torch_build
from sartor.facts.versions import known_version
from sartor.matrix.model import HAS_CODE
from sartor.matrix.parts import because, together
from sartor.plan.case import TORCH
from sartor.plan.devices import compilable, coverage, devices
from sartor.plan.model import Accepted, Decision, Rejected, Unchecked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sartor.engines.facts import DeclaredCode
    from sartor.facts.offers import TorchBuildFact
    from sartor.matrix.model import MapGrade, Part
    from sartor.plan.case import Case, Rule
    from sartor.plan.devices import Coverage
    from sartor.plan.model import Device
    from sartor.verdict.model import Target

READ = "read from the machine code"


def metadata(case: Case) -> Decision | None:
    """The release's metadata was read."""
    if case.package is None:
        return None if case.unread is None else Unchecked("metadata", "its METADATA", case.unread)
    found = f"{case.package.name} {case.package.version}"
    return Accepted("metadata", "its METADATA", found, case.package.path)


def torch_pin(case: Case) -> Decision | None:
    """The torch that the release names is published for the machine."""
    torch = case.torch
    if torch is None:
        return None
    if torch.file is None:
        why = torch.why or "no wheel of it fits the machine"
        return Rejected("torch-pin", torch.requirement, why, "the release's METADATA; the index")
    found = torch.file.name if torch.cuda is None else f"{torch.file.name} (CUDA {torch.cuda})"
    return Accepted("torch-pin", torch.requirement, found, "the release's METADATA")


def provenance(case: Case) -> Decision | None:
    """Who made it; a third party's build is taken, and said."""
    wanted = "a build of the engine's makers"
    evidence = f"facts of {case.engine.name}"
    if case.line.provenance == "maker":
        return Accepted("provenance", wanted, case.engine.homepage, evidence)
    found = f"a third party's: {case.line.distribution} from {case.offer.index}"
    return Accepted("provenance", wanted, found, evidence)


class Served:
    """What the wheels that decide hold for one kind of GPU.

    ``grade``: ``native``, ``jit`` or ``partial`` where it runs, else what stands against it.
    ``lost`` are the parts that are not its core and that it lacks there.
    """

    def __init__(self, target: Target, held: list[tuple[str, list[Part]]]) -> None:
        self.target = target
        self.grades: dict[str, MapGrade] = {name: together(parts) for name, parts in held}
        self.held = held

    @property
    def bad(self) -> str | None:
        """The first project that has no code for it."""
        against = ("missing", "no-device-code", "not-applicable")
        return next((name for name, grade in self.grades.items() if grade in against), None)

    @property
    def unsure(self) -> str | None:
        """The first project of which it is not known."""
        return next((name for name, grade in self.grades.items() if grade == "unknown"), None)

    @property
    def runs(self) -> bool:
        """Whether the core of each has code for it."""
        return all(grade in HAS_CODE for grade in self.grades.values())

    @property
    def lost(self) -> list[tuple[str, Part]]:
        """What is not its core and lacks code there."""
        return [
            (name, part)
            for name, parts in self.held
            for part in parts
            if part.verdict in {"missing", "partial"} and not part.core
        ]

    def why(self) -> str:
        """In words: the grade of each, and the reason of what stands against it."""
        about = self.bad or self.unsure
        if about is None:
            return ", ".join(f"{name} {grade}" for name, grade in self.grades.items())
        parts = next(parts for name, parts in self.held if name == about)
        grade = self.grades[about]
        return f"{about}: {because(grade, parts) if parts else 'it holds no device code'}"


def served(case: Case) -> list[Served]:
    """One for each kind of GPU, by the machine code of what was read of that which decides."""
    held = {name: parts.targets for name, parts in case.code.items() if parts is not None}
    if not held:
        return []
    return [
        Served(target, [(name, parts[number]) for name, parts in held.items()])
        for number, target in enumerate(case.targets)
    ]


def device_code(case: Case) -> Decision | None:
    """The wheels hold code that at least one of the GPUs runs, under its driver."""
    if not case.on_cuda or not case.targets:
        return None
    if case.line.declared is not None:
        return _declared(case, case.line.declared)
    if not case.line.device_code or not case.code:
        return None
    names = ", ".join(case.code)
    gpus = ", ".join(dict.fromkeys(t.gpu for t in case.targets))
    wanted = f"code of {names} for {gpus}"
    return _by_machine_code(case, wanted)


def _by_machine_code(case: Case, wanted: str) -> Decision:
    """What was read of one may stand against it; what was not read of another is said."""
    each = served(case)
    lacking = [name for name, parts in case.code.items() if parts is None]
    if TORCH in lacking and (said := _declared_torch(case, wanted)) is not None:
        return said
    if lacking and not (each and all(s.bad for s in each)):
        why = f"the machine code of {', '.join(lacking)} was never read"
        return Unchecked("device-code", wanted, f"{why}: {_how_to_read(case, lacking)}")
    found = "; ".join(f"{s.target.name or s.target.gpu}: {s.why()}" for s in each)
    reads = sorted({p.read_at[:10] for p in case.code.values() if p is not None})
    evidence = f"{READ} on {', '.join(reads)}"
    if case.read_of:
        evidence += f", of {', '.join(case.read_of.values())} (another Python, the same release)"
    if any(s.runs for s in each):
        return Accepted("device-code", wanted, found, evidence)
    if any(s.bad is None for s in each):
        return Unchecked("device-code", wanted, found)
    return Rejected(_rule_of(each), wanted, found, evidence, _driver_hint(each))


def _declared_torch(case: Case, wanted: str) -> Decision | None:
    """What PyTorch's makers say of a torch whose machine code nobody has read, if it is against."""
    torch = case.torch
    if torch is None or torch.version is None:
        return None
    row = torch_build(torch.index, torch.version, case.machine.architecture)
    if row is None:
        return None
    gpus = [(t, t.compute_capability) for t in case.targets]
    if any(c in row.native or _older_ptx(row, c) for _, c in gpus):
        return None
    names = ", ".join(t.name or t.gpu for t, _ in gpus)
    found = f"{names}: torch {torch.version} ({row.grade} for {', '.join(row.native)})"
    return Rejected("device-code", wanted, found, f"{row.source} ({row.checked_on})")


def _older_ptx(row: TorchBuildFact, capability: str) -> bool:
    """Whether PTX, or code for an older minor version of the same major one, may serve a GPU."""
    have = known_version(capability)
    older = [v for text in row.ptx if (v := known_version(text)) and have and v <= have]
    same = [v for t in row.native if (v := known_version(t)) and have and v.major == have.major]
    return bool(older) or any(have is not None and v <= have for v in same)


def _rule_of(each: list[Served]) -> str:
    """``ptx`` where a newer driver alone would do for all: there is PTX that it cannot compile."""
    return "ptx" if all(_needs_newer(s) for s in each) else "device-code"


def _needs_newer(one: Served) -> str | None:
    """The CUDA version of a driver for which the parts of the core have code."""
    have = known_version(one.target.driver_cuda)
    needs = [
        part.needs_driver_cuda
        for name, parts in one.held
        if name == one.bad
        for part in parts
        if part.core and part.verdict == "missing"
    ]
    found = [(v, n) for n in needs if (v := known_version(n)) and have and v > have]
    return max(found)[1] if found and len(found) == len(needs) else None


def _driver_hint(each: list[Served]) -> str | None:
    needs = [need for s in each if (need := _needs_newer(s))]
    return f"a driver for CUDA {needs[0]} or newer would unlock it" if needs else None


def _how_to_read(case: Case, lacking: list[str]) -> str:
    versions = {case.line.distribution: case.offer.version or ""}
    versions |= {name: c.version or "" for name, c in case.companions.items()}
    wheels = " ".join(f"{name}=={versions[name]}" for name in lacking if versions.get(name))
    return f"`sartor inspect {wheels}` reads it"


def compiled(case: Case) -> Decision | None:
    """The toolkit that would compile it knows at least one of the GPUs."""
    if not case.on_cuda or case.line.how != "source" or not devices(case.host):
        return None
    toolkits = [t for t in case.host.cuda_toolkits if t.version]
    if not toolkits:
        return None  # the compiler's own rule says so
    version = ".".join(str(toolkits[0].version).split(".")[:2])
    able = [(d, compilable(d, version)) for d in devices(case.host)]
    wanted = f"an nvcc for {', '.join(str(d.compute_capability) for d, _ in able)}"
    found, evidence = f"nvcc {version}", "facts/archs.toml"
    if any(can for _, can in able):
        return Accepted("device-code", wanted, found, evidence)
    if all(can is False for _, can in able):
        return Rejected("device-code", wanted, f"{found}, which cannot", evidence)
    return Unchecked("device-code", wanted, "the compute capability is not in the facts")


def _declared(case: Case, code: DeclaredCode) -> Decision:
    """What the makers say, where nobody has read the machine code."""
    wanted = f"machine code for {', '.join(code.native)}" + (
        f"; PTX {', '.join(code.ptx)}" if code.ptx else ""
    )
    verdicts = list(declared_verdicts(case))
    found = "; ".join(f"{d.name} ({d.compute_capability}): {v.because}" for d, v in verdicts)
    if any(v.is_sure for _, v in verdicts):
        return Accepted("device-code", wanted, found, case.declared)
    if all(v.verdict == "missing" for _, v in verdicts):
        return Rejected("device-code", wanted, found, case.declared)
    return Unchecked("device-code", wanted, found)


def declared_verdicts(case: Case) -> Iterator[tuple[Device, Coverage]]:
    """Every device of the host with what the line's makers declare for it."""
    cuda = case.host.driver.cuda if case.host.driver else None
    if case.line.declared is not None:
        for device in devices(case.host):
            yield device, coverage(case.line.declared, device, cuda)


def usable_devices(case: Case) -> list[Device]:
    """The devices that it may run on: those that it surely has code for before the others."""
    if case.line.how == "source":
        return devices(case.host)
    if case.line.declared is not None:
        able = [(d, c.is_sure) for d, c in declared_verdicts(case) if c.verdict != "missing"]
    else:
        able = [(d, sure) for d in devices(case.host) if (sure := _serves(case, d)) is not None]
    return [d for d, _ in sorted(able, key=lambda pair: not pair[1])]


def _serves(case: Case, device: Device) -> bool | None:
    """Whether the machine code serves a device: True, False (not known), None (it does not)."""
    each = [s for s in served(case) if s.target.compute_capability == device.compute_capability]
    if not each:
        return False
    if each[0].bad is not None:
        return None
    return each[0].runs and None not in case.code.values()


METADATA_RULES: tuple[Rule, ...] = (metadata, torch_pin, provenance)
CODE_RULES: tuple[Rule, ...] = (compiled, device_code)
