"""The models that planning cases name, as files."""

from __future__ import annotations

import shutil
from pathlib import Path

SHAPES = Path(__file__).parent / "data" / "shapes"
GGUF = "gguf"


def is_model(name: str) -> bool:
    """Whether a case may name it."""
    return name == GGUF or (SHAPES / f"{name}.json").is_file()


def model_path(name: str, folder: Path) -> Path:
    """The model in ``folder``: a small GGUF file, or the `config.json` of a published model."""
    if name == GGUF:
        return write_gguf(folder / "small.gguf")
    target = folder / name / "config.json"
    target.parent.mkdir()
    shutil.copy(SHAPES / f"{name}.json", target)
    return target


def write_gguf(path: Path) -> Path:
    """A GGUF file with the header of a small llama and one tensor, by the `gguf` package."""
    import gguf
    import numpy as np

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("small")
    writer.add_block_count(2)
    writer.add_context_length(4096)
    writer.add_embedding_length(64)
    writer.add_feed_forward_length(128)
    writer.add_head_count(4)
    writer.add_head_count_kv(4)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(0)
    writer.add_tensor("token_embd.weight", np.zeros((32, 64), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
