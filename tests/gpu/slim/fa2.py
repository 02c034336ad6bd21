"""FlashAttention-2 retargeted, beside the driver's own compilation of the original, on a GPU.

For each case, two fresh processes with an empty cache of the driver each: one loads the original
library, of which the driver compiles the PTX at the first call, one the retargeted library. Said
is what the first and later calls took, what the driver wrote into its cache, whether the results
are the same bits, and how far both are from attention in float64. The bound is that of
FlashAttention's own tests: twice the error of attention in the inputs' own precision.

Wants an NVIDIA GPU, Python 3.12 and torch with CUDA; no network. Prints one JSON document.
usage: python3 fa2.py ORIGINAL.so RETARGETED.so [--seconds 80]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

CASES = {
    # name: head size, type, causal, heads, heads of keys, tokens of a query, tokens of keys
    "hdim64-fp16": (64, "float16", False, 8, 8, 256, 256),
    "hdim128-bf16-causal": (128, "bfloat16", True, 16, 4, 512, 512),
    "hdim128-bf16-causal-decode": (128, "bfloat16", True, 16, 4, 1, 777),
    "hdim96-fp16-causal": (96, "float16", True, 8, 8, 300, 300),
    "hdim256-bf16": (256, "bfloat16", False, 4, 4, 128, 384),
}
REPEATS = 30
SEEDS = 2
"""Sequences in a batch."""


def inputs(case: str) -> tuple[Any, Any, Any]:
    """Queries, keys and values of a case, the same in each process."""
    import torch

    size, kind, _, heads, key_heads, queries, keys = CASES[case]
    made = torch.Generator(device="cpu").manual_seed(8)

    def one(tokens: int, count: int) -> Any:
        shape = (SEEDS * tokens, count, size)
        return torch.randn(shape, generator=made).to("cuda", getattr(torch, kind))

    return one(queries, heads), one(keys, key_heads), one(keys, key_heads)


def attention(case: str, q: Any, k: Any, v: Any) -> Any:
    """One call of the library, as vLLM makes it for sequences of any length."""
    import torch

    size, _, causal, _, _, queries, keys = CASES[case]

    def ends(tokens: int) -> Any:
        return torch.arange(SEEDS + 1, device="cuda", dtype=torch.int32) * tokens

    arguments: list[Any] = [q, k, v, None, ends(queries), ends(keys), None, None, None, None]
    arguments += [queries, keys, 0.0, 1 / math.sqrt(size), False, causal]
    arguments += [-1, 0 if causal else -1, 0.0, False]
    schema = torch.ops._vllm_fa2_C.varlen_fwd.default._schema
    arguments += [0, None] if len(schema.arguments) == 22 else [None]
    return torch.ops._vllm_fa2_C.varlen_fwd(*arguments)[0]


def reference(case: str, q: Any, k: Any, v: Any, kind: Any) -> Any:
    """Attention step by step, computed in ``kind``."""
    import torch

    size, _, causal, heads, key_heads, queries, keys = CASES[case]
    q, k, v = (x.to(kind).unflatten(0, (SEEDS, -1)).transpose(1, 2) for x in (q, k, v))
    k, v = (x.repeat_interleave(heads // key_heads, 1) for x in (k, v))
    scores = (q / math.sqrt(size)) @ k.transpose(2, 3)
    if causal:
        hidden = torch.ones(queries, keys, device="cuda", dtype=torch.bool)
        scores = scores.masked_fill(hidden.triu(keys - queries + 1), float("-inf"))
    return (scores.softmax(-1).to(kind) @ v).transpose(1, 2).flatten(0, 1)


def run(library: str, case: str, result: str) -> dict[str, Any]:
    """What one process does: load, call once, call again, compare with float64."""
    import torch

    q, k, v = inputs(case)
    torch.cuda.synchronize()
    began = time.perf_counter()
    torch.ops.load_library(library)
    loaded = time.perf_counter()
    out = attention(case, q, k, v)
    torch.cuda.synchronize()
    first = time.perf_counter()
    for _ in range(REPEATS):
        attention(case, q, k, v)
    torch.cuda.synchronize()
    later = (time.perf_counter() - first) / REPEATS
    torch.save(out.cpu(), result)
    exact = reference(case, q, k, v, torch.float64)
    plain = reference(case, q, k, v, q.dtype)
    return {
        "load_seconds": loaded - began,
        "first_call_seconds": first - loaded,
        "later_call_seconds": later,
        "largest_error": float((out.double() - exact).abs().max()),
        "bound": 2 * float((plain.double() - exact).abs().max()),
    }


def in_process(library: Path, case: str, result: Path, seconds: float) -> dict[str, Any]:
    """The same in a fresh process with an empty cache of the driver."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "CUDA_CACHE_PATH": cache, "CUDA_CACHE_MAXSIZE": "4294967296"}
        environment.pop("CUDA_CACHE_DISABLE", None)
        argv = [sys.executable, __file__, str(library), str(library)]
        argv += ["--case", case, "--result", str(result)]
        try:
            done = subprocess.run(
                argv,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
                timeout=max(seconds, 1),
            )
        except subprocess.TimeoutExpired:
            return {"not_done": f"not within {seconds:.0f} s"}
        kept = sum(path.stat().st_size for path in Path(cache).rglob("*") if path.is_file())
    if done.returncode != 0:
        return {"not_done": f"it ended with {done.returncode}", "said": done.stderr[-800:]}
    return {**json.loads(done.stdout), "driver_cache_bytes": kept}


def compared(case: str, libraries: dict[str, Path], until: float) -> dict[str, Any]:
    """One case, by both libraries."""
    with tempfile.TemporaryDirectory() as folder:
        found: dict[str, Any] = {}
        for name, library in libraries.items():
            left = until - time.monotonic()
            found[name] = in_process(library, case, Path(folder) / name, left)
        if any("not_done" in one for one in found.values()):
            return {"state": "not checked", **found}
        import torch

        one, other = (torch.load(Path(folder) / name) for name in libraries)
        same = bool(torch.equal(one, other))
        difference = float((one.double() - other.double()).abs().max())
    within = all(one["largest_error"] <= one["bound"] + 1e-6 for one in found.values())
    first = {name: one["first_call_seconds"] for name, one in found.items()}
    return {
        "state": "same bits" if same else "within the bound" if within else "different",
        "same_bits": same,
        "within_float64_bound": within,
        "largest_difference": difference,
        "first_call_ratio": first["original"] / first["retargeted"],
        **found,
    }


def machine() -> dict[str, str]:
    """The GPU, its driver, torch."""
    import torch

    asked = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    told = ""
    if shutil.which(asked[0]):
        told = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    return {"gpu": told.splitlines()[0] if told else "unknown", "torch": torch.__version__}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("original", type=Path)
    parser.add_argument("retargeted", type=Path)
    parser.add_argument("--seconds", type=float, default=80, help="for all cases together")
    parser.add_argument("--case", choices=CASES)
    parser.add_argument("--result")
    options = parser.parse_args()
    for path in (options.original, options.retargeted):
        if not path.is_file():
            parser.error(f"there is no file {path}")
    if options.result is not None:
        sys.stdout.write(json.dumps(run(str(options.original), options.case, options.result)))
        return 0
    until = time.monotonic() + options.seconds
    libraries = {"retargeted": options.retargeted.resolve(), "original": options.original.resolve()}
    cases = [options.case] if options.case else list(CASES)
    found = {case: compared(case, libraries, until) for case in cases}
    states = [one["state"] for one in found.values()]
    ok = "different" not in states and any(state != "not checked" for state in states)
    document = {
        "ok": ok,
        "machine": machine(),
        "bytes": {name: path.stat().st_size for name, path in libraries.items()},
        "cases": found,
    }
    sys.stdout.write(json.dumps(document, indent=1) + "\n")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
