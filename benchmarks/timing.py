"""What every benchmark needs: repeated runs, medians, the machine, and a result file."""

from __future__ import annotations

import datetime
import json
import platform
import statistics
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT = Path(__file__).resolve().parent.parent


def run_seconds(argv: Sequence[str]) -> float:
    """The wall time of one program, its output thrown away."""
    began = time.perf_counter()
    subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def interleaved(
    subjects: dict[str, Callable[[], float]], rounds: int
) -> dict[str, dict[str, float]]:
    """Measure all subjects in turn, ``rounds`` times: minimum and median of each.

    Taking turns spreads whatever else the machine is doing over all of them.
    """
    found: dict[str, list[float]] = {name: [] for name in subjects}
    for _ in range(rounds):
        for name, measure in subjects.items():
            found[name].append(measure())
    return {
        name: {"min": round(min(v), 4), "median": round(statistics.median(v), 4)}
        for name, v in found.items()
    }


def machine() -> dict[str, object]:
    """The machine, as far as it explains a figure."""
    import psutil

    from sartor.host.cpu import read_cpu
    from sartor.host.machine import RealMachine

    cpu = read_cpu(RealMachine()).value
    return {
        "cpu": cpu.model if cpu else platform.processor(),
        "isa": cpu.name if cpu else None,
        "threads": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "python": platform.python_version(),
    }


def write_result(name: str, proves: list[str], content: dict[str, object]) -> None:
    """Write benchmarks/results/NAME.json, and show it."""
    commit = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    result = {
        "what": name,
        "commit": commit,
        "date": datetime.date.today().isoformat(),
        "proves": proves,
        "hardware": machine(),
        **content,
    }
    text = json.dumps(result, indent=2)
    path = ROOT / "benchmarks" / "results" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n", "utf-8")
    print(text)
