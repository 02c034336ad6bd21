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
import tempfile
import time
import traceback
from contextlib import closing, suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests" / "heavy"), str(ROOT / "benchmarks"), str(ROOT / "src")]
GUIDED = sys.argv[1:2] == ["guided"]

if GUIDED:
    import atheris

    with atheris.instrument_imports(include=["sartor"]):
        pass

import fuzz_seeds as seeds

from sartor.artifact import cubin, demangle, device_code, fatbin, payload, ptx, speculate
from sartor.artifact.image import ImageMembers, archive_image
from sartor.artifact.library import read_library
from sartor.artifact.metadata import read_package
from sartor.artifact.oci import Layer
from sartor.artifact.reading import read_evidence
from sartor.artifact.source import BytesSource, Invalid
from sartor.artifact.stream import StreamedSource
from sartor.artifact.zip import ZipMembers
from sartor.errors import SartorError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from sartor.artifact.members import Members

SECONDS_EACH = 2.0
MORE_MEMORY = 512 << 20
MOST_INPUT = 64 << 10
TAR_BLOCK = 512
FINDINGS = ROOT / "build" / "fuzz" / "findings"
PROVES = ["src/sartor/artifact", "tests/heavy/fuzz_inspect.py", "tests/heavy/fuzz_seeds.py"]
INTERESTING = (0, 1, 2, 7, 8, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000)
LARGE = (0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0x8000000000000000, 0xFFFFFFFFFFFFFFFF, 1 << 28, 1 << 40)


def walk_fatbin(data: bytes) -> None:
    """Containers, payloads, names."""
    source = BytesSource(data, "fuzz.fatbin")
    for found in fatbin.containers(source, 0, len(data)):
        if isinstance(found, Invalid):
            continue
        for entry in found.entries:
            with suppress(Invalid):
                plain = payload.plain_payload(source, entry)
                assert len(plain) <= entry.plain
                if entry.kind == fatbin.Kind.PTX:
                    ptx.read_ptx(plain)
    device_code.read_device_code(source, "fuzz", [device_code.Part(0, len(data))], "all")


def read_cubin(data: bytes) -> None:
    """Symbols and notes."""
    source = BytesSource(data, "fuzz.cubin")
    for reader in (cubin.kernel_names, cubin.origin, cubin.architecture):
        with suppress(Invalid):
            reader(source)


def read_text(data: bytes) -> None:
    """PTX, and the names in it in plain form."""
    ptx.looks_like_ptx(data)
    names = ptx.read_ptx(data).kernels
    assert all(len(plain) <= 1 << 16 for plain in demangle.demangle(names).values())


def read_elf(data: bytes) -> None:
    """Facts of a library, and its device code."""
    read_library(BytesSource(data, "fuzz.so"), "fuzz.so", "all")


def read_zip(data: bytes) -> None:
    """Directory and members."""
    read_all(ZipMembers(BytesSource(data, "fuzz.whl")))


def read_image(data: bytes) -> None:
    """An image's archive."""
    read_all(archive_image(BytesSource(summed(data), "fuzz.tar"), None, lambda: None))


def read_layer(data: bytes) -> None:
    """One layer, whose digest is right: what a registry may serve."""
    data = summed(data)
    digest = f"sha256:{sha256(data).hexdigest()}"
    layer = Layer("layer", BytesSource(data, "layer"), digest)
    read_all(ImageMembers([layer], [], lambda: None))


def summed(data: bytes) -> bytes:
    """A tar archive whose headers' checksums are right again, or else nothing behind them is read.

    Every fourth input is left as it is.
    """
    if len(data) % 4 == 3:
        return data
    found = bytearray(data)
    for at in range(0, len(data) - TAR_BLOCK + 1, TAR_BLOCK):
        if found[at + 257 : at + 262] == b"ustar":
            found[at + 148 : at + 156] = b" " * 8
            found[at + 148 : at + 156] = b"%06o\0 " % sum(found[at : at + TAR_BLOCK])
    return bytes(found)


def read_all(members: Members) -> None:
    """Every file, to its end."""
    with closing(members):
        for _, source in members.walk(lambda name: bool(name)):
            with suppress(Invalid):
                source.read(0, min(source.size, 1 << 20))
                read_library(source, "fuzz.so", "all")


def read_texts(data: bytes) -> None:
    """A distribution's metadata."""
    texts = [*data.split(seeds.PARTS, 2), None, None]
    read_package(seeds.INFO, texts[0], texts[1], texts[2], file_name="demo-1.0-py3-none-any.whl")


def read_stream(data: bytes) -> None:
    """What is kept of a stream is what went by; and it reads like the bytes."""
    size = 997 if len(data) < (8 << 10) else 4099
    found = speculate.Speculation(len(data))
    for at in range(0, len(data), size):
        found.feed(at, data[at : at + size])
    for at in range(0, len(data), 64):
        kept = found.spans.find(at, 16)
        assert kept is None or kept == data[at : at + 16]

    def pieces() -> Iterator[bytes]:
        for at in range(0, len(data), size):
            yield data[at : at + size]

    streamed = StreamedSource(pieces, len(data), "fuzz")
    plain = outcome(lambda: read_library(BytesSource(data, "fuzz"), "fuzz", "none"))
    assert outcome(lambda: read_library(streamed, "fuzz", "none")) == plain


def outcome(read: Callable[[], object]) -> object:
    """What comes back, or what is wrong."""
    try:
        return read()
    except Invalid as fault:
        return str(fault)


def read_file(data: bytes) -> None:
    """The whole way from a file."""
    with tempfile.TemporaryDirectory(prefix="fuzz", dir="/dev/shm") as folder:
        path = Path(folder) / "target.whl"
        path.write_bytes(data)
        read_evidence(path, lambda _: "all")


def read_names(data: bytes) -> None:
    """C++ names, one a line."""
    names = data.decode("utf-8", "surrogateescape").split("\n")
    assert all(len(plain) <= 1 << 16 for plain in demangle.demangle(names).values())


class Target(NamedTuple):
    """A reader, and valid inputs of it."""

    run: Callable[[bytes], None]
    corpus: Callable[[], list[bytes]]


TARGETS = {
    "fatbin": Target(walk_fatbin, seeds.containers),
    "cubin": Target(read_cubin, lambda: seeds.files(".cubin")),
    "ptx": Target(read_text, lambda: seeds.files(".ptx")),
    "names": Target(read_names, seeds.mangled),
    "elf": Target(read_elf, lambda: seeds.files(".so", ".o", ".cubin")),
    "zip": Target(read_zip, seeds.wheels),
    "image": Target(read_image, seeds.images),
    "layer": Target(read_layer, seeds.layers),
    "metadata": Target(read_texts, seeds.metadata),
    "stream": Target(read_stream, lambda: [*seeds.containers(), *seeds.files(".so")]),
    "file": Target(
        read_file,
        lambda: [
            *seeds.wheels(),
            *seeds.images(),
            *seeds.files(".so", ".fatbin", ".ptx", ".cubin"),
        ],
    ),
}


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
        watched(mutated(random.Random(f"{name} {number}"), corpus))  # noqa: S311
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
            found = json.loads(last[-1]) if last else {"ended": done.stderr[-2000:]}
            results[name][how] = found
            total += found.get("runs", 0)
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
