"""Torch's own checks: on CUDA where the stack computes there, and on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from sartor.verify.child import Program

if TYPE_CHECKING:
    from sartor.host.model import Host
    from sartor.verify.subject.model import Subject

Device = Literal["cuda", "cpu"]
WORDS: dict[Device, str] = {"cuda": "CUDA", "cpu": "the CPU"}
WITHOUT_MULTICAST = {
    "NCCL_NVLS_ENABLE": "0",
    "TORCH_SYMM_MEM_DISABLE_MULTICAST": "1",
    "NVSHMEM_DISABLE_NVLS": "1",
}
"""NVLink multicast belongs to the switches of a whole host: a check that is ended while it uses it
can put GPUs that others use out of service."""


def torch_programs(subject: Subject, host: Host) -> list[Program]:
    """The programs of *launches* and *golden* for an environment with torch; else none.

    A build for CUDA has its CPU's operators as well. Where the machine has no driven GPU, those of
    CUDA come out as not checked, with torch's reason.
    """
    if "torch" not in subject.packages:
        return []
    devices: list[Device] = ["cuda", "cpu"] if subject.accelerator == "cuda" else ["cpu"]
    launches = [_program("launch", device, subject, host) for device in devices]
    return [*launches, *(_program("golden", device, subject, host) for device in devices)]


def _program(
    which: Literal["launch", "golden"], device: Device, subject: Subject, host: Host
) -> Program:
    return Program(
        module=f"torch_{which}",
        label=f"start torch's {which} checks on {WORDS[device]}",
        python=subject.python,
        grade="launches" if which == "launch" else "golden",
        settings={"device": device, "expected": bool(host.gpus and host.driver)},
        variables=subject.variables | WITHOUT_MULTICAST,
    )
