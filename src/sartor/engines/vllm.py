"""vLLM, on NVIDIA GPUs and on the CPU."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sartor.engines.launch import Command, ServeSettings, visible_gpus

if TYPE_CHECKING:
    from pathlib import Path


SEES_GPU = "import torch; torch.cuda.init(); print(torch.cuda.get_device_name(0))"

SAMPLER = "VLLM_USE_FLASHINFER_SAMPLER"
"""vLLM's default compiles a sampler with nvcc at the first start, and ends where that fails
(https://github.com/vllm-project/vllm/issues/49497): its own sampler is asked for, unless the user
says otherwise."""


def vllm(python: Path, _run: Path, settings: ServeSettings) -> Command:
    """vLLM's own OpenAI-compatible server; its key goes through ``VLLM_API_KEY``."""
    argv = [str(python), "-u", "-m", "vllm.entrypoints.openai.api_server"]
    argv += ["--model", settings.model_path, "--served-model-name", settings.model_name]
    argv += ["--host", settings.host, "--port", str(settings.port)]
    argv += ["--max-model-len", str(settings.context), "--allowed-origins", "[]"]
    environment = visible_gpus(settings) | {
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
    }
    if settings.cache_folder:
        environment |= _caches(settings.cache_folder)
    if settings.accelerator == "cpu":
        argv += ["--dtype", "bfloat16", "--enforce-eager"]
        gib = max(1, (settings.kv_cache_bytes or 0) >> 30)
        environment["VLLM_CPU_KVCACHE_SPACE"] = str(gib)
    else:
        environment[SAMPLER] = os.environ.get(SAMPLER, "0")
        argv += ["--gpu-memory-utilization", str(settings.gpu_memory_fraction)]
        if len(settings.gpus) > 1:
            argv += ["--tensor-parallel-size", str(len(settings.gpus))]
    return Command(argv=argv, environment=environment, key_variable="VLLM_API_KEY")


def _caches(folder: str) -> dict[str, str]:
    """The variables that keep what is compiled at run time below ``folder``."""
    return {
        "VLLM_CACHE_ROOT": f"{folder}/vllm",
        "FLASHINFER_WORKSPACE_BASE": f"{folder}/flashinfer",
        "TRITON_CACHE_DIR": f"{folder}/triton",
        "HUMMING_CACHE_DIR": f"{folder}/humming/cache",
        "HUMMING_TMP_DIR": f"{folder}/humming/tmp",
    }
