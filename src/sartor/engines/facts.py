"""What is declared about an engine and its builds: rows of `facts/engines/*.toml`."""

from __future__ import annotations

from functools import cache
from typing import Literal

import msgspec

from sartor.errors import UnknownEngineError, closest
from sartor.facts import Fact, files_of_facts, read_facts


class BuildFact(Fact, frozen=True):
    """One way to get an engine onto a machine.

    ``native`` and ``ptx`` are the compute capabilities whose machine code, and whose PTX, the
    makers declare; ``driver_min`` is for the build to start at all, ``driver_cuda_for_ptx`` the
    CUDA version a driver must support to compile its PTX. ``indexes`` are ids in `indexes.toml`,
    used for ``index_packages`` alone. ``leave_out`` are dependencies declared and not wanted.
    ``compilers`` must be there to build, ``compilers_wanted`` for what the engine compiles at run
    time. ``cpu_options`` says, for an architecture, which CMake option wants which CPU features.
    ``on_request`` builds are taken only when asked for by name.
    """

    id: str
    label: str
    how: Literal["wheel", "source"]
    accelerator: Literal["cpu", "cuda"]
    version: str
    launcher: str
    requirements: list[str]
    modules: list[str]
    disk_mb: int
    on_request: bool = False
    leave_out: list[str] = []
    indexes: list[str] = []
    index_packages: list[str] = []
    index_optional: bool = False
    source_project: str | None = None
    source_sha256: str | None = None
    cmake_args: list[str] = []
    cpu_options: dict[str, dict[str, list[str]]] = {}
    cpu_native_option: str | None = None
    python: str | None = None
    architectures: list[str] = []
    glibc: str | None = None
    cpu_features: dict[str, list[str]] = {}
    libraries: list[str] = []
    compilers: list[str] = []
    compilers_wanted: list[str] = []
    cuda: str | None = None
    driver_min: str | None = None
    driver_cuda_for_ptx: str | None = None
    native: list[str] = []
    ptx: list[str] = []


class EngineFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One engine; ``build`` is in order of preference, the best first.

    ``split`` says how a model is spread over several GPUs: by layers over any mixture, or by
    tensors over equal parts. ``rank`` orders the engines among each other on one accelerator; 1 is
    asked first. ``sequences`` says for how many sequences of the whole context room for the KV
    cache is kept ahead, by accelerator.
    """

    name: str
    aliases: list[str]
    formats: list[Literal["gguf", "safetensors"]]
    homepage: str
    licence: str
    default_context: int
    rank: dict[str, int]
    sequences: dict[str, int]
    default_gpu_memory_fraction: float
    split: Literal["layers", "tensors"]
    start_timeout_seconds: float
    build: list[BuildFact]


@cache
def engines() -> tuple[EngineFacts, ...]:
    """Every engine that can be served, by file name."""
    return tuple(msgspec.convert(read_facts(f), EngineFacts) for f in files_of_facts("engines"))


def engine(name: str) -> EngineFacts:
    """The engine of that name or alias; raises `UnknownEngineError` with the closest names."""
    wanted = name.strip().lower()
    known: dict[str, EngineFacts] = {}
    for facts in engines():
        known.update(dict.fromkeys([facts.name, *facts.aliases], facts))
    if wanted in known:
        return known[wanted]
    names = ", ".join(f"`{facts.name}`" for facts in engines())
    meant = dict.fromkeys(known[guess].name for guess in closest(wanted, known))
    guess = f"did you mean {' or '.join(f'`{n}`' for n in meant)}? " if meant else ""
    raise UnknownEngineError(
        f"`{name}` is not an engine that Sartor can serve",
        found=[f"engines: {names}"],
        hint=f"{guess}leave `--engine` out to have one chosen for the model and the machine",
    )
