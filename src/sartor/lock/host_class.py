"""The kind of machine that a host is, as a lock names it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sartor.lock.model import HostClass
from sartor.plan.machine import two_numbers

if TYPE_CHECKING:
    from sartor.host.model import Host
    from sartor.plan.known import Machine


def host_class(host: Host, machine: Machine) -> HostClass:
    """The host's kind; ``machine`` is what the wheels were chosen for.

    GPUs whose compute capability is not known are counted alone.
    """
    capabilities = [gpu.compute_capability for gpu in host.gpus]
    driver = host.driver
    return HostClass(
        architecture=machine.architecture,
        python=two_numbers(machine.python),
        glibc=machine.glibc,
        isa=None if host.cpu is None else host.cpu.generic,
        driver=None if driver is None else driver.version,
        cuda=None if driver is None else driver.cuda,
        gpus=[capability for capability in capabilities if capability],
        unknown_gpus=capabilities.count(None),
    )
