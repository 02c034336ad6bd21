"""What a run compiled, by the programs it started and what it left in caches; for judge.py."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

Row = dict[str, Any]
ASKED = {"--version", "-V", "-dumpversion", "-dumpfullversion", "-v --version"}
PARTS = re.compile(
    r"^(as|ld|cc1|cc1plus|collect2|cicc|cudafe\+\+|fatbinary|nvlink|sh|.*-real|ldconfig.*|uname"
    r"|file|python3?|which|git|lscpu)$"
)
"""Programs that a compiler starts, and those that compile nothing."""
OWNERS = (
    ("flashinfer-python", re.compile(r"/flashinfer/|/\.tensorrt_llm/")),
    ("vllm", re.compile(r"/deep_gemm/")),
    ("humming-kernels", re.compile(r"/humming|humming_launcher")),
    ("triton", re.compile(r"cuda_utils\.c|__triton_launcher|--gpu-name|/triton/")),
    ("torch", re.compile(r"/inductor/|torchinductor|/torch_extensions/|/extensions/")),
)
"""Whose work a call is, by the paths in it; the first that matches."""
NAMES = {"gcc": "cc", "g++": "c++", "clang": "cc", "clang++": "c++"}
FEATURES = (
    ("FlashAttention 2", re.compile(r"^_ZN5flash\d+flash_(fwd|bwd)")),
    ("Marlin weight repacking", re.compile(r"_(gptq|awq)_marlin_repack")),
    ("MoE Marlin (GPTQ, AWQ, FP8 and FP4 weights)", re.compile("^_ZN16marlin_moe_wna166Marlin")),
    ("Marlin (GPTQ, AWQ, FP8 and FP4 weights)", re.compile("^_ZN6marlin6Marlin")),
)
"""The features that the driver compiles, by the names in the driver's cache."""


def said(plan: Row) -> dict[str, list[str]]:
    """The compilers of the plan, by package."""
    found: dict[str, set[str]] = {}
    for row in plan["first_use_compiles"]:
        words = re.split(r", | or ", row["compiler"])
        found.setdefault(row["package"], set()).update(words)
    return {package: sorted(words) for package, words in found.items()}


def forecast(plan: Row, package: str, compiler: str) -> bool:
    """Whether the plan has that compiler for that package."""
    return compiler in said(plan).get(package, [])


def started(case: Row) -> Counter[tuple[str, str]]:
    """The compilers that were started, by whose work it was; their parts count with them."""
    found: Counter[tuple[str, str]] = Counter()
    for _, how, program, *words in case["started"]:
        name = program.rpartition("/")[2]
        if how == "nvrtc":
            found["vllm" if case["caches"]["deep_gemm"] else "?", "nvrtc"] += 1
            continue
        if PARTS.match(name) or how in {"system", "popen"} or ASKED & set(words):
            continue
        text = " ".join(words)
        if name in {"gcc", "ptxas", "g++"} and "tmpxft_" in text:
            continue  # nvcc starts it
        if name == "gcc" and (" -E " in text or "-D__CUDACC__" in text or "__CUDA_ARCH" in text):
            continue
        owner = next((who for who, mark in OWNERS if mark.search(text)), "?")
        if name == "ninja" and owner == "?":
            owner = "torch"  # torch.utils.cpp_extension starts it in the folder of its build
        found[owner, NAMES.get(name, name)] += 1
    return found


def by_driver(case: Row) -> Counter[str]:
    """The entries of the driver's cache, by feature."""
    found: Counter[str] = Counter()
    for entry in case["caches"]["driver"]:
        if entry["path"] == "index":
            continue
        names = entry["kernels"]
        match = (f for f, mark in FEATURES if any(mark.search(name) for name in names))
        found[next(match, f"? {names[:1]}")] += 1
    return found


def compiled_at_first_use(plan: Row, cases: list[Row]) -> tuple[Row, list[str]]:
    """What each case compiled, and all of it that the plan does not name."""
    planned = {r["what"] for r in plan["first_use_compiles"] if r["compiler"] == "the driver"}
    found: Row = {}
    wrong: list[str] = []
    for case in cases:
        own, driver = started(case), by_driver(case)
        for (who, compiler), count in sorted(own.items()):
            if not forecast(plan, who, compiler):
                wrong.append(f"{case['case']}: {who} started {compiler} {count} times: not planned")
        wrong += [
            f"{case['case']}: the driver compiled {count} units of {name}: not planned"
            for name, count in driver.items()
            if name not in planned
        ]
        kernels = sum(f["path"].endswith(".cubin") for f in case["caches"]["triton"])
        mapped = any("ptxjitcompiler" in name for name in case["mapped"])
        if mapped != bool(driver):
            wrong.append(f"{case['case']}: the driver's compiler mapped: {mapped}, cache: {driver}")
        found[case["case"]] = {
            "status": case["status"],
            "seconds": {k: round(v, 1) for k, v in (case["measured"] or {}).items()},
            "started": {f"{who}: {compiler}": n for (who, compiler), n in sorted(own.items())},
            "by the driver": dict(driver),
            "Triton's cubins": kernels,
            "jiterator": len(case["caches"]["jiterator"]),
        }
    return found, wrong
