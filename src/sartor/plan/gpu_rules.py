"""The rules about GPUs and their driver; silent about a build that is not for CUDA."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.version import Version

from sartor import facts
from sartor.facts.versions import known_version, leaves_open
from sartor.host.names import gpu_fact
from sartor.plan.devices import Coverage, compilable, coverage, devices
from sartor.plan.model import Accepted, Decision, Rejected, Unchecked

if TYPE_CHECKING:
    from sartor.plan.case import Case
    from sartor.plan.model import Device


def gpu_present(case: Case) -> Decision | None:
    """A CUDA build needs a GPU that the driver answers for."""
    if case.build.accelerator != "cuda":
        return None
    wanted, evidence = "an NVIDIA GPU that the driver answers for", "the host"
    names = [d.name for d in devices(case.host)]
    if names:
        return Accepted("gpu", wanted, ", ".join(names), evidence)
    if case.host.gpus:
        found = "MIG is on and no instance has been made"
        hint = "make one with `nvidia-smi mig -cgi … -C`, or switch MIG off"
        return Rejected("gpu", wanted, found, evidence, hint)
    if case.host.undriven_gpus:
        gpu = case.host.undriven_gpus[0]
        found = f"{gpu.name or gpu.device_id} at {gpu.pci_address}: {gpu.why or 'no driver'}"
        return Rejected("gpu", wanted, found, evidence)
    return Rejected("gpu", wanted, "none stated" if case.host.described else "none", evidence)


def driver(case: Case) -> Decision | None:
    """The driver is new enough for the CUDA runtime that the build carries."""
    if case.build.accelerator != "cuda" or case.build.driver_min is None:
        return None
    wanted = f"driver {case.build.driver_min} or newer (CUDA {case.build.cuda})"
    version = case.host.driver.version if case.host.driver else None
    found = known_version(version)
    if version is None or found is None:
        return Unchecked("driver", wanted, "the driver's version is not known")
    minimum = Version(case.build.driver_min)
    if leaves_open(found, minimum):
        why = f"only {version} is known of the driver's version: state the whole version"
        return Unchecked("driver", wanted, why)
    if found >= minimum:
        return Accepted("driver", wanted, version, case.declared)
    hint = f"a driver of version {case.build.driver_min} or newer would unlock it"
    return Rejected("driver", wanted, version, case.declared, hint)


def gpu_driver_range(case: Case) -> Decision | None:
    """The driver's branch still, or already, knows the GPUs."""
    version = known_version(case.host.driver.version if case.host.driver else None)
    if case.build.accelerator != "cuda" or version is None:
        return None
    branch = version.major
    bad = []
    for device in devices(case.host):
        known = facts.driver_range(device.compute_capability)
        last = known.last_branch if known else None
        fact = gpu_fact(device.name)  # a product may be younger than its compute capability
        first = fact.driver_min_branch if fact else None
        if first is None and known is not None:
            first = known.first_branch
        if last is not None and branch > last:
            bad.append(f"{device.name}: {last} is the last branch that supports it")
        elif first is not None and branch < first:
            bad.append(f"{device.name}: {first} is the first branch that supports it")
    wanted, evidence = "a driver branch that supports the GPU", "facts/archs.toml"
    if bad and len(bad) == len(devices(case.host)):
        return Rejected("gpu-driver-range", wanted, "; ".join(bad), evidence, "install that branch")
    return Accepted("gpu-driver-range", wanted, "; ".join(bad) or f"branch {branch}", evidence)


def device_verdicts(case: Case) -> list[tuple[Device, Coverage]]:
    """Every device of the host with what the build is declared to hold for it."""
    cuda = case.host.driver.cuda if case.host.driver else None
    found = []
    for device in devices(case.host):
        if case.build.how == "source":
            found.append((device, _compiled(case, device)))
        else:
            found.append((device, coverage(case.build, device, cuda)))
    return found


def _compiled(case: Case, device: Device) -> Coverage:
    toolkits = [t for t in case.host.cuda_toolkits if t.version]
    if not toolkits:
        return Coverage("missing", "no nvcc was found")
    version = ".".join(str(toolkits[0].version).split(".")[:2])
    match compilable(device, version):
        case True:
            return Coverage("native", f"nvcc {version} compiles for {device.compute_capability}")
        case False:
            return Coverage(
                "missing", f"nvcc {version} cannot compile for {device.compute_capability}"
            )
        case None:
            return Coverage("unknown", "the compute capability is not in the facts")


def usable_devices(case: Case) -> list[Device]:
    """The devices that the build may run on: those that it is declared for before the others."""
    usable = [(d, c) for d, c in device_verdicts(case) if c.verdict != "missing"]
    return [d for d, _ in sorted(usable, key=lambda pair: not pair[1].is_sure)]


def compute_capability(case: Case) -> Decision | None:
    """The build is declared to hold code for at least one of the GPUs."""
    if case.build.accelerator != "cuda" or not devices(case.host):
        return None
    native = ", ".join(case.build.native) or "what nvcc can compile"
    wanted = f"machine code for {native}" + (
        f"; PTX {', '.join(case.build.ptx)}" if case.build.ptx else ""
    )
    verdicts = device_verdicts(case)
    found = "; ".join(f"{d.name} ({d.compute_capability}): {v.because}" for d, v in verdicts)
    if any(v.is_sure for _, v in verdicts):
        return Accepted("compute-capability", wanted, found, case.declared)
    if all(v.verdict == "missing" for _, v in verdicts):
        return Rejected("compute-capability", wanted, found, case.declared)
    return Unchecked("compute-capability", wanted, found)
