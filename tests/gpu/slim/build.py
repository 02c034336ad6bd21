"""Make a small library with nvcc, and its retargeted and compressed forms, for `kernels.py`.

Wants nvcc, ptxas and Sartor; no GPU.  usage: python build.py OUT [--sm 90]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from sartor.paths import Places
from sartor.reporter import Silent
from sartor.slim.choice import Wanted
from sartor.slim.library.reduce import slim_library
from sartor.slim.retarget.ptxas import PtxasCompiler
from sartor.verdict.model import Target

OPTIONS = {1: [], 2: ["-Xptxas=-O1"], 3: ["-fmad=false"], 4: ["-maxrregcount=32"], 5: ["-lineinfo"]}
DRIVERS = {"plain": None, "lz4": "535.54.03", "zstd": "580.65.06"}
"""The driver that is said to be there decides how new code is compressed."""


def built(out: Path, name: str, codes: list[str]) -> Path:
    """A library of five units, nothing in it compressed."""
    source = Path(__file__).parent / "unit.cu"
    gencode = [f"-gencode=arch=compute_{code.split('_')[1]},code={code}" for code in codes]
    with tempfile.TemporaryDirectory() as work:
        objects = []
        for number, options in OPTIONS.items():
            objects.append(f"{work}/{number}.o")
            flags = ["-Xcompiler=-fPIC", "--compress-mode=none", f"-DNUMBER={number}", *gencode]
            argv = ["nvcc", "-c", *flags, *options, str(source), "-o", objects[-1]]
            subprocess.run(argv, check=True)
        path = out / f"{name}.so"
        subprocess.run(["nvcc", "-shared", *objects, "-o", str(path)], check=True)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--sm", default="90")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    number = int(options.sm)
    target = Target(f"sm_{number}", f"{number // 10}.{number % 10}")
    native = built(options.out, "native", [f"sm_{number}", "sm_80"])
    ptx = built(options.out, "ptx", ["sm_75", "compute_80"])
    with tempfile.TemporaryDirectory() as home:
        compiler = PtxasCompiler(Places(Path(home)), Silent(), fetch=False)
        for how, driver in DRIVERS.items():
            wanted = Wanted((target,), retarget=True, driver=driver)
            done = slim_library(ptx, options.out / f"retargeted-{how}.so", wanted, compiler)
            sys.stderr.write(
                f"retargeted-{how}: {[(row.arch, row.units) for row in done.retargeted]}\n"
            )
            if driver is not None:
                wanted = Wanted((target,), compress=True, driver=driver)
                done = slim_library(native, options.out / f"compressed-{how}.so", wanted)
                sys.stderr.write(
                    f"compressed-{how}: {sum(tally.compressed for tally in done.images)}\n"
                )


if __name__ == "__main__":
    main()
