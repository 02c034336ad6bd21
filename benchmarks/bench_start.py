"""How quickly `sartor --version` and `sartor detect` start, beside programs that people know.

usage: python benchmarks/bench_start.py
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from timing import interleaved, run_seconds, write_result

ROUNDS = 15


def main() -> None:
    """Measure, write the result, print it."""
    here = Path(sys.executable).parent
    commands = {
        "sartor --version": [str(here / "sartor"), "--version"],
        "sartor detect": [str(here / "sartor"), "detect", "--json"],
        "sartor status": [str(here / "sartor"), "status", "--json"],
        "python -c pass": [sys.executable, "-c", "pass"],
        "nox --version": [str(here / "nox"), "--version"],
        "archspec cpu": [str(here / "archspec"), "cpu"],
        "hf version": [str(here / "hf"), "version"],
    }
    seconds = interleaved({n: partial(run_seconds, argv) for n, argv in commands.items()}, ROUNDS)
    base = seconds["python -c pass"]["median"]
    ratios = {
        "sartor --version / python -c pass": seconds["sartor --version"]["median"] / base,
        "sartor --version / nox --version": seconds["sartor --version"]["median"]
        / seconds["nox --version"]["median"],
        "sartor detect / archspec cpu": seconds["sartor detect"]["median"]
        / seconds["archspec cpu"]["median"],
        "sartor detect / hf version": seconds["sartor detect"]["median"]
        / seconds["hf version"]["median"],
    }
    write_result(
        "start",
        ["src/sartor/__main__.py", "src/sartor/cli", "src/sartor/host", "src/sartor/facts"],
        {
            "rounds": ROUNDS,
            "seconds": seconds,
            "ratios": {name: round(ratio, 2) for name, ratio in ratios.items()},
            "wanted": {"sartor --version": 0.15, "sartor detect": 0.5},
        },
    )


if __name__ == "__main__":
    main()
