"""Fuzz every reader of `sartor inspect`: whatever the bytes, only `Invalid` or `SartorError`.

usage: python tests/heavy/fuzz_inspect.py random TARGET RUNS
       python tests/heavy/fuzz_inspect.py guided TARGET SECONDS   (wants atheris)
       python tests/heavy/fuzz_inspect.py all RUNS SECONDS PYTHON (PYTHON: one that has atheris)

`all` does both with every target and writes benchmarks/results/heavy/fuzz_inspect.json. An input
may take `SECONDS_EACH` and `MORE_MEMORY`; what takes more, or ends otherwise, is kept in
build/fuzz/findings and named in the result. Random inputs are the same each time.
"""

from __future__ import annotations

import json
import random
import re
import resource
import signal
import subprocess
import sys
import time
import traceback
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "benchmarks"), str(ROOT / "src")]
GUIDED = sys.argv[1:2] == ["guided"]

if GUIDED:
    import atheris

    with atheris.instrument_imports(include=["sartor"]):
        import_module("inspect_targets")

from inspect_targets import TARGETS
from sartor.artifact.source import Invalid
from sartor.errors import SartorError

if TYPE_CHECKING:
    from types import FrameType

SECONDS_EACH = 2.0
MORE_MEMORY = 512 << 20
MOST_INPUT = 64 << 10
FINDINGS = ROOT / "build" / "fuzz" / "findings"
PROVES = ["src/sartor/artifact", "tests/heavy/fuzz_inspect.py", "tests/inspect_targets.py"]
INTERESTING = (0, 1, 2, 7, 8, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000)
LARGE = (0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0x8000000000000000, 0xFFFFFFFFFFFFFFFF, 1 << 28, 1 << 40)


class TooSlow(BaseException):
    """Beyond `SECONDS_EACH`; no `Exception`, so that nothing swallows it."""


class Watched:
    """Runs inputs with their limits, counts them, and keeps each new kind of finding."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.target = TARGETS[name]
        self.runs = 0
        self.refused = 0
        self.slowest = 0.0
        self.findings: dict[str, str] = {}

    def __call__(self, data: bytes) -> None:
        self.runs += 1
        began = time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, SECONDS_EACH)
        try:
            self.target.run(data)
        except (Invalid, SartorError):
            self.refused += 1
        except (Exception, TooSlow) as error:
            self.keep(data, error)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        self.slowest = max(self.slowest, time.monotonic() - began)

    def keep(self, data: bytes, error: BaseException) -> None:
        """The input, once for each place from which it came."""
        lines = traceback.extract_tb(error.__traceback__)
        own = [line for line in lines if "/sartor/" in line.filename] or list(lines)
        where = f"{type(error).__name__} at {Path(own[-1].filename).name}:{own[-1].name}"
        if where not in self.findings:
            FINDINGS.mkdir(parents=True, exist_ok=True)
            path = FINDINGS / f"{self.name}-{sha256(data).hexdigest()[:12]}"
            path.write_bytes(data)
            path.with_suffix(".txt").write_text("".join(traceback.format_exception(error)))
            self.findings[where] = path.name

    def summary(self) -> dict[str, object]:
        """The counts so far."""
        return {
            "runs": self.runs,
            "refused": self.refused,
            "slowest_seconds": round(self.slowest, 3),
            "findings": self.findings,
        }


def limit() -> None:
    """A time limit for each input, one of memory for the process, over what it has now."""

    def too_slow(_signal: int, _frame: FrameType | None) -> NoReturn:
        raise TooSlow

    signal.signal(signal.SIGALRM, too_slow)
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    most = pages * resource.getpagesize() + MORE_MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def mutated(source: random.Random, corpus: list[bytes]) -> bytes:
    """One to eight changes to an input."""
    data = bytearray(source.choice(corpus))
    for _ in range(source.choice((1, 1, 2, 3, 5, 8))):
        at = source.randrange(len(data)) if data else 0
        match source.randrange(8):
            case 0 | 1:
                change_number(source, data, at)
            case 2:
                data[at : at + 1] = bytes([source.randrange(256)])
            case 3:
                data[at:] = b""
            case 4:
                del data[at : at + source.choice((1, 4, 8, 64, 1000))]
            case 5:
                data[at:at] = data[at : at + source.choice((1, 8, 64, 1000))]
            case 6:
                data[at:at] = source.randbytes(source.choice((1, 8, 64)))
            case _:
                other = source.choice(corpus)
                start = source.randrange(len(other))
                data[at:] = other[start:]
    return bytes(data[:MOST_INPUT])


def change_number(source: random.Random, data: bytearray, at: int) -> None:
    """A little-endian number becomes another: near to it, or at an edge."""
    width = source.choice((1, 2, 4, 8))
    at -= at % width
    old = int.from_bytes(data[at : at + width], "little")
    near = (old + 1, old - 1, old * 2, len(data), len(data) - at, old ^ 1 << source.randrange(64))
    new = source.choice((*INTERESTING, *LARGE, *near))
    data[at : at + width] = (new % (1 << 8 * width)).to_bytes(width, "little")


def run_random(name: str, runs: int) -> dict[str, object]:
    """The same inputs each time."""
    watched, corpus = Watched(name), TARGETS[name].corpus()
    for data in corpus:
        watched(data)
    limit()
    began = time.monotonic()
    for number in range(runs):
        watched(mutated(random.Random(f"{name} {number}"), corpus))
    seconds = time.monotonic() - began
    return {**watched.summary(), "per_second": round(runs / seconds)}


def run_guided(name: str, seconds: int) -> None:
    """By coverage, until the time is over; the summary is the last line on stdout."""
    watched = Watched(name)
    corpus = ROOT / "build" / "fuzz" / "corpus" / name
    corpus.mkdir(parents=True, exist_ok=True)
    for data in watched.target.corpus():
        (corpus / sha256(data).hexdigest()).write_bytes(data)
        watched(data)
    limit()
    began = time.monotonic()

    def one(data: bytes) -> None:
        watched(data)
        if time.monotonic() - began > seconds:
            passed = time.monotonic() - began
            result = {**watched.summary(), "per_second": round(watched.runs / passed)}
            print(json.dumps(result), flush=True)
            atheris_exit()

    options = [f"-max_len={MOST_INPUT}", "-timeout=20", "-print_final_stats=0", "-rss_limit_mb=0"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], one)
    atheris.Fuzz()


def atheris_exit() -> NoReturn:
    """The library underneath ends the process by itself otherwise, and says that it crashed."""
    import os

    os._exit(0)


def run_all(runs: int, seconds: int, python: str) -> int:
    """Every target both ways, each in a process of its own."""
    from timing import write_result

    results: dict[str, dict[str, object]] = {}
    total = 0
    for name in TARGETS:
        results[name] = {}
        for how, argv in {
            "random": [sys.executable, __file__, "random", name, str(runs)],
            "guided": [python, __file__, "guided", name, str(seconds)],
        }.items():
            done = subprocess.run(argv, capture_output=True, text=True, check=False)
            last = re.findall(r"^\{.*\}$", done.stdout, re.MULTILINE)
            found: dict[str, object] = (
                json.loads(last[-1]) if last else {"runs": 0, "ended": done.stderr[-2000:]}
            )
            results[name][how] = found
            total += int(str(found["runs"]))
            print(name, how, found, file=sys.stderr, flush=True)
    content: dict[str, object] = {
        "script": f"tests/heavy/fuzz_inspect.py all {runs} {seconds} python",
        "inputs": total,
        "limits": {"seconds": SECONDS_EACH, "more_memory_bytes": MORE_MEMORY},
        "targets": results,
    }
    write_result("heavy/fuzz_inspect", PROVES, content)
    return 0


def main() -> int:
    """See the module's docstring."""
    match sys.argv[1:]:
        case ["random", name, runs]:
            print(json.dumps(run_random(name, int(runs))))
        case ["guided", name, seconds]:
            run_guided(name, int(seconds))
        case ["all", runs, seconds, python]:
            return run_all(int(runs), int(seconds), python)
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
