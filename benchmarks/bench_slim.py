"""Libraries reduced to one GPU, beside `cp` in the same run, and beside the smallest possible.

Seconds are of `slim_library`, which writes the output and inspects it again, in a process that has
its modules; `cp` is a process. Bytes are of every library and GPU; the smallest possible is said by
`tests/heavy/judges/smallest.py`, which shares no code with Sartor. Peak memory is a process's own,
and no lower than this one's.

usage: python benchmarks/bench_slim.py ROUNDS LIBRARY…
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from timing import ROOT, interleaved, run_seconds, write_result

from sartor.slim.choice import Wanted
from sartor.slim.library.reduce import slim_library
from sartor.verdict.model import Target

CAPABILITIES = ("7.5", "8.0", "8.9", "9.0", "10.0", "12.0")
TIMED = "9.0"
JUDGE = ROOT / "tests" / "heavy" / "judges" / "smallest.py"
PROVES = ["src/sartor/slim", "benchmarks/bench_slim.py", "tests/heavy/judges/smallest.py"]
PEAK = (
    "import resource, sys; from pathlib import Path\n"
    "from sartor.slim.library.reduce import slim_library\n"
    "from sartor.slim.choice import Wanted; from sartor.verdict.model import Target\n"
    "slim_library(Path(sys.argv[1]), Path(sys.argv[2]), Wanted((Target('sm_90', '9.0'),)))\n"
    "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
)


def wanted(capability: str) -> Wanted:
    return Wanted((Target(f"sm_{capability.replace('.', '')}", capability),))


def slim_seconds(library: Path, output: Path) -> float:
    output.unlink(missing_ok=True)
    began = time.perf_counter()
    slim_library(library, output, wanted(TIMED))
    return time.perf_counter() - began


def copy_seconds(library: Path, output: Path) -> float:
    output.unlink(missing_ok=True)
    return run_seconds(["cp", str(library), str(output)])


def judged(before: Path, after: Path, capability: str) -> tuple[int, int]:
    """The least, and what is kept, by the judge."""
    argv = [sys.executable, str(JUDGE), str(before), capability, "--against", str(after)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    return found["smallest"], found["kept"]


def bytes_for(library: Path, capability: str, output: Path) -> dict[str, object]:
    result = slim_library(library, output, wanted(capability))
    least, kept = judged(library, output, capability)
    return {
        "file": [result.bytes_before, result.bytes_after],
        "device_code": [result.device_bytes_before, result.device_bytes_after],
        "smallest": least,
        "kept_by_the_judge": kept,
        "left_alone": [left.code for left in result.left_alone],
    }


def measured(library: Path, rounds: int, folder: Path) -> dict[str, object]:
    one, other = folder / "slimmed.so", folder / "copied.so"
    slim_library(library, None, wanted(TIMED))
    seconds = interleaved(
        {"cp": partial(copy_seconds, library, other), "slim": partial(slim_seconds, library, one)},
        rounds,
    )
    peak = subprocess.run(
        [sys.executable, "-c", PEAK, str(library), str(one)],
        capture_output=True,
        text=True,
        check=True,
    )
    return {
        "seconds": seconds,
        "slim_over_cp": round(seconds["slim"]["median"] / seconds["cp"]["median"], 2),
        "peak_memory_mib": round(int(peak.stdout) / 1024, 1),
        "gpus": {capability: bytes_for(library, capability, one) for capability in CAPABILITIES},
    }


def main(rounds: int, libraries: list[Path]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        found = {"/".join(p.parts[-2:]): measured(p, rounds, Path(folder)) for p in libraries}
    for name, row in found.items():
        print(name, row["seconds"], row["slim_over_cp"], row["peak_memory_mib"])
    content: dict[str, object] = {
        "script": f"benchmarks/bench_slim.py {rounds} LIBRARY…",
        "timed_for": TIMED,
        "libraries": found,
    }
    write_result("slim_library", PROVES, content)
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), [Path(word) for word in sys.argv[2:]]))
