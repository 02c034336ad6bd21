"""How many parameters transformers' own model classes make of a configuration; nothing is loaded.

Runs in an environment with transformers and torch: `parameters.py CONFIG...`, a JSON line for each.
"""

import json
import sys
import tempfile
from pathlib import Path


def parameters(path: Path) -> int:
    """The count on the meta device; shared tensors once."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

    raw = json.loads(path.read_text())
    raw.pop("quantization_config", None)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text(json.dumps(raw))
        config = AutoConfig.from_pretrained(folder)
    many = "ConditionalGeneration" in raw["architectures"][0]
    kind = AutoModelForImageTextToText if many else AutoModelForCausalLM
    with torch.device("meta"):
        model = kind.from_config(config)
    return sum(p.numel() for p in {id(p): p for p in model.parameters()}.values())


if __name__ == "__main__":
    for name in sys.argv[1:]:
        count = parameters(Path(name))
        print(json.dumps({"shape": Path(name).stem, "parameters": count}), flush=True)
