"""The same model in two environments: tokens in a second, the start, and what it takes of memory.

usage: python serve.py PYTHON_A PYTHON_B [--rounds 2] [--seconds-each 300]

Both have vLLM. The model has the shape of Qwen2.5-7B and random weights. Each run is a process of
its own, after the page cache was dropped where that is allowed. The first run in each environment
may compile for the model, as vLLM keeps that for all; it is told (``first``) and not counted. Then
they go in the order A B B A for each two rounds. Prints one JSON document: every run, and the
medians of B beside those of A.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

SHAPE = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "hidden_act": "silu",
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "vocab_size": 152064,
    "max_position_embeddings": 32768,
    "rope_theta": 1000000.0,
    "rms_norm_eps": 1e-06,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "bos_token_id": 151643,
    "eos_token_id": 151645,
}
"""config.json of Qwen/Qwen2.5-7B, as far as it says the shape."""

RUN = r"""
import ctypes, json, mmap, os, sys, time
began = time.perf_counter()
import torch
from vllm import LLM, SamplingParams
imported = time.perf_counter() - began
engine = LLM(model=sys.argv[1], load_format="dummy", skip_tokenizer_init=True, dtype="bfloat16",
             max_model_len=4096, max_num_seqs=64, gpu_memory_utilization=0.5, seed=0,
             enable_prefix_caching=False, disable_log_stats=True)
started = time.perf_counter() - began

def speed(batch, tokens):
    how = SamplingParams(temperature=0.0, max_tokens=tokens, ignore_eos=True, detokenize=False)
    asked = [{"prompt_token_ids": [(7 * i + j) % 150000 for j in range(32)]} for i in range(batch)]
    engine.generate(asked, SamplingParams(temperature=0.0, max_tokens=8, ignore_eos=True,
                                          detokenize=False), use_tqdm=False)
    at = time.perf_counter()
    done = engine.generate(asked, how, use_tqdm=False)
    seconds = time.perf_counter() - at
    made = [list(d.outputs[0].token_ids) for d in done]
    assert all(len(m) == tokens for m in made)
    return batch * tokens / seconds, made

one, first = speed(1, 512)
many, _ = speed(64, 256)
rollup = {}
for line in open("/proc/self/smaps_rollup"):
    name, _, rest = line.partition(":")
    if rest.strip().endswith("kB"):
        rollup[name] = int(rest.split()[0]) * 1024
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]

def resident(path):
    size = os.path.getsize(path)
    if not size:
        return 0
    with open(path, "rb") as file:
        at = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, file.fileno(), 0)
    pages = (size + 4095) // 4096
    seen = (ctypes.c_ubyte * pages)()
    libc.mincore(at, size, seen)
    libc.munmap(at, size)
    return 4096 * sum(byte & 1 for byte in seen)

mapped = {line.split()[-1] for line in open("/proc/self/maps") if ".so" in line.split()[-1]}
files = [path for path in mapped if os.path.exists(path)]
free, total = torch.cuda.mem_get_info() if torch.cuda.is_available() else (0, 0)
print("RESULT" + json.dumps({
    "import_s": imported, "start_s": started, "tokens_s_batch_1": one, "tokens_s_batch_64": many,
    "first_tokens": first[0][:64], "host_rss": rollup["Rss"], "host_pss": rollup["Pss"],
    "libraries": len(files), "library_bytes": sum(map(os.path.getsize, files)),
    "library_page_cache": sum(map(resident, files)), "gpu_bytes": total - free}), flush=True)
os._exit(0)
"""
FIGURES = (
    "import_s",
    "start_s",
    "tokens_s_batch_1",
    "tokens_s_batch_64",
    "host_rss",
    "host_pss",
    "library_bytes",
    "library_page_cache",
    "gpu_bytes",
)


def dropped() -> bool:
    """Whether the page cache could be dropped."""
    try:
        os.sync()
        Path("/proc/sys/vm/drop_caches").write_text("3\n", "ascii")
    except OSError:
        return False
    return True


def run(python: str, model: Path, seconds: float) -> dict[str, Any]:
    """One process: its figures, or the end of what it said."""
    cold = dropped()
    variables = {
        "VLLM_USE_FLASHINFER_SAMPLER": "0",
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "HF_HUB_OFFLINE": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_NO_USAGE_STATS": "1",
    }
    try:
        done = subprocess.run(
            [python, "-c", RUN, str(model)],
            env=os.environ | variables,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"no answer in {seconds:g} s"}
    said = [line for line in done.stdout.splitlines() if line.startswith("RESULT")]
    if not said:
        return {"failed": (done.stdout + done.stderr)[-3000:]}
    figures: dict[str, Any] = json.loads(said[-1].removeprefix("RESULT"))
    return figures | {"page_cache_dropped": cold}


def main() -> None:
    """Run both in turn; print; 1 where a run failed or the tokens differ."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("a")
    options.add_argument("b")
    options.add_argument("--rounds", type=int, default=2)
    options.add_argument("--seconds-each", type=float, default=300.0)
    asked = options.parse_args()
    runs: dict[str, list[dict[str, Any]]] = {"a": [], "b": []}
    with tempfile.TemporaryDirectory() as name:
        model = Path(name)
        (model / "config.json").write_text(json.dumps(SHAPE), "utf-8")
        first = {w: run(getattr(asked, w), model, asked.seconds_each) for w in runs}
        for at in range(asked.rounds):
            for which in ("a", "b") if at % 2 == 0 else ("b", "a"):
                runs[which].append(run(getattr(asked, which), model, asked.seconds_each))
    every = [*first.values(), *runs["a"], *runs["b"]]
    failed = [one for one in every if "failed" in one]
    result: dict[str, Any] = {"first": first, "runs": runs}
    if not failed:
        result["medians"] = {
            key: {w: statistics.median(one[key] for one in runs[w]) for w in runs}
            for key in FIGURES
        }
        for figures in result["medians"].values():
            figures["b / a"] = figures["b"] / figures["a"]
        result["same tokens"] = len({str(one["first_tokens"]) for one in every}) == 1
    result["ok"] = not failed and result["same tokens"]
    sys.stdout.write(json.dumps(result, indent=1) + "\n")
    sys.exit(0 if result["ok"] else 1)


if __name__ == "__main__":
    main()
