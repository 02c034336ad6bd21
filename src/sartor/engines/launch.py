"""How an engine's server is started: one `Launcher` for each, all of one shape.

A launcher's command gets the environment's interpreter and the `ServeSettings`, and returns a
`Command`. Keys never stand on a command line: it passes the path of the key file, or names a
variable of the child's own environment in ``key_variable``.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from pathlib import Path

import msgspec


class ServeSettings(msgspec.Struct, frozen=True):
    """What a server is asked to do. ``context`` is in tokens; ``gpus`` are UUIDs or indices.

    ``accelerator`` is ``cpu`` or ``cuda``; ``kv_cache_bytes`` is what a CPU engine that allocates
    its cache ahead may take; ``cache_folder`` is for what an engine compiles and keeps.
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
    cache_folder: str | None = None
    api_key_file: str | None = None


class Command(msgspec.Struct, frozen=True):
    """A program, its arguments and the variables it needs beside the user's own.

    ``key_variable`` names the variable that the supervisor fills from the key file, if any.
    """

    argv: list[str]
    environment: dict[str, str] = {}
    key_variable: str | None = None


class Launcher(msgspec.Struct, frozen=True):
    """What Sartor must know to start an engine, and to ask whether it sees the GPU.

    ``command``: (interpreter, folder for the run's files, settings) → `Command`. ``sees_gpu`` is a
    Python program for the environment's interpreter that ends with status 0 where it does.
    ``compiles`` says that on a GPU it compiles C against Python's headers when it starts.
    """

    command: Callable[[Path, Path, ServeSettings], Command]
    sees_gpu: str
    compiles: bool = False


def launcher(name: str) -> Launcher:
    """The launcher that a build names in its facts."""
    from sartor.engines import llama_cpp, vllm

    known: dict[str, Launcher] = {
        "xllamacpp": Launcher(llama_cpp.xllamacpp, llama_cpp.XLLAMACPP_SEES_GPU),
        "llama_cpp_python": Launcher(
            llama_cpp.llama_cpp_python, llama_cpp.LLAMA_CPP_PYTHON_SEES_GPU
        ),
        "vllm": Launcher(vllm.vllm, vllm.SEES_GPU, compiles=True),
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
