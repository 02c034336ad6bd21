"""`sartor plan` cold, for another driver, and unchanged, beside `uv pip compile` in the same run.

The peer is told what the plan chose, so that it has only the set of packages left to find. Cold:
nothing is kept, by neither. Each is a whole process with compiled bytecode; rounds take turns. On
a machine with other work the processor's seconds say more than the clock.

usage: python benchmarks/bench_plan.py [ROUNDS]
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import uv
from timing import interleaved, write_result

from sartor.catalog.catalog import Catalog, Cost
from sartor.host.describe import parse_host
from sartor.paths import Places
from sartor.plan.model import Request
from sartor.planning import make_plan
from sartor.reporter import Silent

HOST = "rtx-5090,driver={},python=3.12,glibc=2.39,arch=x86_64"
DRIVER = "580.95"
ROUNDS = 5
PLATFORM = ("--python-version", "3.12", "--python-platform", "x86_64-manylinux_2_39")
PEER = (*PLATFORM, "--only-binary", ":all:", "--format", "pylock.toml", "--quiet")


class Processes:
    """Whole processes with homes and caches of their own, and what they took of the processor."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cpu: dict[str, list[float]] = {}
        self._number = 0

    def fresh(self) -> str:
        """A folder in which nothing is."""
        self._number += 1
        return str(self.folder / str(self._number))

    def run(self, name: str, argv: list[str], home: str) -> float:
        """The wall time of a process whose home and cache are in ``home``."""
        own = {"SARTOR_HOME": f"{home}/home", "UV_CACHE_DIR": f"{home}/uv"}
        variables = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"} | own
        before, began = _processor(), time.perf_counter()
        subprocess.run(argv, env=variables, stdout=subprocess.DEVNULL, check=True)
        seconds = time.perf_counter() - began
        self.cpu.setdefault(name, []).append(_processor() - before)
        return seconds

    def plan(self, name: str, home: str | None, driver: str = DRIVER) -> float:
        """`sartor plan`; ``home`` None: a fresh one."""
        argv = [str(Path(sys.executable).parent / "sartor"), "plan", "--host", HOST.format(driver)]
        return self.run(name, argv, home or self.fresh())

    def another_driver(self, name: str, home: str) -> float:
        """`sartor plan` for a driver that was not planned for."""
        self._number += 1
        return self.plan(name, home, f"580.{100 + self._number}")

    def compile(self, name: str, requirements: Path, home: str | None) -> float:
        """`uv pip compile` of what was planned."""
        argv = [uv.find_uv_bin(), "pip", "compile", str(requirements), *PEER]
        return self.run(name, argv, home or self.fresh())


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def planned(home: str) -> dict[str, object]:
    """The plan as JSON; keeps in ``home`` what planning keeps."""
    argv = [sys.executable, "-m", "sartor", "plan", "--host", HOST.format(DRIVER), "--json"]
    variables = os.environ | {"SARTOR_HOME": f"{home}/home", "UV_CACHE_DIR": f"{home}/uv"}
    output = subprocess.run(argv, env=variables, capture_output=True, check=True).stdout
    found: dict[str, object] = json.loads(output)
    return found


def cost(home: str, driver: str) -> dict[str, object]:
    """What planning asks, counted in this process."""
    host = parse_host(HOST.format(driver))
    os.environ["UV_CACHE_DIR"] = f"{home}/uv"
    with Catalog(Places(Path(home) / "home"), Silent()) as catalog:
        make_plan(host, Request(), None, catalog)
        found: Cost = catalog.cost
    kept = found._asdict() | {"seconds": round(found.seconds, 3)}
    return {("seconds_of_waiting" if name == "seconds" else name): kept[name] for name in kept}


def main() -> None:
    """Measure, write the result, print it."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    load = os.getloadavg()
    with tempfile.TemporaryDirectory() as scratch:
        processes, warm = Processes(Path(scratch)), f"{scratch}/warm"
        plan = planned(warm)
        stack = plan["stack"]
        assert isinstance(stack, dict)
        requirements = Path(scratch) / "requirements.in"
        requirements.write_text("\n".join(stack["requirements"]) + "\n")
        names = ["plan, cold", "plan, another driver", "plan, unchanged"]
        peers = ["uv pip compile, cold", "uv pip compile, warm"]
        processes.compile("to warm it", requirements, warm)
        seconds = interleaved(
            {
                names[0]: partial(processes.plan, names[0], None),
                peers[0]: partial(processes.compile, peers[0], requirements, None),
                names[1]: partial(processes.another_driver, names[1], warm),
                names[2]: partial(processes.plan, names[2], warm),
                peers[1]: partial(processes.compile, peers[1], requirements, warm),
            },
            rounds,
        )
        fresh = processes.fresh()
        asked = {"cold": cost(fresh, DRIVER), "another driver": cost(fresh, "580.99")}
    median = {name: found["median"] for name, found in seconds.items()}
    used = {n: round(statistics.median(v), 3) for n, v in processes.cpu.items() if n in seconds}
    indexes = plan["indexes"]
    assert isinstance(indexes, list)
    write_result(
        "plan",
        ["src/sartor/planning.py", "src/sartor/plan", "src/sartor/catalog", "src/sartor/remote"],
        {
            "host": HOST.format(DRIVER),
            "planned": stack["requirements"],
            "packages": len(stack["packages"]),
            "not_reached": [i["alias"] for i in indexes if i["state"] == "not reached"],
            "uv": uv_version(),
            "rounds": rounds,
            "load_average": [round(one, 1) for one in (*load, *os.getloadavg())],
            "seconds": seconds,
            "processor_seconds": used,
            "ratios": {
                "cold / uv pip compile, cold": round(median[names[0]] / median[peers[0]], 2),
                "another driver / uv pip compile, warm": round(
                    median[names[1]] / median[peers[1]], 2
                ),
                "unchanged / uv pip compile, warm": round(median[names[2]] / median[peers[1]], 2),
            },
            "asked": asked,
            "wanted": {"another driver": 1.0, "unchanged": 0.4},
        },
    )


def uv_version() -> str:
    """The peer's own word."""
    argv = [uv.find_uv_bin(), "--version"]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
