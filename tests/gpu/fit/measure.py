"""What vLLM itself says of its memory, for shapes with random weights: a JSON line for each.

Runs on a GPU machine that has vLLM (0.25.1), with its Python and nothing else:

    python3 tests/gpu/fit/measure.py OUT/fit.jsonl [SHAPE...]

Each shape starts in a process of its own: `config.json` alone, random weights, memory fraction 0.5,
context 4096, steps of 8192 tokens and 1024 sequences unless stated. A shape that is already in the
output is left out, so that a call that ran out of time can be made again. Without SHAPE all of
`SHAPES` run, the smallest first; `--limit SECONDS` begins no shape after that (default 480).
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DATA = Path(__file__).resolve().parents[2] / "data" / "shapes"
SHAPES = (
    "gemma-3-1b",
    "llama-3.1-8b",
    "qwen2.5-7b",
    "qwen3-8b-fp8",
    "deepseek-v2-lite",
    "gpt-oss-20b",
    "granite-4.0-h-tiny",
    "nemotron-h-8b",
    "falcon-h1-7b",
    "qwen3-30b-a3b",
    "mistral-7b-v0.1",
    "qwq-32b-awq",
)
FRACTION, CONTEXT, BATCHED, SEQUENCES = 0.5, 4096, 8192, 1024
# its weights alone are more than the fraction: it must not start
TOO_LARGE = ("mixtral-8x7b",)
LINES = {
    "tokens": r"GPU KV cache size: ([0-9,]+) tokens",
    "available_gib": r"Available KV cache memory: ([0-9.-]+) GiB",
    "weights_gib": r"Model loading took ([0-9.]+) GiB",
    "graphs_gib": r"Graph capturing finished in .*?took ([0-9.]+) GiB",
    "profile": r"(MemoryProfilingResult\(.*)",
    "memory": r"(Memory profiling takes .*)",
    "needs": r"(To serve at least one request .*)",
    "nothing_left": r"(No available memory for the cache blocks.*)",
}


def child(name: str) -> None:
    """Start the engine for one shape and end; everything of interest is in vLLM's log."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text((DATA / f"{name}.json").read_text())
        import torch
        from vllm import LLM

        started = time.time()
        free, total = torch.cuda.mem_get_info()
        LLM(
            model=folder,
            skip_tokenizer_init=True,
            load_format="dummy",
            gpu_memory_utilization=FRACTION,
            max_model_len=CONTEXT,
            max_num_batched_tokens=BATCHED,
            max_num_seqs=SEQUENCES,
        )
        after = torch.cuda.mem_get_info()[0]
        seconds = time.time() - started
        print(f"MEASURED {json.dumps([free, total, after, seconds])}", flush=True)


def measured(name: str, seconds: float) -> dict[str, object]:
    """Run one shape and read its log."""
    environment = {
        **os.environ,
        "VLLM_USE_FLASHINFER_SAMPLER": "0",
        "VLLM_LOGGING_LEVEL": "DEBUG",
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
    }
    command = [sys.executable, str(Path(__file__).resolve()), "--child", name]
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )
        text, status = done.stdout, done.returncode
    except subprocess.TimeoutExpired as error:
        out: bytes = error.stdout or b""
        text, status = str(out, "utf-8", "replace"), -1
    row: dict[str, object] = {"shape": name, "status": status}
    for key, pattern in LINES.items():
        found = re.findall(pattern, text)
        if found:
            value = found[-1].replace(",", "") if key != "profile" else found[-1]
            row[key] = float(value) if re.fullmatch(r"-?[0-9.]+", value) else value[:600]
    row["settings"] = [FRACTION, CONTEXT, BATCHED, SEQUENCES]
    row["measured"] = (re.findall(r"MEASURED (.*)", text) or [None])[-1]
    if status:
        row["tail"] = text[-1500:]
    return row


def main() -> None:
    """Measure what is not measured yet."""
    options = argparse.ArgumentParser()
    options.add_argument("out")
    options.add_argument("shapes", nargs="*")
    options.add_argument("--limit", type=float, default=480)
    options.add_argument("--child", action="store_true")
    asked = options.parse_args()
    if asked.child:
        child(asked.out)
        return
    out = Path(asked.out)
    done = set()
    if out.exists():
        done = {json.loads(line)["shape"] for line in out.read_text().splitlines() if line}
    began = time.time()
    for name in asked.shapes or [*SHAPES, *TOO_LARGE]:
        left = asked.limit - (time.time() - began)
        if name in done or left < 20:
            print(f"{name}: {'there' if name in done else 'no time left'}", flush=True)
            continue
        row = measured(name, max(left, 60))
        with out.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps({k: v for k, v in row.items() if k != "tail"}), flush=True)


if __name__ == "__main__":
    main()
