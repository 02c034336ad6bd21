"""The machine Sartor runs on, or a captured one, as a `Host`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from sartor import facts
from sartor.host.cpu import read_cpu
from sartor.host.machine import Unread
from sartor.host.memory import read_memory
from sartor.host.model import Containers, Disk, Host, NotChecked
from sartor.host.nvidia import read_nvidia
from sartor.host.pythons import read_pythons
from sartor.host.reading import Reading
from sartor.host.system import read_container, read_glibc, read_system
from sartor.host.tools import (
    read_compilers,
    read_container_tools,
    read_passthrough,
    read_toolkits,
)

if TYPE_CHECKING:
    from sartor.host.machine import Machine
    from sartor.paths import Places


def detect(machine: Machine, places: Places) -> Host:
    """Everything Sartor wants to know about ``machine``.

    Never fails for what it finds: what cannot be read is None and has an entry in ``not_checked``.
    Probes that start programs, or load the driver's library, run at the same time.
    """
    memory = read_memory(machine)
    inside = read_container(machine)
    with ThreadPoolExecutor(6) as pool:
        nvidia = pool.submit(read_nvidia, machine, inside.value, memory.value.total_bytes)
        compilers = pool.submit(read_compilers, machine)
        tools = pool.submit(read_container_tools, machine)
        toolkits = pool.submit(read_toolkits, machine)
        pythons = pool.submit(read_pythons, machine)
        cpu = read_cpu(machine)
        glibc = read_glibc(machine)
        system = read_system(machine)
        passthrough = read_passthrough(machine)
        disks = read_disks(machine, places)
        libraries = read_libraries(machine)
    gpus = nvidia.result()
    notes = [
        *(gpus.not_checked + cpu.not_checked + glibc.not_checked + memory.not_checked),
        *(disks.not_checked + system.not_checked + inside.not_checked + passthrough.not_checked),
    ]
    return Host(
        gpus=gpus.gpus,
        driver=gpus.driver,
        cpu=cpu.value,
        architecture=machine.uname().machine,
        glibc=glibc.value,
        memory=memory.value,
        disks=disks.value,
        system=system.value,
        pythons=pythons.result(),
        compilers=compilers.result(),
        cuda_toolkits=toolkits.result(),
        containers=Containers(inside.value, tools.result(), passthrough.value),
        libraries=libraries,
        undriven_gpus=gpus.undriven,
        not_checked=notes,
    )


def read_disks(machine: Machine, places: Places) -> Reading[list[Disk]]:
    """The room where environments go, and where uv keeps what it downloads."""
    disks, notes = [], []
    for purpose, path in (("data", str(places.root)), ("cache", uv_cache(machine))):
        room = machine.room(path)
        if isinstance(room, Unread):
            notes.append(NotChecked(f"disks.{purpose}", room.why))
        else:
            disks.append(Disk(purpose, path, room.free_bytes, room.writable))
    return Reading(disks, notes)


def uv_cache(machine: Machine) -> str:
    """The folder that uv caches in."""
    own = machine.environ("UV_CACHE_DIR")
    cache = machine.environ("XDG_CACHE_HOME") or f"{machine.environ('HOME') or ''}/.cache"
    return own or f"{cache}/uv"


def read_libraries(machine: Machine) -> dict[str, str | None]:
    """Where each system library is that some engine needs; None for one that is missing."""
    return {row.soname: machine.library(row.soname) for row in facts.libraries()}
