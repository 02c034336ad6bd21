"""vLLM itself, started on generated models: each attention backend, and each way of running.

*launches*: the engine starts in this process and answers; *golden*: its answer is held against the
reference. Each start has a process of its own, for vLLM does not give everything back.
"""

from __future__ import annotations

import os
import re
import time
import traceback
from functools import partial
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional  # noqa: UP035 - Python 3.9

from sartor_checks import (
    Check,
    NothingToCheck,
    NotMade,
    Result,
    Settings,
    asked_for,
    logits,
    tiny,
)
from sartor_checks import vllm_backends as backends

START_SECONDS, GOLDEN_SECONDS = 420.0, 180.0
GPU_BYTES = 4 << 30
CACHE_BYTES = 256 << 20
NO_COMPILER = re.compile(
    r"(could not find|not found|no such file|cannot find|unable to find|not installed)[^\n]*"
    r"\b(nvcc|ninja|cuda_home|g\+\+|c\+\+|gcc)\b"
    r"|\b(nvcc|ninja|cuda_home|g\+\+|gcc)\b[^\n]*"
    r"(could not|not found|no such file|cannot be found|not set|not installed|unavailable)",
    re.IGNORECASE,
)
"""What is said where something would be compiled at run time and nothing is there to do it."""


class Variant(NamedTuple):
    """A way of running: ``model`` is a name of `tiny.CONFIGS`, ``mode`` None the usual type."""

    name: str
    model: str = "llama"
    mode: Optional[str] = None  # noqa: UP045
    backend: Optional[str] = None  # noqa: UP045
    arguments: Dict[str, Any] = {}  # noqa: UP006
    features: List[str] = []  # noqa: UP006
    gpus: int = 1


def checks(settings: Settings) -> list[Check]:
    """``folder``: for models and answers; ``device``: cpu or cuda; ``gpus``: how many are there;
    ``package``: the project's name; ``unserved``: of each feature that it does not offer on
    this GPU why."""
    ways = (
        ("runs", "launches", launched, START_SECONDS),
        ("logits", "golden", compared, GOLDEN_SECONDS),
    )
    every = variants(settings["device"])
    found = [
        Check(
            f"vllm {what}, {variant.name}",
            grade,
            partial(run, variant, settings),
            seconds,
            settings["package"],
            variant.features,
            alone=run is launched,
        )
        for what, grade, run, seconds in ways
        for variant in every
    ]
    return asked_for(found, settings)


def variants(device: str) -> list[Variant]:
    """Every way of running; whether this machine has it is found where it is tried."""
    graphs = {
        "enforce_eager": False,
        "compilation_config": {"cudagraph_capture_sizes": [1, 2, 4, 8]},
    }
    found = [
        Variant("attention " + name, backend=name, features=backends.FEATURES.get(name, []))
        for name in backends.names(device)
    ]
    for version, features in backends.FLASH_ATTENTION.items():
        name = f"attention FLASH_ATTN {version}"
        arguments = {"attention_config": {"flash_attn_version": version}}
        found.append(Variant(name, "llama", None, "FLASH_ATTN", arguments, features))
    return [
        *found,
        Variant("float32", mode="float32"),
        Variant("CUDA graphs", arguments=graphs),
        Variant("mixture of experts", "mixtral", features=backends.MOE),
        Variant("two GPUs", arguments={"tensor_parallel_size": 2}, gpus=2),
    ]


def launched(variant: Variant, settings: Settings) -> Result:
    """Start, answer, keep the answer. The process has had its engine then, whatever came of it."""
    variant = applicable(variant, settings)
    try:
        detail = answered(variant, settings)
    except NothingToCheck as nothing:
        raise not_for_here(str(nothing), variant, settings) from None
    except NotMade as error:
        error.poisoned = True  # type: ignore[attr-defined]
        raise
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        words = backends.withheld(error) if variant.backend else None
        if words:
            raise not_for_here(words, variant, settings) from None
        if NO_COMPILER.search(text):
            words = "it is compiled at run time, and that failed: " + text[-600:]
            failure = NotMade(words)
            failure.poisoned = True  # type: ignore[attr-defined]
            raise failure from None
        lines = "".join(traceback.format_exc()).strip().splitlines()
        return Result(False, "\n".join(lines[-12:]), poisoned=True)
    return Result(True, detail, poisoned=True)


def compared(variant: Variant, settings: Settings) -> Result:
    """The answer that `launched` kept, against the reference."""
    folder = settings["folder"]
    applicable(variant, settings)
    nothing = mark(folder, variant).with_suffix(".nothing")
    if nothing.exists():
        raise NothingToCheck(nothing.read_text("utf-8"))
    answers = logits.kept(folder, variant.name)
    model, mode = mark(folder, variant).read_text("utf-8").split()
    return logits.held_against(str(Path(folder, model)), answers, mode)


def not_for_here(words: str, variant: Variant, settings: Settings) -> NothingToCheck:
    """To be raised once an engine was begun; `compared` will say the same."""
    mark(settings["folder"], variant).with_suffix(".nothing").write_text(words, "utf-8")
    nothing = NothingToCheck(words)
    nothing.poisoned = True  # type: ignore[attr-defined]
    return nothing


def mark(folder: str, variant: Variant) -> Path:
    """The file that says which model an answer is of, and how it was computed."""
    return Path(folder, re.sub(r"\W+", "-", variant.name) + ".txt")


def applicable(variant: Variant, settings: Settings) -> Variant:
    """The variant with its model, or `NothingToCheck`."""
    if settings["device"] == "cuda" and not settings["gpus"]:
        raise NotMade("there is no GPU that a driver drives")
    unserved = [settings["unserved"].get(name) for name in variant.features]
    if unserved and all(unserved):
        raise NothingToCheck(str(unserved[0]))
    if settings["device"] == "cpu" and variant.name == "CUDA graphs":
        raise NothingToCheck("there are no CUDA graphs on a CPU")
    if settings["device"] == "cpu" and variant.gpus > 1:
        raise NothingToCheck("there is no GPU")
    if variant.gpus > max(settings["gpus"], 1):
        raise NothingToCheck("there is one GPU")
    if variant.backend is None:
        return variant
    if "attention_config" in variant.arguments:
        backends.flash_attention(variant.arguments["attention_config"]["flash_attn_version"])
    model = backends.model_for(variant.backend, usual_type())
    return variant._replace(model=model, features=variant.features)


def usual_type() -> str:
    """bfloat16, or float16 on a GPU that has none."""
    from vllm.platforms import current_platform

    capability = current_platform.get_device_capability()
    return "bfloat16" if capability is None or capability[0] >= 8 else "float16"


def answered(variant: Variant, settings: Settings) -> str:
    """Start the engine, ask it, keep what it said: what ran, and how long the start took."""
    folder = settings["folder"]
    model = tiny.write_model(variant.model, str(Path(folder, variant.model)))
    dtype = variant.mode or usual_type()
    began = time.perf_counter()
    engine = started(variant, settings, model, dtype)
    seconds = time.perf_counter() - began
    answers = asked(engine)
    used = backends.used(engine)
    version = variant.arguments.get("attention_config", {}).get("flash_attn_version")
    wanted = f"{variant.backend} {version}" if version else variant.backend
    if wanted and used and wanted not in used:
        raise NothingToCheck(f"vLLM took {used} instead")
    logits.keep(folder, variant.name, answers)
    mode = "tf32" if dtype == "float32" and settings["device"] == "cuda" else dtype
    mark(folder, variant).write_text(f"{variant.model} {mode}", "utf-8")
    count = sum(len(answer.rows) for answer in answers)
    attention = used or "its own choice"
    return (
        f"{variant.model} in {dtype} with {attention}: "
        f"started in {seconds:.1f} s, {count} positions"
    )


def started(variant: Variant, settings: Settings, model: str, dtype: str) -> Any:
    """The engine; of its arguments those that this version knows."""
    import dataclasses

    from vllm import LLM
    from vllm.engine.arg_utils import EngineArgs

    arguments: Dict[str, Any] = {  # noqa: UP006
        "model": model,
        "skip_tokenizer_init": True,
        "dtype": dtype,
        "enforce_eager": True,
        "max_model_len": tiny.CONTEXT,
        "max_num_batched_tokens": tiny.CONTEXT,
        "max_num_seqs": 8,
        "max_logprobs": tiny.VOCABULARY,
        "enable_prefix_caching": False,
        "seed": 0,
        **variant.arguments,
    }
    if settings["device"] == "cuda":
        arguments["gpu_memory_utilization"] = memory_fraction()
        arguments["kv_cache_memory_bytes"] = CACHE_BYTES
    known = {field.name for field in dataclasses.fields(EngineArgs)}
    if variant.backend and "attention_backend" in known:
        arguments["attention_backend"] = variant.backend
    elif variant.backend:
        os.environ["VLLM_ATTENTION_BACKEND"] = variant.backend
    config = variant.arguments.get("attention_config", {})
    if config and "attention_config" not in known:
        os.environ["VLLM_FLASH_ATTN_VERSION"] = str(config["flash_attn_version"])
    return LLM(**{key: value for key, value in arguments.items() if key in known})


def memory_fraction() -> float:
    """The part of the GPU's memory that is `GPU_BYTES`, most of one that has less."""
    from vllm.platforms import current_platform

    return min(0.8, GPU_BYTES / float(current_platform.get_device_total_memory()))


def asked(engine: Any) -> list[logits.Answer]:
    """All prompts at once: the log-probabilities of every token, and the engine's own choices."""
    from vllm import SamplingParams

    sampling = SamplingParams(
        temperature=0.0,
        max_tokens=logits.NEW_TOKENS,
        logprobs=tiny.VOCABULARY,
        prompt_logprobs=tiny.VOCABULARY,
        ignore_eos=True,
        detokenize=False,
    )
    prompts: Any = [{"prompt_token_ids": p} for p in logits.prompts(tiny.VOCABULARY)]
    answers = []
    for done in engine.generate(prompts, sampling, use_tqdm=False):
        said = done.outputs[0]
        tokens = [*done.prompt_token_ids, *said.token_ids]
        rows = [row_of(row) for row in [*done.prompt_logprobs[1:], *said.logprobs]]
        answers.append(logits.Answer(tokens, rows, len(done.prompt_token_ids)))
    return answers


def row_of(said: Any) -> list[float]:
    """The log-probabilities of one position, in the order of the vocabulary."""
    return [said[token].logprob for token in range(tiny.VOCABULARY)]
