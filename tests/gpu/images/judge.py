"""Compare what the GPU did with what `sartor.verdict.load_rule` says, and write the result.

usage: python judge.py RESULTS COMMIT DATE [LOGS…]        (no GPU)

RESULTS holds the logs that run_images.sh wrote, ``*.jsonl.xz``; result.json is written beside them.
"""

from __future__ import annotations

import json
import lzma
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from sartor.artifact.model import ImageKind
from sartor.verdict.load_rule import Chosen, Jit, Native, choose, container_outcome
from sartor.verdict.model import Target

if TYPE_CHECKING:
    from collections.abc import Iterator

Row = dict[str, Any]
GPU = Target("sm_90", "9.0", "NVIDIA H200", "580.159.04", "13.0")
KINDS: dict[str, ImageKind] = {"sm": "cubin", "compute": "ptx", "lto": "ltoir"}
TRIED = {"alone", "pair", "several", "tool"}
"""Containers of constructed images that are whole; the others are there to be looked at."""
OLDER_THAN_ITS_TARGET = ("compute_90-isa7.7", "compute_75-isa6.2")
"""Made by hand, and refused by the compiler itself: no toolkit writes such a text."""


class Made(msgspec.Struct, frozen=True):
    """A constructed image, by its name."""

    kind: ImageKind
    arch: str
    ptx_isa: str | None
    compression: str | None = None


def made(name: str) -> Made:
    """``compute_80-isa8.7`` and the like."""
    arch, _, isa = name.replace("-second", "").partition("-isa")
    kind = KINDS[arch.split("_", maxsplit=1)[0]]
    return Made(kind, arch, (isa or "9.0") if kind == "ptx" else None)


def rows(path: Path) -> Iterator[Row]:
    """The lines of a log."""
    with lzma.open(path, "rt", encoding="utf-8") as log:
        for line in log:
            yield json.loads(line)


def as_said(row: Row, mode: str = "") -> bool:
    """Whether the trial went as the rule says: which image ran, or that none did.

    ``mode`` has ``disable-ptx-jit`` (PTX is refused) or ``force-ptx-jit`` (machine code is not
    looked at) in it where the trial was made under that variable.
    """
    names = [n for n in row["images"] if "force-ptx-jit" not in mode or n.startswith("compute")]
    images = [made(name) for name in names]
    chosen = choose(images, GPU)
    outcome = container_outcome(images, GPU)
    if not isinstance(chosen, Chosen) or not isinstance(outcome, Native | Jit):
        return bool(row["code"] != 0)
    if "disable-ptx-jit" in mode and isinstance(outcome, Jit):
        return bool(row["code"] != 0)
    name = names[chosen.index]
    return bool(row["code"] != 0 if name in OLDER_THAN_ITS_TARGET else row["ran"] == name)


def trials(path: Path) -> Row:
    """How many trials of a log went as said, by what was tried."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows(path):
        if row["what"] in TRIED and row["api"] != "wrapper":
            said = as_said(row, path.name)
            found[row["what"]]["as said" if said else "otherwise"] += 1
        elif row["what"] == "broken":
            found["broken"]["died" if "died" in row else f"code {row['code']}"] += 1
    return {what: dict(counts) for what, counts in found.items()}


def images(logs: list[Path]) -> Row:
    """The loads of real images, and of whole containers, by library."""
    alone: dict[str, Counter[str]] = defaultdict(Counter)
    whole: dict[str, Counter[str]] = defaultdict(Counter)
    relocatable: Counter[str] = Counter()
    for row in (row for path in logs for row in rows(path)):
        loaded = "loaded" if row.get("code") == 0 else "not loaded"
        if row["relocatable"] and row["predicted"] == "unknown":
            relocatable[f"{row['what']}: {loaded}, code {row.get('code', 'died')}"] += 1
            continue
        counts = (whole if row["what"] == "container" else alone)[row["library"]]
        counts[f"{row['predicted']}: {loaded}"] += 1
        counts["disagree"] += row["agrees"] is not True
    total = sum((c for c in alone.values()), Counter[str]())
    units = sum((c for c in whole.values()), Counter[str]())
    return {
        "images": {"libraries": len(alone), **total, "disagree": total["disagree"]},
        "units": {"libraries": len(whole), **units, "disagree": units["disagree"]},
        "relocatable, nothing said": dict(relocatable),
        "units by library": {k: dict(v) for k, v in sorted(whole.items())},
        "images by library": {k: dict(v) for k, v in sorted(alone.items())},
    }


def main() -> None:
    """Write result.json."""
    folder, commit, date = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    result = {
        "what": "tests/gpu/images: what the CUDA driver of an H200 does with constructed images in "
        "every order, and with images of published libraries, against sartor.verdict.load_rule",
        "commit": commit,
        "date": date,
        "proves": ["src/sartor/verdict/load_rule.py", "tests/gpu/images"],
        "hardware": {"gpu": "NVIDIA H200 (9.0, 143771 MiB)", "cpus": 16},
        "driver": "580.159.04 (CUDA 13.0)",
        "versions": {
            "nvcc": "13.0.88",
            "torch": "2.8.0, 2.11.0+cu130",
            "vllm": "0.25.1, 0.32.0",
            "sglang-kernel": "0.4.10",
            "sgl-kernel": "0.3.9.post2, 0.3.21",
            "bitsandbytes": "0.50.2",
            "nvidia-cublas": "13.1.0.3",
            "cudnn": "9.19.0.56",
            "nccl": "2.28.9",
            "cusparse": "12.6.3.3",
            "cusolver": "12.0.4.66",
        },
        "script": "tests/gpu/images/run_images.sh",
        "log": "run.log",
        "trials": {p.name: trials(p) for p in sorted(folder.glob("choice*.xz"))},
        **images(sorted(folder.glob("entries*.xz"))),
    }
    (folder / "result.json").write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
