"""Run vLLM with random weights and empty caches, and note all that is compiled meanwhile.

usage: python first_use.py OUT WATCH.so CASE…            (on a machine with a GPU)

Wants vLLM and what it needs on PYTHONPATH, and nothing of Sartor. A case is one of `CASES`. Each
runs in a folder of its own that holds all caches (the driver's, Triton's, inductor's, FlashInfer's,
DeepGEMM's, vLLM's) and the home directory, empty at first; watch.c, compiled and preloaded, notes
each program that is started. OUT gets ``CASE.json``: seconds, what the caches hold afterwards, what
was started, and which compilers that are libraries were mapped into a process; ``CASE.log`` is
vLLM's output.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

SHAPES = Path(__file__).resolve().parents[2] / "data" / "shapes"
LONGEST_S = 300
KERNEL = re.compile(rb"_Z[A-Za-z0-9_]{6,}")
MOST_NAMES = 60
COMPILER_LIBRARIES = re.compile(
    r"/(lib(?:nvrtc|nvrtc-builtins|nvidia-ptxjitcompiler|nvJitLink|nvvm|nvptxcompiler|"
    r"cute_dsl_runtime|LLVM|clang|tvm_compiler|tilelang)[^/ ]*)$"
)
CACHES = {
    "driver": "CUDA_CACHE_PATH",
    "triton": "TRITON_CACHE_DIR",
    "inductor": "TORCHINDUCTOR_CACHE_DIR",
    "vllm": "VLLM_CACHE_ROOT",
    "deep_gemm": "DG_JIT_CACHE_DIR",
    "flashinfer": "FLASHINFER_WORKSPACE_BASE",
    "jiterator": "PYTORCH_KERNEL_CACHE_PATH",
    "extensions": "TORCH_EXTENSIONS_DIR",
    "tilelang": "TILELANG_CACHE_DIR",
    "cutlass-dsl": "CUTE_DSL_CACHE_DIR",
    "xdg": "XDG_CACHE_HOME",
    "home": "HOME",
    "tmp": "TMPDIR",
}
FEW: dict[str, Any] = {"num_hidden_layers": 4}
AWQ = {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True, "version": "gemm"}
EAGER: dict[str, Any] = {"enforce_eager": True}
FA2: dict[str, Any] = {**EAGER, "attention_config": {"flash_attn_version": 2}}
MARLIN = {"VLLM_DISABLED_KERNELS": "CutlassW4A8LinearKernel,MacheteLinearKernel"}
SAMPLER = {"VLLM_USE_FLASHINFER_SAMPLER": "1"}
NO_WARMUP = {"VLLM_DEEP_GEMM_WARMUP": "skip"}
CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any], dict[str, str]]] = {
    "eager": ("qwen2.5-7b", {}, EAGER, {}),
    "default": ("qwen2.5-7b", {}, {}, {}),
    "flash-attention-2": ("qwen2.5-7b", {}, FA2, {}),
    "marlin": ("qwen2.5-7b", {**FEW, "quantization_config": AWQ}, EAGER, MARLIN),
    "moe-marlin": ("qwen3-30b-a3b", {**FEW, "quantization_config": AWQ}, EAGER, MARLIN),
    "deep-gemm": ("qwen3-8b-fp8", FEW, EAGER, NO_WARMUP),
    "deep-gemm-nvrtc": ("qwen3-8b-fp8", FEW, EAGER, {**NO_WARMUP, "DG_JIT_USE_NVRTC": "1"}),
    "no-deep-gemm": ("qwen3-8b-fp8", FEW, EAGER, {**NO_WARMUP, "VLLM_USE_DEEP_GEMM": "0"}),
    "flashinfer-sampler": ("qwen2.5-7b", FEW, EAGER, SAMPLER),
}
"""Name → the shape, what is changed in it, the engine's settings, variables of the case."""
PLANNED = {"VLLM_USE_FLASHINFER_SAMPLER": "0"}
"""What the plan says to run with; a case may say otherwise."""


def child(case: str) -> None:
    """The engine, two requests, and how long each took."""
    shape, changes, settings, _ = CASES[case]
    config = json.loads((SHAPES / f"{shape}.json").read_text()) | changes
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text(json.dumps(config))
        began = time.time()
        from vllm import LLM, SamplingParams

        imported = time.time()
        engine = LLM(
            model=folder,
            skip_tokenizer_init=True,
            load_format="dummy",
            gpu_memory_utilization=0.5,
            max_model_len=2048,
            max_num_seqs=64,
            **settings,
        )
        found = {"import": imported - began, "start": time.time() - imported}
        sampling = SamplingParams(
            max_tokens=16, temperature=0.8, top_p=0.9, top_k=50, ignore_eos=True, detokenize=False
        )
        prompts: Any = [{"prompt_token_ids": list(range(10, 10 + n))} for n in (600, 30)]
        for name in ("first", "second"):
            began = time.time()
            done = engine.generate(prompts, sampling, use_tqdm=False)
            found[name] = time.time() - began
            found[f"{name} tokens"] = sum(len(one.outputs[0].token_ids) for one in done)
        print(f"MEASURED {json.dumps(found)}", flush=True)  # noqa: T201


def kernels(path: Path) -> list[str]:
    """Names of kernels in a file of the driver's cache, where it is not compressed."""
    names = {name.decode() for name in KERNEL.findall(path.read_bytes())}
    return sorted(names)[:MOST_NAMES]


def held(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """What each cache holds: path and bytes; of the driver's entries the kernels too."""
    found: dict[str, list[dict[str, Any]]] = {}
    for cache in CACHES:
        root = folder / cache
        files = sorted(p for p in root.rglob("*") if p.is_file() and not p.is_symlink())
        found[cache] = [
            {"path": str(p.relative_to(root)), "bytes": p.stat().st_size}
            | ({"kernels": kernels(p)} if cache == "driver" else {})
            for p in files
        ]
    return found


class Maps(threading.Thread):
    """The compilers that are libraries, as far as they are mapped into a process of the case."""

    def __init__(self, session: int) -> None:
        super().__init__(daemon=True)
        self.session, self.found, self.ended = session, set[str](), threading.Event()

    def run(self) -> None:
        """Look five times a second."""
        while not self.ended.wait(0.2):
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    if os.getsid(int(process.name)) != self.session:
                        continue
                    lines = (process / "maps").read_text().splitlines()
                except OSError:
                    continue
                for line in lines:
                    if found := COMPILER_LIBRARIES.search(line):
                        self.found.add(found[1])


def measured(case: str, watch: str, out: Path) -> dict[str, Any]:
    """Run one case and look at what it left."""
    folder = Path(tempfile.mkdtemp(prefix=f"{case}-"))
    environment = {**os.environ, **PLANNED, **CASES[case][3]}
    for cache, variable in CACHES.items():
        (folder / cache).mkdir()
        environment[variable] = str(folder / cache)
    environment |= {
        "LD_PRELOAD": watch,
        "WATCH_LOG": str(folder / "started"),
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_DO_NOT_TRACK": "1",
    }
    log, began = out / f"{case}.log", time.time()
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), "--child", case],
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        maps = Maps(process.pid)
        maps.start()
        try:
            status = process.wait(LONGEST_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            status = process.wait()
        maps.ended.set()
    started = folder / "started"
    lines = started.read_text("utf-8", "replace").splitlines() if started.exists() else []
    said = re.findall(r"MEASURED (.*)", log.read_text("utf-8", "replace"))
    return {
        "case": case,
        "shape": CASES[case][0],
        "changes": CASES[case][1],
        "settings": CASES[case][2],
        "environment": {**PLANNED, **CASES[case][3]},
        "folder": str(folder),
        "status": status,
        "wall": time.time() - began,
        "measured": json.loads(said[-1]) if said else None,
        "caches": held(folder),
        "started": [line.split("\t") for line in lines],
        "mapped": sorted(maps.found),
    }


def main() -> None:
    """Measure each case that was asked for."""
    options = argparse.ArgumentParser()
    options.add_argument("out")
    options.add_argument("watch", nargs="?")
    options.add_argument("cases", nargs="*")
    options.add_argument("--child", action="store_true")
    asked = options.parse_args()
    if asked.child:
        child(asked.out)
        return
    out = Path(asked.out)
    for case in asked.cases:
        row = measured(case, asked.watch, out)
        (out / f"{case}.json").write_text(json.dumps(row))
        counts = {name: len(files) for name, files in row["caches"].items() if files}
        programs = sorted({Path(line[2]).name for line in row["started"]})
        line = [case, row["status"], row["measured"], counts, programs, row["mapped"]]
        print(*line, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
