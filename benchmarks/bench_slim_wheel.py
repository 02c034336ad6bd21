"""Wheels reduced to one GPU: seconds beside inflating and deflating alone, and bytes for each GPU.

Seconds are of `slim_wheel`, which checks every member, writes the new wheel and reads it again, and
in the same run of inflating all of the wheel and deflating what is kept of the changed libraries,
with the same library (ISA-L) at the same level, on one core. CPU seconds are all threads'. Peak
memory is a process's own. The least device code is said by `tests/heavy/judges/smallest.py`, which
shares no code with Sartor, of each library as it is in the two wheels.

usage: python benchmarks/bench_slim_wheel.py ROUNDS TIMED… -- WHEEL…
Without wheels behind `--` the bytes of the last run stay.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from functools import partial
from pathlib import Path

from bench_slim import CAPABILITIES, TIMED, judged, wanted
from timing import ROOT, interleaved, write_result

from sartor.artifact.inflate import inflate, pieces
from sartor.artifact.source import FileSource
from sartor.artifact.zip import STORED, ZipMembers
from sartor.errors import NotSlimmableError
from sartor.slim.wheel.deflate import BLOCK, deflated_bytes
from sartor.slim.wheel.reduce import WheelRequest, slim_wheel

PROVES = ["src/sartor/slim", "benchmarks/bench_slim_wheel.py", "tests/heavy/judges/smallest.py"]
NEGATIVA = "-75 % device code, -55 % file (Negativa-ML, published, over its frameworks and models)"
PEAK = (
    "import json, re, sys, time; from pathlib import Path\n"
    "from sartor.slim.wheel.reduce import WheelRequest, slim_wheel\n"
    "from sartor.slim.choice import Wanted; from sartor.verdict.model import Target\n"
    "wanted = Wanted((Target('sm_90', '9.0'),)); began = time.process_time()\n"
    "slim_wheel(WheelRequest(Path(sys.argv[1]), wanted, Path(sys.argv[2])))\n"
    "peak = re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1]\n"
    "print(json.dumps([int(peak), time.process_time() - began]))"
)


def slim_seconds(wheel: Path, folder: Path) -> float:
    began = time.perf_counter()
    slim_wheel(WheelRequest(wheel, wanted(TIMED), folder))
    return time.perf_counter() - began


def plain(wheel: Path, only: set[str] | None = None) -> list[bytes]:
    """Inflate a wheel's members; what is in ``only`` is given back."""
    found = []
    with FileSource(wheel) as source:
        members = ZipMembers(source)
        for member in members.members:
            blocks = pieces(source, members.data_at(member), member.compressed)
            stream = blocks if member.method == STORED else inflate(blocks, member.name)
            if only is None:
                for _ in stream:
                    pass
            elif member.name in only:
                found.append(b"".join(stream))
    return found


def bare_seconds(wheel: Path, kept: list[bytes]) -> float:
    began = time.perf_counter()
    plain(wheel)
    for data in kept:
        for at in range(0, len(data), BLOCK):
            deflated_bytes(data[at : at + BLOCK])
    return time.perf_counter() - began


def timed(wheel: Path, rounds: int, folder: Path) -> dict[str, object]:
    result = slim_wheel(WheelRequest(wheel, wanted(TIMED), folder))
    output = Path(result.output or "")
    kept = plain(output, {one.path for one in result.libraries if one.changed})
    seconds = interleaved(
        {
            "inflate_and_deflate": partial(bare_seconds, wheel, kept),
            "slim": partial(slim_seconds, wheel, folder),
        },
        rounds,
    )
    argv = [sys.executable, "-c", PEAK, str(wheel), str(folder)]
    peak = subprocess.run(argv, capture_output=True, text=True, check=True)
    memory, cpu = json.loads(peak.stdout)
    output.unlink()
    ratio = seconds["slim"]["median"] / seconds["inflate_and_deflate"]["median"]
    return {
        "seconds": seconds,
        "slim_over_inflate_and_deflate": round(ratio, 2),
        "cpu_seconds": round(cpu, 2),
        "peak_memory_mib": round(memory / 1024, 1),
    }


def bytes_for(wheel: Path, capability: str, folder: Path) -> dict[str, object]:
    try:
        result = slim_wheel(WheelRequest(wheel, wanted(capability), folder, copy=True))
    except NotSlimmableError as error:  # it has nothing for the GPU
        return {"refused": str(error)}
    output = Path(result.output or "")
    least = kept = 0
    scratch = folder / "after"
    with zipfile.ZipFile(output) as archive:
        for library in result.libraries:
            after = Path(archive.extract(library.path, scratch))
            one, other = judged(folder / "before" / library.path, after, capability)
            least, kept = least + one, kept + other
            after.unlink()
    output.unlink()
    libraries = result.libraries
    return {
        "wheel": [result.bytes_before, result.bytes_after],
        "libraries": [
            sum(one.bytes_before for one in libraries),
            sum(one.bytes_after for one in libraries),
        ],
        "device_code": [result.device_bytes_before, result.device_bytes_after],
        "least_by_the_judge": least,
        "kept_by_the_judge": kept,
        "left_alone": sorted({left.code for one in libraries for left in one.left_alone}),
    }


def table(wheel: Path, folder: Path) -> dict[str, object]:
    libraries = slim_wheel(WheelRequest(wheel, wanted(TIMED))).libraries
    with zipfile.ZipFile(wheel) as archive:
        for library in libraries:
            archive.extract(library.path, folder / "before")
    return {capability: bytes_for(wheel, capability, folder) for capability in CAPABILITIES}


def main(rounds: int, for_time: list[Path], wheels: list[Path]) -> int:
    times: dict[str, object] = {}
    bytes_: dict[str, object] = {}
    for wheel in for_time:
        with tempfile.TemporaryDirectory() as folder:
            times[wheel.name] = timed(wheel, rounds, Path(folder))
        print(wheel.name, times[wheel.name], flush=True)
    for wheel in wheels:
        with tempfile.TemporaryDirectory() as folder:
            bytes_[wheel.name] = table(wheel, Path(folder))
        print(wheel.name, bytes_[wheel.name], flush=True)
    if not wheels:
        bytes_ = json.loads((ROOT / "benchmarks/results/slim_wheel.json").read_text())["bytes"]
    content: dict[str, object] = {
        "script": f"benchmarks/bench_slim_wheel.py {rounds} TIMED… -- WHEEL…",
        "timed_for": TIMED,
        "load_average": os.getloadavg(),
        "beside": NEGATIVA,
        "times": times,
        "bytes": bytes_,
    }
    write_result("slim_wheel", PROVES, content)
    return 0


if __name__ == "__main__":
    words = sys.argv[2:]
    at = words.index("--")
    paths = [Path(word) for word in words if word != "--"]
    sys.exit(main(int(sys.argv[1]), paths[:at], paths[at:]))
