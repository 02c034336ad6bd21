"""How an engine's server is started: one function per launcher, all of one shape.

A launcher gets the environment's interpreter and the `ServeSettings`, and returns a `Command`. Keys
never stand on a command line: a launcher passes the path of the key file, or sets a variable of
the child's own environment through ``key_variable``.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from pathlib import Path

import msgspec


class ServeSettings(msgspec.Struct, frozen=True):
    """What a server is asked to do. ``context`` is in tokens; ``gpus`` are UUIDs or indices.

    ``accelerator`` is ``cpu`` or ``cuda``; ``kv_cache_bytes`` is what a CPU engine that allocates
    its cache ahead may take.
    """

    model_path: str
    model_name: str
    host: str
    port: int
    context: int
    accelerator: str = "cpu"
    threads: int | None = None
    gpus: list[str] = []
    gpu_memory_fraction: float = 0.9
    kv_cache_bytes: int | None = None
    api_key_file: str | None = None


class Command(msgspec.Struct, frozen=True):
    """A program, its arguments and the variables it needs beside the user's own.

    ``key_variable`` names the variable that the supervisor fills from the key file, if any.
    """

    argv: list[str]
    environment: dict[str, str] = {}
    key_variable: str | None = None


Launcher = Callable[[Path, Path, ServeSettings], Command]
"""(interpreter, folder for the run's files, settings) → command."""


def launcher(name: str) -> Launcher:
    """The launcher that a build names in its facts."""
    from sartor.engines import llama_cpp, vllm

    known: dict[str, Launcher] = {
        "xllamacpp": llama_cpp.xllamacpp,
        "llama_cpp_python": llama_cpp.llama_cpp_python,
        "vllm": vllm.vllm,
    }
    return known[name]


def script(name: str) -> str:
    """The path of a script that runs inside an engine's environment."""
    return str(resources.files("sartor.engines") / "launchers" / name)


def settings_file(run: Path, settings: ServeSettings) -> str:
    """Write the settings where a launcher script can read them; returns the path."""
    from sartor.paths import write_atomically

    path = run / "settings.json"
    write_atomically(path, msgspec.json.encode(settings))
    return str(path)


def visible_gpus(settings: ServeSettings) -> dict[str, str]:
    """The variables that show an engine the chosen GPUs and no others."""
    if settings.accelerator == "cpu":
        return {"CUDA_VISIBLE_DEVICES": ""}
    if not settings.gpus:
        return {}
    return {"CUDA_VISIBLE_DEVICES": ",".join(settings.gpus), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
