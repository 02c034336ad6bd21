"""`sartor inspect` against `cuobjdump --list-elf --list-ptx`, over an extracted vLLM wheel.

Whole process against whole process over all libraries; the header walk alone against cuobjdump on
the same library; and how much memory is in use for a small and a large library, as files and
inside the wheel.

usage: python benchmarks/bench_inspect.py [REQUIREMENT]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import zipfile
from functools import partial
from importlib.metadata import distribution
from pathlib import Path

from timing import ROOT, interleaved, write_result

sys.path.insert(0, str(ROOT / "tests"))

from sartor.artifact.elf import Elf
from sartor.artifact.fatbin import containers
from sartor.artifact.source import FileSource
from wheels import wheel

ROUNDS = 9
SARTOR = str(Path(sys.executable).parent / "sartor")


def cuobjdump() -> str:
    """NVIDIA's tool, from the wheel that carries it."""
    found = distribution("nvidia-cuda-cuobjdump")
    return str(next(found.locate_file(f) for f in found.files or () if f.name == "cuobjdump"))


def seconds_of(commands: list[list[str]]) -> float:
    """The wall time of the programs one after the other, their output thrown away."""
    began = time.perf_counter()
    for argv in commands:
        subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return time.perf_counter() - began


def walk_seconds(libraries: list[Path]) -> float:
    """The walk over the headers of device code, sections included, in this process."""
    began = time.perf_counter()
    for path in libraries:
        with FileSource(path) as source:
            for section in Elf(source).sections:
                if section.name in {".nv_fatbin", "__nv_relfatbin"}:
                    for _ in containers(source, section.offset, section.size):
                        pass
    return time.perf_counter() - began


def peak_mib(argv: list[str]) -> float:
    """The largest resident size of a program, in MiB."""
    script = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL,"
        " stderr=subprocess.DEVNULL); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *argv], capture_output=True, text=True, check=True
    )
    return round(int(done.stdout) / 1024, 1)


def measure(package: Path, folder: Path) -> dict[str, object]:
    """All figures over one extracted wheel."""
    libraries = sorted(p for p in folder.rglob("*.so*") if p.is_file())
    holding = [p for p in libraries if b".nv_fatbin" in p.read_bytes()]  # also warms the cache
    list_all = [[cuobjdump(), "--list-elf", "--list-ptx", str(p)] for p in libraries]
    inspect = [SARTOR, "inspect", str(folder), "--no-store", "--json"]
    seconds = interleaved(
        {
            "cuobjdump, all libraries": partial(seconds_of, list_all),
            "sartor inspect FOLDER": partial(seconds_of, [inspect]),
            "sartor inspect FOLDER --gpu": partial(
                seconds_of, [[*inspect, "--gpu", "rtx-5090", "--driver", "580.95"]]
            ),
            "the walk alone": partial(walk_seconds, libraries),
            "sartor inspect WHEEL": partial(
                seconds_of, [[SARTOR, "inspect", str(package), "--no-store", "--json"]]
            ),
        },
        ROUNDS,
    )
    peer = seconds["cuobjdump, all libraries"]["median"]
    by_size = sorted(holding, key=lambda p: p.stat().st_size)
    memory = {
        f"{name} ({path.stat().st_size >> 20} MiB)": peak_mib(
            [SARTOR, "inspect", str(path), "--no-store", "--json"]
        )
        for name, path in (("smallest", by_size[0]), ("largest", by_size[-1]), ("wheel", package))
    }
    return {
        "libraries": len(libraries),
        "bytes": sum(p.stat().st_size for p in libraries),
        "rounds": ROUNDS,
        "seconds": seconds,
        "ratios": {
            f"cuobjdump / {name}": round(peer / seconds[name]["median"], 1)
            for name in ("sartor inspect FOLDER", "sartor inspect FOLDER --gpu", "the walk alone")
        },
        "wanted": {"cuobjdump / sartor inspect FOLDER": 15, "cuobjdump / the walk alone": 300},
        "peak_mib": memory,
    }


def main() -> None:
    """Measure each wheel, write the result, print it."""
    found = {}
    for requirement in sys.argv[1:] or ["vllm==0.25.1", "vllm==0.32.0"]:
        package = wheel(requirement)
        with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
            zipfile.ZipFile(package).extractall(folder)
            found[package.name] = measure(package, Path(folder))
    write_result(
        "inspect",
        ["src/sartor/artifact", "src/sartor/verdict", "src/sartor/inspection.py"],
        {
            "wheels": found,
            "judge": subprocess.run(
                [cuobjdump(), "--version"], capture_output=True, text=True, check=True
            ).stdout.splitlines()[-1],
        },
    )


if __name__ == "__main__":
    main()
