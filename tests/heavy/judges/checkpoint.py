"""How many bytes the checkpoint of a configuration has, written by transformers and safetensors.

Runs in an environment with both and torch: `checkpoint.py FOLDER CONFIG...`, a JSON line for each.
A few layers and a small vocabulary are kept of each shape, so that it can be written; what is
quantised is laid out as its loader wants it (AutoAWQ's GEMM, GPTQ with act-order's `g_idx`, blocks
of fp8 as DeepSeek published them), on the linear layers of transformers' own model.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

LAYERS, VOCABULARY, EXPERTS = 4, 8192, 8
LISTS = ("layer_types", "layers_block_type", "mlp_layer_types", "hybrid_override_pattern")


def reduced(raw: dict[str, Any]) -> dict[str, Any]:
    """The configuration with fewer layers, experts and words."""
    small = {**raw, "num_hidden_layers": LAYERS, "vocab_size": VOCABULARY}
    small |= {key: raw[key][:LAYERS] for key in LISTS if raw.get(key)}
    for key in ("num_local_experts", "num_experts", "n_routed_experts"):
        if raw.get(key):
            small[key] = EXPERTS
    return small | {key: None for key in raw if key.endswith("_token_id")}


def quantised(name: str, weight: torch.Tensor, how: dict[str, Any]) -> dict[str, torch.Tensor]:
    """The tensors in place of one linear layer's weight of ``[out, in]``."""
    import torch

    rows, columns = weight.shape
    method, group = how["quant_method"], how.get("group_size", 128)
    base = name.removesuffix("weight")
    if method == "fp8":
        high, wide = how["weight_block_size"]
        scales = torch.empty(-(-rows // high), -(-columns // wide), dtype=torch.float32)
        return {
            name: torch.empty(rows, columns, dtype=torch.float8_e4m3fn),
            f"{name}_scale_inv": scales,
        }
    packed = 32 // how["bits"]
    groups = columns // group
    first = (columns, rows // packed) if method == "awq" else (columns // packed, rows)
    found = {
        f"{base}qweight": torch.empty(*first, dtype=torch.int32),
        f"{base}qzeros": torch.empty(groups, rows // packed, dtype=torch.int32),
        f"{base}scales": torch.empty(groups, rows, dtype=torch.float16),
    }
    if method == "gptq":
        found[f"{base}g_idx"] = torch.empty(columns, dtype=torch.int32)
    return found


def written(path: Path, folder: Path) -> dict[str, Any]:
    """Write the reduced shape's checkpoint; its configuration, and its bytes."""
    import torch
    from safetensors.torch import save_file
    from transformers import AutoConfig, AutoModelForCausalLM

    small = reduced(json.loads(path.read_text()))
    here = folder / path.stem
    here.mkdir()
    plain = {key: value for key, value in small.items() if key != "quantization_config"}
    (here / "config.json").write_text(json.dumps(plain))
    config = AutoConfig.from_pretrained(here)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config).to(torch.bfloat16)
    linear = {f"{n}.weight" for n, m in model.named_modules() if isinstance(m, torch.nn.Linear)}
    how = small.get("quantization_config")
    tensors: dict[str, torch.Tensor] = {}
    for name, parameter in model.named_parameters():  # what is shared is there once
        if how and name in linear and "lm_head" not in name:
            tensors |= quantised(name, parameter, how)
        else:
            tensors[name] = torch.empty(parameter.shape, dtype=torch.bfloat16)
    file = here / "model.safetensors"
    save_file(tensors, file)
    size = file.stat().st_size
    file.unlink()
    return {"shape": path.stem, "config": small, "bytes": size}


if __name__ == "__main__":
    for config in sys.argv[2:]:
        print(json.dumps(written(Path(config), Path(sys.argv[1]))), flush=True)
