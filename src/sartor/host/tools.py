"""Programs: compilers, CUDA toolkits, container tools, and ways to pass a GPU to a container."""

from __future__ import annotations

import re
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import msgspec

from sartor.host.machine import CommandResult, Unread
from sartor.host.model import NotChecked, Tool
from sartor.host.parallel import each
from sartor.host.reading import Reading, text_or_note
from sartor.host.system import exists

if TYPE_CHECKING:
    from sartor.host.machine import Machine

COMPILERS = ("gcc", "g++", "clang", "clang++", "cc", "cmake", "ninja")
CONTAINER_TOOLS = ("docker", "podman", "buildah", "nerdctl", "apptainer", "enroot")
VERSION_ARGUMENT = {"enroot": "version"}
TOOLKIT_PROGRAMS = ("nvidia-ctk", "nvidia-container-toolkit")
CDI_FOLDERS = ("/etc/cdi", "/var/run/cdi")
DOCKER_CONFIGURATION = "/etc/docker/daemon.json"
TIMEOUT = 3.0


def read_compilers(machine: Machine) -> list[Tool]:
    """The compilers and build programs on PATH."""
    return with_versions(machine, on_path(machine, COMPILERS))


def read_container_tools(machine: Machine) -> list[Tool]:
    """The container tools on PATH; whether a daemon answers is not asked."""
    return with_versions(machine, on_path(machine, CONTAINER_TOOLS))


def on_path(machine: Machine, names: tuple[str, ...]) -> list[Tool]:
    """Those of ``names`` that are on PATH, without their versions."""
    return [Tool(name, path) for name in names if (path := machine.which(name))]


def with_versions(machine: Machine, tools: list[Tool]) -> list[Tool]:
    """The same tools with their versions; a program with several names is started once."""
    real = {tool.path: real_path(machine, tool.path) for tool in tools}
    first = {path: tool for tool in reversed(tools) for path in (real[tool.path],)}
    versions = dict(
        zip(first, each(partial(version_of, machine), list(first.values())), strict=True)
    )
    return [msgspec.structs.replace(tool, version=versions[real[tool.path]]) for tool in tools]


def real_path(machine: Machine, path: str) -> str:
    """The file behind ``path``, or ``path`` where that cannot be told."""
    answer = machine.resolve(path)
    return path if isinstance(answer, Unread) else answer


def version_of(machine: Machine, tool: Tool) -> str | None:
    """The version that a program prints; None where it does not."""
    argument = VERSION_ARGUMENT.get(tool.name, "--version")
    result = machine.run([tool.path, argument], timeout=TIMEOUT)
    if not isinstance(result, CommandResult) or result.returncode != 0:
        return None
    return version_in(result.stdout)


def version_in(text: str) -> str | None:
    """The first dotted number outside of parentheses, which hold the distribution's own."""
    match = re.search(r"(?<![\w.])\d+(?:\.\d+)+", re.sub(r"\([^)]*\)", "", text))
    return match[0] if match else None


def read_toolkits(machine: Machine) -> list[Tool]:
    """Every ``nvcc``: on PATH, below ``$CUDA_HOME`` and ``$CUDA_PATH``, in ``/usr/local/cuda*``."""
    candidates = [path for path in nvcc_candidates(machine) if exists(machine, path)]
    by_file = {real_path(machine, path): path for path in reversed(candidates)}
    real = sorted(by_file, key=lambda file: candidates.index(by_file[file]))
    versions = each(partial(nvcc_version, machine), real)
    return [Tool("nvcc", by_file[f], v) for f, v in zip(real, versions, strict=True)]


def nvcc_candidates(machine: Machine) -> list[str]:
    """Where an ``nvcc`` may be, in the order in which a build would take it."""
    on_path = [path for path in (machine.which("nvcc"),) if path]
    homes = [home for name in ("CUDA_HOME", "CUDA_PATH") if (home := machine.environ(name))]
    local = machine.list_folder("/usr/local")
    names = (
        []
        if isinstance(local, Unread)
        else [n for n in local if re.fullmatch(r"cuda(-[\d.]+)?", n)]
    )
    return [
        *on_path,
        *(f"{root}/bin/nvcc" for root in [*homes, *(f"/usr/local/{n}" for n in names)]),
    ]


def nvcc_version(machine: Machine, nvcc: str) -> str | None:
    """The version of one ``nvcc`` (``13.0.88``), from the toolkit's own list or from itself."""
    listed = machine.read_text(str(PurePosixPath(nvcc).parent.parent / "version.json"))
    if isinstance(listed, str) and (version := listed_nvcc(listed)):
        return version
    result = machine.run([nvcc, "--version"], timeout=TIMEOUT)
    if not isinstance(result, CommandResult):
        return None
    match = re.search(r"\bV(\d+\.\d+\.\d+)", result.stdout)
    return match[1] if match else None


class Component(msgspec.Struct, frozen=True):
    """One entry of a toolkit's ``version.json``."""

    version: str | None = None


class ToolkitList(msgspec.Struct, frozen=True):
    """A toolkit's ``version.json``, as far as it matters here."""

    cuda_nvcc: Component = Component()


def listed_nvcc(text: str) -> str | None:
    """The version of ``nvcc`` in a toolkit's ``version.json``."""
    try:
        return msgspec.json.decode(text, type=ToolkitList).cuda_nvcc.version
    except msgspec.MsgspecError:
        return None


class DockerConfiguration(msgspec.Struct, frozen=True):
    """The part of docker's ``daemon.json`` that names its runtimes."""

    runtimes: dict[str, msgspec.Raw] = {}


def read_passthrough(machine: Machine) -> Reading[list[str]]:
    """The ways to give a GPU to a container that are set up here."""
    notes: list[NotChecked] = []
    found = []
    if any(machine.which(name) for name in TOOLKIT_PROGRAMS):
        found.append("nvidia-container-toolkit")
    if machine.which("nvidia-container-runtime") or "nvidia" in docker_runtimes(machine, notes):
        found.append("nvidia-container-runtime")
    if any(has_cdi(machine, folder) for folder in CDI_FOLDERS):
        found.append("cdi")
    return Reading(found, notes)


def docker_runtimes(machine: Machine, notes: list[NotChecked]) -> list[str]:
    """The runtimes that docker is configured with."""
    what = "containers.gpu_passthrough"
    text = text_or_note(machine.read_text(DOCKER_CONFIGURATION), what, notes)
    if not text:
        return []
    try:
        return list(msgspec.json.decode(text, type=DockerConfiguration).runtimes)
    except msgspec.MsgspecError as error:
        notes.append(NotChecked(what, f"{DOCKER_CONFIGURATION}: {error}"))
        return []


def has_cdi(machine: Machine, folder: str) -> bool:
    """Whether a folder has a CDI specification for NVIDIA's GPUs."""
    names = machine.list_folder(folder)
    if isinstance(names, Unread):
        return False
    specifications = [name for name in names if name.endswith((".yaml", ".yml", ".json"))]
    texts = (machine.read_text(f"{folder}/{name}") for name in specifications)
    return any(isinstance(text, str) and "nvidia.com/gpu" in text for text in texts)
