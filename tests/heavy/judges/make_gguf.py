"""Small GGUF files of several kinds of cache, written with the `gguf` package.

`make_gguf.py TOKENIZER KIND FILE`: KIND is sliding (gemma3), grouped (llama) or mamba; TOKENIZER is
a GGUF file whose vocabulary is taken.
"""

import sys

import gguf
import numpy as np

WIDTH, INNER, HEADS, KV_HEADS, ITEMS, LAYERS, WINDOW = 128, 256, 4, 2, 32, 12, 64


def tokenizer(writer: gguf.GGUFWriter, path: str) -> int:
    """Copy the vocabulary; returns how many words it has."""
    reader = gguf.GGUFReader(path)
    count = 0
    for name, field in reader.fields.items():
        if name.startswith("tokenizer.ggml"):
            value = field.contents()
            if isinstance(value, list):
                writer.add_array(name, value)
                count = max(count, len(value)) if name.endswith(".tokens") else count
            elif isinstance(value, bool):
                writer.add_bool(name, value)
            elif isinstance(value, int):
                writer.add_uint32(name, value)
            else:
                writer.add_string(name, value)
    return count


def tensor(writer: gguf.GGUFWriter, name: str, *shape: int) -> None:
    """A tensor of halves, or of 32 bits where it is a vector; in numpy's order."""
    kind = np.float32 if len(shape) == 1 or "ssm_conv1d" in name or "ssm_a" in name else np.float16
    writer.add_tensor(name, np.full(shape, 0.01, dtype=kind))


def attention(writer: gguf.GGUFWriter, block: str) -> None:
    """The tensors of one block with attention."""
    tensor(writer, f"{block}.attn_norm.weight", WIDTH)
    tensor(writer, f"{block}.attn_q.weight", HEADS * ITEMS, WIDTH)
    tensor(writer, f"{block}.attn_k.weight", KV_HEADS * ITEMS, WIDTH)
    tensor(writer, f"{block}.attn_v.weight", KV_HEADS * ITEMS, WIDTH)
    tensor(writer, f"{block}.attn_output.weight", WIDTH, HEADS * ITEMS)
    tensor(writer, f"{block}.ffn_norm.weight", WIDTH)
    tensor(writer, f"{block}.ffn_gate.weight", INNER, WIDTH)
    tensor(writer, f"{block}.ffn_up.weight", INNER, WIDTH)
    tensor(writer, f"{block}.ffn_down.weight", WIDTH, INNER)


def recurrent(writer: gguf.GGUFWriter, block: str) -> None:
    """The tensors of one block of mamba."""
    state, rank = 16, 8
    tensor(writer, f"{block}.attn_norm.weight", WIDTH)
    tensor(writer, f"{block}.ssm_in.weight", 2 * INNER, WIDTH)
    tensor(writer, f"{block}.ssm_conv1d.weight", INNER, 4)
    tensor(writer, f"{block}.ssm_conv1d.bias", INNER)
    tensor(writer, f"{block}.ssm_x.weight", rank + 2 * state, INNER)
    tensor(writer, f"{block}.ssm_dt.weight", INNER, rank)
    tensor(writer, f"{block}.ssm_dt.bias", INNER)
    tensor(writer, f"{block}.ssm_a", INNER, state)
    tensor(writer, f"{block}.ssm_d", INNER)
    tensor(writer, f"{block}.ssm_out.weight", WIDTH, INNER)


def main(vocabulary: str, kind: str, path: str) -> None:
    """Write one file."""
    architecture = {"sliding": "gemma3", "grouped": "llama", "mamba": "mamba"}[kind]
    writer = gguf.GGUFWriter(path, architecture)
    words = tokenizer(writer, vocabulary)
    writer.add_context_length(32768)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_layer_norm_rms_eps(1e-6)
    if kind == "mamba":
        writer.add_feed_forward_length(0)
        writer.add_head_count(0)
        writer.add_ssm_conv_kernel(4)
        writer.add_ssm_inner_size(INNER)
        writer.add_ssm_state_size(16)
        writer.add_ssm_time_step_rank(8)
    else:
        writer.add_feed_forward_length(INNER)
        writer.add_head_count(HEADS)
        writer.add_head_count_kv(KV_HEADS)
        writer.add_key_length(ITEMS)
        writer.add_value_length(ITEMS)
        writer.add_rope_dimension_count(ITEMS)
    if kind == "sliding":
        writer.add_sliding_window(WINDOW)
    tensor(writer, "token_embd.weight", words, WIDTH)
    tensor(writer, "output_norm.weight", WIDTH)
    if kind != "sliding":
        tensor(writer, "output.weight", words, WIDTH)
    for number in range(LAYERS):
        block = f"blk.{number}"
        if kind == "mamba":
            recurrent(writer, block)
            continue
        attention(writer, block)
        if kind == "sliding":
            for name, size in (("attn_q", ITEMS), ("attn_k", ITEMS)):
                tensor(writer, f"{block}.{name}_norm.weight", size)
            tensor(writer, f"{block}.post_attention_norm.weight", WIDTH)
            tensor(writer, f"{block}.post_ffw_norm.weight", WIDTH)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3])
