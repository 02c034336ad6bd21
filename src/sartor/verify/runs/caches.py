"""Where what is compiled at run time goes while an environment is proved."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

DRIVER_CACHE = "caches/driver"
CACHE_BYTES = (4 << 30) - 1
"""The driver's own limit."""
CACHES = {
    "VLLM_CACHE_ROOT": "vllm",
    "VLLM_CONFIG_ROOT": "vllm-config",
    "TRITON_CACHE_DIR": "triton",
    "TORCHINDUCTOR_CACHE_DIR": "inductor",
    "FLASHINFER_WORKSPACE_BASE": "flashinfer",
    "DG_JIT_CACHE_DIR": "deep-gemm",
    "TILELANG_CACHE_DIR": "tilelang",
    "CUTE_DSL_CACHE_DIR": "cutlass-dsl",
    "HUMMING_CACHE_DIR": "humming/cache",
    "HUMMING_TMP_DIR": "humming/tmp",
    "HF_HOME": "hub",
    "XDG_CACHE_HOME": "other",
}
"""Where what is compiled at run time goes: below the proof's own folder."""


def driver_cache(folder: Path) -> dict[str, str]:
    """The variables that give the driver's compiler ``folder`` for what it made."""
    return {"CUDA_CACHE_PATH": str(folder), "CUDA_CACHE_MAXSIZE": str(CACHE_BYTES)}
