"""What is declared about an engine and the ways to get it: rows of `facts/engines/*.toml`."""

from __future__ import annotations

from functools import cache
from typing import Literal

import msgspec

from sartor.errors import UnknownEngineError, closest
from sartor.facts import Fact, files_of_facts, read_facts

Accelerator = Literal["cpu", "cuda"]
Provenance = Literal["maker", "third-party"]


class PinFact(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Projects that come from a maker's index (an id of `indexes.toml`) where that is reached."""

    index: str
    projects: list[str]


class ExtraFact(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The extra that versions within these bounds want to be more than a library."""

    versions: str
    extra: str


class DeclaredCode(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the makers say of a build whose machine code nobody has read.

    ``native`` and ``ptx`` are compute capabilities, ``driver_cuda_for_ptx`` the CUDA version that a
    driver must support to compile that PTX.
    """

    cuda: str
    native: list[str] = []
    ptx: list[str] = []
    driver_cuda_for_ptx: str | None = None


class LineFact(Fact, frozen=True):
    """One line of releases of an engine: a distribution on an index, or a source package.

    ``label`` may hold ``{version}``. ``versions`` bounds the releases that Sartor plans (see
    `facts.versions`), ``device_code`` are the distributions whose machine code decides whether it
    runs. ``launcher`` starts a server of it; without one it is planned and not served.
    ``torch_local`` is the local version that its torch must have (``+cpu``). ``leave_out`` are
    dependencies declared and not wanted, ``sdists`` those that were published as source alone for
    some time. ``compilers`` must be there to build,
    ``compilers_wanted`` for what it compiles at run time. ``cpu_features`` are compiled in, by
    architecture; ``cpu_options`` says which CMake option wants which of them. ``version``,
    ``source_project`` and ``source_sha256`` name a source package. ``on_request`` lines are taken
    only when they are asked for by name. ``disk_mb`` is what an environment of it takes.
    """

    id: str
    label: str
    how: Literal["wheel", "source"]
    accelerator: Accelerator
    distribution: str
    disk_mb: int
    provenance: Provenance = "maker"
    index: str = "default"
    versions: str = ""
    launcher: str | None = None
    modules: list[str] = []
    device_code: list[str] = []
    on_request: bool = False
    extras: list[ExtraFact] = []
    torch_local: str | None = None
    leave_out: list[str] = []
    sdists: list[str] = []
    pins: list[PinFact] = []
    version: str | None = None
    source_project: str | None = None
    source_sha256: str | None = None
    requirement: str | None = None
    python: str | None = None
    architectures: list[str] = []
    cmake_args: list[str] = []
    cpu_options: dict[str, dict[str, list[str]]] = {}
    cpu_native_option: str | None = None
    cpu_features: dict[str, list[str]] = {}
    libraries: list[str] = []
    compilers: list[str] = []
    compilers_wanted: list[str] = []
    declared: DeclaredCode | None = None

    def extra_for(self, version: str) -> str | None:
        """The extra that a version wants."""
        from sartor.facts.versions import within_versions

        return next((e.extra for e in self.extras if within_versions(e.versions, version)), None)


class EngineFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One engine; ``line`` is in order of preference, the best first.

    ``split`` says how a model is spread over several GPUs: by layers over any mixture, or by
    tensors over equal parts. ``rank`` orders the engines among each other on one accelerator; 1 is
    asked first. ``sequences`` says for how many sequences of the whole context room for the KV
    cache is kept ahead, by accelerator. ``usual_python`` is taken for a machine of which no Python
    is known.
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
    usual_python: str
    line: list[LineFact]

    @property
    def served(self) -> bool:
        """Whether Sartor starts a server of it."""
        return any(line.launcher for line in self.line)


@cache
def engines() -> tuple[EngineFacts, ...]:
    """Every engine that can be planned, by file name."""
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
        f"`{name}` is not an engine that Sartor knows",
        found=[f"engines: {names}"],
        hint=f"{guess}leave the engine out to have one chosen for the model and the machine",
    )
