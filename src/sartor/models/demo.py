"""The demo model: a random llama of a few MB, generated on this machine when it is asked for.

It says nothing sensible. It is there so that a stack can be tried, end to end and offline: a real
model file with a real tokenizer and chat template, as GGUF and as a safetensors folder.

What is generated is kept under `Places.models`, named by a key over everything it is made from.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import struct
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sartor.errors import ModelInvalidError
from sartor.models import demo_tokenizer as tokenizer
from sartor.models.demo_tokenizer import demo_tokenizer
from sartor.models.demo_weights import (
    DEMO_SHAPE,
    SEED,
    Matrix,
    Norm,
    Shape,
    demo_weights,
    gguf_items,
)
from sartor.models.ggml import F16, F32, Q8_0
from sartor.models.gguf import Value, ValueType, read_gguf
from sartor.models.gguf_writer import Tensor, array, scalar, write_gguf
from sartor.models.safetensors import read_folder, safetensors_bytes
from sartor.paths import explain_os_errors, make_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sartor.paths import Places
    from sartor.reporter import Reporter

NAME = "sartor-demo"
LAYOUT = 1
_ABANDONED_AFTER_SECONDS = 3600
_NORMAL, _CONTROL = 1, 3
_FILE_TYPES = {F32: 0, F16: 1, Q8_0: 7}
_FORMATS = {F32: "<f", F16: "<e"}


def demo_key() -> str:
    """The key of what would be generated: twelve hexadecimal digits."""
    parts = (str(LAYOUT), repr(DEMO_SHAPE), tokenizer.CHAT_TEMPLATE)
    digest = hashlib.sha256("\0".join(parts).encode() + SEED + tokenizer.FILE.read_bytes())
    return digest.hexdigest()[:12]


def demo_gguf(places: Places, reporter: Reporter) -> Path:
    """The demo model as a GGUF file, generated where it is not there yet."""
    path = places.models / f"{NAME}-{demo_key()}.gguf"
    try:
        read_gguf(path)
    except (OSError, ModelInvalidError):
        _sweep(places.models)
        started = time.monotonic()
        write_random_gguf(path, DEMO_SHAPE)
        reporter.note(f"generated the demo model in {time.monotonic() - started:.2f} s: `{path}`")
    return path


def demo_safetensors(places: Places, reporter: Reporter) -> Path:
    """The demo model as a safetensors folder, generated where it is not there yet."""
    folder = places.models / f"{NAME}-{demo_key()}"
    try:
        read_folder(folder)
    except (OSError, ModelInvalidError):
        _sweep(places.models)
        shutil.rmtree(folder, ignore_errors=True)
        started = time.monotonic()
        write_demo_safetensors(folder)
        reporter.note(f"generated the demo model in {time.monotonic() - started:.2f} s: `{folder}`")
    return folder


def write_random_gguf(path: Path, shape: Shape, kind: int = Q8_0) -> None:
    """Write a random llama of any ``shape`` with the demo model's tokenizer: for measuring.

    ``kind`` is the ggml type of its matrices: F32, F16 or Q8_0, which all hold them exactly.
    """
    write_gguf(path, demo_metadata(shape, kind), _gguf_tensors(shape, kind))


def demo_metadata(shape: Shape = DEMO_SHAPE, kind: int = Q8_0) -> dict[str, Value]:
    """The metadata of the GGUF file."""
    return {**_gguf_sizes(shape, kind), **_gguf_tokenizer()}


def _gguf_sizes(shape: Shape, kind: int) -> dict[str, Value]:
    return {
        "general.architecture": scalar(ValueType.STRING, "llama"),
        "general.name": scalar(ValueType.STRING, NAME),
        "general.file_type": scalar(ValueType.UINT32, _FILE_TYPES[kind]),
        "general.quantization_version": scalar(ValueType.UINT32, 2),
        "llama.vocab_size": scalar(ValueType.UINT32, len(demo_tokenizer().tokens)),
        "llama.context_length": scalar(ValueType.UINT32, shape.context),
        "llama.embedding_length": scalar(ValueType.UINT32, shape.width),
        "llama.block_count": scalar(ValueType.UINT32, shape.blocks),
        "llama.feed_forward_length": scalar(ValueType.UINT32, shape.feed_forward),
        "llama.rope.dimension_count": scalar(ValueType.UINT32, shape.head_size),
        "llama.rope.freq_base": scalar(ValueType.FLOAT32, shape.rope_base),
        "llama.attention.head_count": scalar(ValueType.UINT32, shape.heads),
        "llama.attention.head_count_kv": scalar(ValueType.UINT32, shape.kv_heads),
        "llama.attention.layer_norm_rms_epsilon": scalar(ValueType.FLOAT32, shape.epsilon),
    }


def _gguf_tokenizer() -> dict[str, Value]:
    words = demo_tokenizer()
    types = [_CONTROL if token in words.special else _NORMAL for token in words.tokens]
    merges = [" ".join(pair) for pair in words.merges]
    return {
        "tokenizer.ggml.model": scalar(ValueType.STRING, "gpt2"),
        "tokenizer.ggml.pre": scalar(ValueType.STRING, "gpt-2"),
        "tokenizer.ggml.tokens": array(ValueType.STRING, words.tokens),
        "tokenizer.ggml.token_type": array(ValueType.INT32, types),
        "tokenizer.ggml.merges": array(ValueType.STRING, merges),
        "tokenizer.ggml.bos_token_id": scalar(ValueType.UINT32, words.special[tokenizer.BEGIN]),
        "tokenizer.ggml.eos_token_id": scalar(ValueType.UINT32, words.special[tokenizer.END]),
        "tokenizer.ggml.padding_token_id": scalar(ValueType.UINT32, words.special[tokenizer.PAD]),
        "tokenizer.ggml.add_bos_token": scalar(ValueType.BOOL, False),
        "tokenizer.chat_template": scalar(ValueType.STRING, tokenizer.CHAT_TEMPLATE),
    }


def _gguf_tensors(shape: Shape, kind: int) -> Iterator[Tensor]:
    for weight in demo_weights(shape, demo_tokenizer().speakable()):
        if isinstance(weight, Norm):
            ones = struct.pack("<f", 1.0) * weight.size
            yield Tensor(weight.gguf_name, (weight.size,), F32, ones)
        else:
            data = _q8_0(weight) if kind == Q8_0 else _floats(weight, _FORMATS[kind])
            yield Tensor(weight.gguf_name, (weight.columns, weight.rows), kind, data)


def _q8_0(matrix: Matrix) -> bytes:
    scale = struct.pack("<e", 2.0**-matrix.exponent)
    items = gguf_items(matrix)
    return b"".join(scale + items[start : start + 32] for start in range(0, len(items), 32))


def _floats(matrix: Matrix, form: str) -> bytes:
    """The items as floats of one format of `struct`."""
    return _translated(gguf_items(matrix), [struct.pack(form, x) for x in _worths(matrix)])


def _worths(matrix: Matrix) -> list[float]:
    """What each byte of the items is worth."""
    return [(byte - 256 if byte > 127 else byte) * 2.0**-matrix.exponent for byte in range(256)]


def _translated(items: bytes, words: list[bytes]) -> bytes:
    """Each item replaced by its word; all words are of one length."""
    size = len(words[0])
    data = bytearray(size * len(items))
    for place in range(size):
        data[place::size] = items.translate(bytes(word[place] for word in words))
    return bytes(data)


def write_demo_safetensors(folder: Path) -> None:
    """Write the demo model as ``folder``, made beside it and renamed: it is whole or not there.

    A ``folder`` that is there already is left as it is. `DiskFullError` and
    `FolderNotWritableError` as for any file.
    """
    make_folder(folder.parent)
    scratch = tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.")
    with explain_os_errors(folder), scratch as name:
        made = Path(name) / folder.name
        made.mkdir()
        for file, content in folder_files().items():
            (made / file).write_bytes(content)
        try:
            made.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise


def folder_files() -> dict[str, bytes]:
    """The files of the safetensors folder, by name."""
    documents = {
        "config.json": _folder_config(),
        "generation_config.json": _special_ids(),
        "tokenizer_config.json": _tokenizer_config(),
    }
    files = {name: json.dumps(content, indent=2).encode() for name, content in documents.items()}
    files["tokenizer.json"] = tokenizer.FILE.read_bytes()
    files["model.safetensors"] = _folder_weights()
    return files


def _special_ids() -> dict[str, object]:
    special = demo_tokenizer().special
    return {
        "bos_token_id": special[tokenizer.BEGIN],
        "eos_token_id": special[tokenizer.END],
        "pad_token_id": special[tokenizer.PAD],
    }


def _folder_config() -> dict[str, object]:
    shape = DEMO_SHAPE
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": len(demo_tokenizer().tokens),
        "max_position_embeddings": shape.context,
        "hidden_size": shape.width,
        "intermediate_size": shape.feed_forward,
        "num_hidden_layers": shape.blocks,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_size,
        "hidden_act": "silu",
        "rms_norm_eps": shape.epsilon,
        "rope_theta": shape.rope_base,
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        **_special_ids(),
    }


def _tokenizer_config() -> dict[str, object]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": tokenizer.BEGIN,
        "eos_token": tokenizer.END,
        "pad_token": tokenizer.PAD,
        "model_max_length": DEMO_SHAPE.context,
        "clean_up_tokenization_spaces": False,
        "chat_template": tokenizer.CHAT_TEMPLATE,
    }


def _folder_weights() -> bytes:
    tensors: dict[str, tuple[str, tuple[int, ...], bytes]] = {}
    for weight in demo_weights(DEMO_SHAPE, demo_tokenizer().speakable()):
        if isinstance(weight, Norm):
            ones = _upper_half(1.0) * weight.size
            tensors[weight.name] = ("BF16", (weight.size,), ones)
        else:
            tensors[weight.name] = ("BF16", (weight.rows, weight.columns), _bf16(weight))
    return safetensors_bytes(tensors)


def _upper_half(number: float) -> bytes:
    return struct.pack("<f", number)[2:]


def _bf16(matrix: Matrix) -> bytes:
    return _translated(matrix.items, [_upper_half(x) for x in _worths(matrix)])


def _sweep(folder: Path) -> None:
    """Remove what a generation that was killed left behind."""
    for left in folder.glob(f".{NAME}-*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _ABANDONED_AFTER_SECONDS:
                shutil.rmtree(left) if left.is_dir() else left.unlink()
