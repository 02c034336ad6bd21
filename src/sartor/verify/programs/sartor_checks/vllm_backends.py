"""vLLM's attention backends: which there are, what vLLM says of each, and which one ran."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import re
from typing import Any, Dict, Iterator, List  # noqa: UP035 - Python 3.9

from sartor_checks import NothingToCheck, NotMade, tiny

FLASH_ATTENTION: Dict[int, List[str]] = {  # noqa: UP006
    2: ["FlashAttention 2"],
    3: ["FlashAttention 3", "FlashAttention 3 (up to vLLM 0.11)"],
    4: [],
}
"""The features (`sartor/facts/packages/vllm.toml`) that a version of FlashAttention is."""
FEATURES = {"FLASHMLA": ["FlashMLA, dense decode"], "CUTLASS_MLA": ["CUTLASS MLA"]}
MOE = ["MoE routing"]
ANOTHERS = ("ROCM_", "XPU_", "TPU", "NEURON", "HPU")
REGISTRIES = (
    ("vllm.v1.attention.backends.registry", "AttentionBackendEnum"),
    ("vllm.attention.backends.registry", "AttentionBackendEnum"),
    ("vllm.attention.backends.registry", "_Backend"),
    ("vllm.platforms.interface", "_Backend"),
)
NOT_ATTENTION = ("CUSTOM", "NO_ATTENTION", "TORCH_SDPA")
WANTS = re.compile(r"requires the `?(\w+)`? (?:module|package|library) to be installed")
REFUSED = "is not valid for this configuration"


def registry() -> Any:
    """The enumeration of backends, wherever this version keeps it."""
    for module, name in REGISTRIES:
        try:
            return getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError):
            continue
    raise NotMade("this version of vLLM keeps its attention backends somewhere else")


def names(device: str) -> list[str]:
    """Those that may be meant for this device (``cpu``, ``cuda``), by name."""
    others = (*ANOTHERS, "CPU_") if device == "cuda" else ANOTHERS
    return [
        name
        for name in registry().__members__
        if not name.startswith(others) and name not in NOT_ATTENTION
    ]


def model_for(name: str, dtype: str) -> str:
    """The model of `tiny` that the backend can run: with plain attention, or with MLA.

    `NothingToCheck` with vLLM's words where it can run neither here.
    """
    if name.endswith("_DIFFKV"):
        raise NothingToCheck("it is for models whose values are of another size than their keys")
    refusals = []
    for model in ("llama", "deepseek"):
        words = refusal(name, dtype, model == "deepseek")
        if words is None:
            return model
        if words not in refusals:
            refusals.append(words)
    raise NothingToCheck("vLLM: " + "; ".join(refusals))


def refusal(name: str, dtype: str, latent: bool) -> str | None:
    """What vLLM says against a backend for one of the models; None where it takes it.

    A version that cannot be asked takes it by name alone: with MLA those that are called so.
    """
    import torch
    from vllm.platforms import current_platform

    try:
        from vllm.v1.attention.selector import AttentionSelectorConfig
    except ImportError:
        words = "only for models with" if "MLA" in name else "not for models with"
        return None if ("MLA" in name) == latent else f"{words} MLA"
    config = tiny.CONFIGS["deepseek" if latent else "llama"]
    size = config["kv_lora_rank"] + config["qk_rope_head_dim"] if latent else config["head_dim"]
    asked = AttentionSelectorConfig(
        head_size=size,
        dtype=getattr(torch, dtype),
        kv_cache_dtype="auto",
        block_size=None,
        use_mla=latent,
    )
    member = registry()[name]
    try:
        with a_configuration():
            path = current_platform.get_attn_backend_cls(
                member, asked, num_heads=config["num_attention_heads"]
            )
    except Exception as error:
        if "ImportError" in str(error):
            imported(member)
        return str(error)
    own = member.get_path()
    return None if path == own else f"takes `{str(path).rpartition('.')[2]}` instead"


@contextlib.contextmanager
def a_configuration() -> Iterator[None]:
    """A configuration as vLLM makes it by itself: some backends ask for the one that is set."""
    try:
        from vllm.config import VllmConfig, set_current_vllm_config

        configuration = VllmConfig()
    except Exception:  # a version that makes none without a model asks for none
        yield
        return
    with set_current_vllm_config(configuration):
        yield


def withheld(error: Exception) -> str | None:
    """What vLLM says where a backend cannot be had here, and nothing is broken; else None.

    It refuses it for this GPU or model, or wants a module of somebody else's that is not installed.
    """
    wanted = WANTS.search(str(error)) if isinstance(error, ImportError) else None
    if wanted and importlib.util.find_spec(wanted[1]) is None:
        return f"it runs where the module `{wanted[1]}` is installed, which vLLM does not require"
    return f"vLLM: {error}" if REFUSED in str(error) else None


def imported(member: Any) -> None:
    """Import a backend. What it lacks from elsewhere is vLLM's to say; what is broken is raised."""
    with contextlib.suppress(ModuleNotFoundError):
        member.get_class()


def flash_attention(version: int) -> None:
    """`NothingToCheck` with vLLM's words where this GPU has no such version of FlashAttention.

    `ImportError` where its library is installed, and is broken.
    """
    try:
        from vllm.vllm_flash_attn.flash_attn_interface import (
            fa_version_unsupported_reason,
            is_fa_version_supported,
        )
    except ImportError as error:
        raise NothingToCheck(f"vLLM has no FlashAttention here: {error}") from None
    try:
        supported = is_fa_version_supported(version)
        why = None if supported else fa_version_unsupported_reason(version)
    except (AssertionError, ValueError, KeyError) as error:
        supported, why = False, str(error)
    if not supported and "unavailable due to" in str(why) and library(version):
        raise ImportError(why)
    if not supported:
        raise NothingToCheck(f"vLLM: {why or 'it does not offer this version'}")


def library(version: int) -> list[str]:
    """The files of a version of FlashAttention; none where the build has none."""
    from pathlib import Path

    import vllm

    folder = Path(vllm.__file__).parent / "vllm_flash_attn"
    return [path.name for path in folder.glob(f"_vllm_fa{version}_C*.so")]


def used(engine: Any) -> str:
    """The names of the backends that the engine's layers run with; empty where it does not say."""
    try:
        config = engine.llm_engine.vllm_config.compilation_config
        found = set()
        for layer in config.static_forward_context.values():
            backend = getattr(layer, "attn_backend", None)
            if backend is not None:
                version = getattr(getattr(layer, "impl", None), "vllm_flash_attn_version", None)
                name = backend.get_name()
                found.add(f"{name} {version}" if version else name)
        return ", ".join(sorted(found))
    except Exception:
        return ""
