"""The rules about GPUs and their driver; silent about a line that is not for CUDA."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.version import Version

from sartor import facts
from sartor.facts.versions import known_version, leaves_open
from sartor.host.names import gpu_fact
from sartor.plan.devices import devices
from sartor.plan.model import Accepted, Decision, Rejected, Unchecked

if TYPE_CHECKING:
    from sartor.plan.case import Case, Rule


def gpu_present(case: Case) -> Decision | None:
    """A CUDA build needs a GPU that the driver answers for."""
    if not case.on_cuda:
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
    """The driver is new enough for the CUDA runtime that the release carries.

    Within a major version of CUDA any driver of that major will do (minor-version compatibility);
    what that does not hold for, PTX, is judged part by part.
    """
    cuda = case.cuda
    if not case.on_cuda or cuda is None:
        return None
    least = driver_for(cuda)
    if least is None:
        return Unchecked("driver", f"a driver for CUDA {cuda}", "that version is not in the facts")
    wanted = f"driver {least} or newer (CUDA {cuda})"
    version = case.host.driver.version if case.host.driver else None
    found = known_version(version)
    if version is None or found is None:
        return Unchecked("driver", wanted, "the driver's version is not known")
    minimum = known_version(least)
    if minimum is not None and leaves_open(found, minimum):
        why = f"only {version} is known of the driver's version: state the whole version"
        return Unchecked("driver", wanted, why)
    evidence = "facts/cuda.toml; " + _cuda_evidence(case)
    if minimum is not None and found >= minimum:
        return Accepted("driver", wanted, version, evidence)
    hint = f"a driver of version {least} or newer would unlock it"
    return Rejected("driver", wanted, version, evidence, hint)


def _cuda_evidence(case: Case) -> str:
    torch = case.torch
    if torch is not None and torch.cuda is not None:
        return f"the metadata of {torch.file.name if torch.file else f'torch {torch.version}'}"
    return case.declared


def driver_for(cuda: str) -> str | None:
    """The oldest driver that starts a program of that CUDA version; None where not known."""
    wanted = known_version(cuda)
    if wanted is None:
        return None
    alike = [t for t in facts.toolkits() if Version(t.version).major == wanted.major]
    exact = [t for t in alike if Version(t.version).release[:2] == wanted.release[:2]]
    return (exact or alike)[0].minor_compat_driver_min if alike else None


def gpu_driver_range(case: Case) -> Decision | None:
    """The driver's branch still, or already, knows the GPUs."""
    version = known_version(case.host.driver.version if case.host.driver else None)
    if not case.on_cuda or version is None:
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


HOST_RULES: tuple[Rule, ...] = (gpu_present, gpu_driver_range)
"""Those that need the host alone."""
