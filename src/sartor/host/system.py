"""The operating system: C library, kernel, distribution, WSL, and the container around us."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from sartor.host.machine import Unread
from sartor.host.model import NotChecked, System
from sartor.host.reading import Reading, text_or_note

if TYPE_CHECKING:
    from sartor.host.machine import Machine

OS_RELEASE = ("/etc/os-release", "/usr/lib/os-release")
WSL_INTEROP = (
    "/proc/sys/fs/binfmt_misc/WSLInterop",
    "/proc/sys/fs/binfmt_misc/WSLInterop-late",
)
WSL_GPU = "/dev/dxg"
GROUP_NAMES = ("kubepods", "docker", "libpod", "containerd", "crio", "lxc")
"""Parts of control group paths that containers have, the most telling first."""


def read_glibc(machine: Machine) -> Reading[str | None]:
    """glibc's version; None with a note for another C library."""
    answer = machine.libc()
    if isinstance(answer, Unread):
        return Reading(None, [NotChecked("glibc", answer.why)])
    match = re.fullmatch(r"glibc (\d+\.\d+)\S*", answer.strip())
    if match is None:
        return Reading(None, [NotChecked("glibc", f"the C library calls itself `{answer}`")])
    return Reading(match[1], [])


def read_system(machine: Machine) -> Reading[System]:
    """The kernel, the distribution, and the version of WSL."""
    name = machine.uname()
    distribution, notes = read_distribution(machine)
    system = System(name.system, name.release, distribution, read_wsl(machine, name.release))
    return Reading(system, notes)


def read_distribution(machine: Machine) -> Reading[str | None]:
    """``ID VERSION_ID`` of os-release: ``ubuntu 24.04``; only ``ID`` where there is no version."""
    answers = [machine.read_text(path) for path in OS_RELEASE]
    text = next((answer for answer in answers if isinstance(answer, str)), None)
    fields = parse_os_release(text or "")
    words = [fields[key] for key in ("ID", "VERSION_ID") if fields.get(key)]
    if not words:
        return Reading(
            None, [NotChecked("system.distribution", f"{OS_RELEASE[0]} does not say it")]
        )
    return Reading(" ".join(words), [])


def parse_os_release(text: str) -> dict[str, str]:
    """The assignments of an os-release file, without their quotes."""
    pairs = (line.partition("=") for line in text.splitlines() if not line.startswith("#"))
    return {key.strip(): unquote(value) for key, equals, value in pairs if equals}


def unquote(value: str) -> str:
    """A shell word's value; the text itself where it is not one."""
    try:
        return "".join(shlex.split(value))
    except ValueError:
        return value.strip()


def read_wsl(machine: Machine, release: str) -> int | None:
    """1 or 2 on the Windows Subsystem for Linux, else None.

    Microsoft's own kernels say so; a kernel of the user's own is only possible on WSL 2.
    """
    version = machine.read_text("/proc/version")
    words = f"{release} {version if isinstance(version, str) else ''}".lower()
    second = "wsl2" in words or "microsoft-standard" in words or exists(machine, WSL_GPU)
    if "microsoft" in words:
        return 2 if second else 1
    return 2 if any(exists(machine, path) for path in WSL_INTEROP) else None


def exists(machine: Machine, path: str) -> bool:
    """Whether anything is at ``path``."""
    return not isinstance(machine.resolve(path), Unread)


def read_container(machine: Machine) -> Reading[str | None]:
    """The runtime of the container that this process is in; None outside of one."""
    notes: list[NotChecked] = []
    named = container_by_environment(machine) or container_by_file(machine)
    if named:
        return Reading(named, notes)
    groups = text_or_note(machine.read_text("/proc/1/cgroup"), "containers.inside", notes)
    return Reading(container_by_group(groups or ""), notes)


def container_by_environment(machine: Machine) -> str | None:
    """The runtime that announces itself in a variable."""
    if machine.environ("KUBERNETES_SERVICE_HOST"):
        return "kubernetes"
    if machine.environ("APPTAINER_CONTAINER") or machine.environ("SINGULARITY_CONTAINER"):
        return "apptainer"
    return machine.environ("container") or None


def container_by_file(machine: Machine) -> str | None:
    """The runtime that leaves a file at the root."""
    if exists(machine, "/run/.containerenv"):
        return "podman"
    return "docker" if exists(machine, "/.dockerenv") else None


def container_by_group(groups: str) -> str | None:
    """The runtime whose name is in the control groups of the first process."""
    for part in GROUP_NAMES:
        if re.search(rf"[/:.-]{part}\b|[/:]{part}", groups):
            return {"kubepods": "kubernetes", "libpod": "podman"}.get(part, part)
    return None
